"""A package, so that what its fixtures start is stopped behind its last test."""
