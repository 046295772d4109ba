"""The real services of the local set, and the supervision of services and roles."""
