"""One module per role: what it reads, writes and keeps."""
