"""Prices: routes, messages, words, the stream."""
