"""What is read from MySQL, kept in Redis: an answer from here is never behind what its reader has seen."""
