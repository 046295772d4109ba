"""What customers and analysts talk to: Alpaca's API over HTTP and WebSockets, and the pages."""
