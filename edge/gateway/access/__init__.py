"""Who asks: API keys and their sessions, people, what is recorded of both."""
