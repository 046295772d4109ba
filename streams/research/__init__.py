"""Commands for researchers: replay a file, inspect a book."""
