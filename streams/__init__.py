"""The shells that run the exchange: one Faust app per role, the local services, and the commands of operators."""
