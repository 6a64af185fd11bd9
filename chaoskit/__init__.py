"""chaoskit breaks a running failover system on purpose and measures what its clients felt."""

__all__ = ["__version__"]

__version__ = "0.1.0"
