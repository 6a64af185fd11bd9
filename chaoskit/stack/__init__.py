"""The system under test: a Compose file whose labels say what failover needs to know."""
