"""Reports as files: stored, checked, handed over and answered, and how a day stands. The only part of `reports` that reads and writes files."""
