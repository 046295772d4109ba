"""A second place that has the whole log, and takes over where the first one is lost: copy, follow, take over, compare."""
