"""What a client does with orders."""
