"""Redis: prices and sessions, ready to read."""
