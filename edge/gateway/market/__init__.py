"""Public prices and phases as the edge knows them from market.data."""
