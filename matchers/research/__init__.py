"""The engine without an exchange: replay of files, backtests, views of a book."""
