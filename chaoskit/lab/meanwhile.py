"""What is done while the services of a lab come up."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Meanwhile"]


class Meanwhile:
    """``Early`` of both labs."""

    _early: Callable[[], object] | None = None

    def when_reachable(self, act: Callable[[], object]) -> None:
        """See ``Early``."""
        self._early = act

    def _is_reachable(self) -> None:
        """Client and observer have their network: let ``act`` have its turn."""
        act, self._early = self._early, None
        if act is not None:
            act()
