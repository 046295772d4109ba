"""Orders: requests, answers, queries, the stream of updates."""
