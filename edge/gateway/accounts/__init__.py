"""Account views, fed from edge.replies; commands to the account shards and what waits for their answers."""
