"""`outcry report` and `outcry reconstruct`: regulatory reports, and what was at any moment, both from the log."""
