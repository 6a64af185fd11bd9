"""Experiment files: YAML in, frozen data out, every problem with its place."""
