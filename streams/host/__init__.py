"""What runs a role's state machine on a Kafka partition: order, snapshots, duplicates."""
