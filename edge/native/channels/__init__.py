"""What a client subscribes to."""
