"""What programs of customers import. It needs nothing else of this project."""
