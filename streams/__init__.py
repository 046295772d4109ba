"""The shells that run the exchange: one Faust app a role, the local services, and the commands of operators."""
