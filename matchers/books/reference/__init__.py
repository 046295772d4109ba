"""The rules of books in plain Python, one concern per module."""
