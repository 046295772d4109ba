"""Commands of operators: accounts, sessions, topics, workers."""
