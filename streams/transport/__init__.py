"""Faust and the Kafka clients: everything that talks to the broker on behalf of a role."""
