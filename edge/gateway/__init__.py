"""Accounts, orders and prices as the edge knows them from the log, whatever protocol asks."""
