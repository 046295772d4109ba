"""MySQL, the system of record."""
