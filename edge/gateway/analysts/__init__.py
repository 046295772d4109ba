"""What analysts read and decide: cases, their files, books around alerts."""
