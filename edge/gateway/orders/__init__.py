"""What customers may ask for, and what becomes of it."""
