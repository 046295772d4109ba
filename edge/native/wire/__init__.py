"""How messages are written, read and refused."""
