"""Reports from books to accounts: what a trade, a cancel or an expiry means for the holds."""
