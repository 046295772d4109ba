"""The one background process of a home: it starts, watches, restarts and stops everything else."""
