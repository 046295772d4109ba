"""Handlers that come with the exchange. Each is a file that needs nothing of ours, and runs on AWS Lambda as it is."""
