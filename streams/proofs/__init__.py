"""Commands that prove from the log that the exchange is correct, or rebuild a store."""
