"""Accounts, positions, activities, watchlists: routes and JSON."""
