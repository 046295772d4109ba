"""What every process of the exchange has: an identity, health, logs."""
