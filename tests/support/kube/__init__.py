"""A real API server of Kubernetes, and what is applied to it."""
