"""The rules of books over integer arrays, compiled; modules named as in the reference."""
