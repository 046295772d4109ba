"""The rules of accounts in plain Python, one concern per module."""
