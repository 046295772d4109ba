"""Markets with known manipulators: simulated trading through the real matching engine, with labels, to measure what surveillance finds."""
