"""The load: clients that keep asking while something is broken. The only package with Locust.

Importing this package imports nothing else; Locust and gevent patch the process they live in,
so they are imported in the child process alone (``python -m chaoskit.load.child``).
"""
