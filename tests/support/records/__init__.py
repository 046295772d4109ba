"""Records, logs and days that tests are about."""
