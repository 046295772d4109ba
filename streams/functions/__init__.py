"""Functions on the stream: users' handlers in the shape of AWS Lambda's Kafka event source, their alerts, and signed webhooks."""
