"""Probes: what nodes say about themselves, asked many times a second from inside the lab.

``child`` asks on a fixed schedule and writes down every answer; ``dial`` tries single connections
on request; ``http`` and ``redis`` are what a URL's scheme stands for. Standard library only: these
run in processes of their own, in a lab, and must start quickly.
"""

__all__: list[str] = []
