"""The second stage: what parties do over several books, from where they come, and what they knew. One machine a partition of the facts."""
