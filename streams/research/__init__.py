"""Commands for researchers: replay a file, look into a book."""
