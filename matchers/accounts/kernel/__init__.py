"""The rules of accounts over integer arrays, compiled; modules named as in the reference."""
