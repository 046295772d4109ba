"""Commands that prove, from the log, that the exchange is right, or make a store anew."""
