"""Reads shared out among the replicas of MySQL, never behind what the reader has seen. `router` does the input and output, the other modules decide."""
