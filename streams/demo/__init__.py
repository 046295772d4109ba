"""`outcry demo`: a simulated trading session on the real exchange, and the proof that every part of it agrees afterwards."""
