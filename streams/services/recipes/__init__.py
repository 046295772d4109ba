"""How each service of the local set is fetched, configured and started."""
