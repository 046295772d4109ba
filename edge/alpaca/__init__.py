"""Alpaca's API: its words, its routes, its streams."""
