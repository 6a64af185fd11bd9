"""Labs: where a stack runs, what can be done to its nodes, and how all of it is undone."""

__all__: list[str] = []
