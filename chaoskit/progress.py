"""What a person sees while a run is under way: a live line on a terminal, plain lines elsewhere.

Everything here goes to standard error; results go to standard output, printed by ``cli``.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["Progress", "progress"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_REFRESH_S = 0.2


def clean(text: object) -> str:
    """Text of the system under test, fit for a terminal: no control or direction characters."""
    return _CONTROL.sub("", str(text))


def _to_stdout(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _trials(facts: Mapping[str, object]) -> str:
    trials = facts["trials"]
    return f"{'at most ' if facts.get('plan') else ''}{trials} trial{'' if trials == 1 else 's'}"


class Progress:
    """Turns the events of a run into lines; ``__call__`` is what the engine is given."""

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._began = time.monotonic()
        self.experiment = self.phase = self.trial = ""
        self.roles: dict[str, str] = {}
        self.load: Mapping[str, object] = {}
        self._broken = False

    def __call__(self, event: str, facts: Mapping[str, object]) -> None:
        """Take one event. Never raises: a closed pipe only ends the output."""
        handler: Callable[[Mapping[str, object]], str | None] | None
        handler = getattr(self, f"_on_{event}", None)
        line = handler(facts) if handler is not None else None
        if line and not self._quiet:
            self.line(line)
        self.refresh()

    def line(self, text: str) -> None:
        """Print one finished line."""
        if self._broken:
            return
        try:
            self._stream.write(f"{time.monotonic() - self._began:7.1f}s  {text}\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._broken = True

    def result(self, text: str) -> None:
        """Print a result, to standard output."""
        _to_stdout(text)

    def refresh(self) -> None:
        """Plain output has nothing to redraw."""

    def _on_start(self, facts: Mapping[str, object]) -> str:
        self.experiment = str(facts["experiment"])
        return (
            f"{clean(facts['experiment'])}: {clean(facts['question'])}\n"
            f"          {facts['lab']} lab ({clean(facts['why'])}), {_trials(facts)}, "
            f"seed {facts['seed']}, into {facts['folder']}"
            + (f"\n          {plan}" if (plan := facts.get("plan")) else "")
        )

    def _on_cell(self, facts: Mapping[str, object]) -> str:
        cell = facts["cell"]
        at = cell.items() if isinstance(cell, Mapping) else ()
        said = ", ".join(f"{clean(axis)}={clean(value)}" for axis, value in at)
        return f"cell {facts['n']} of {facts['of']}: {said}"

    def _on_trial(self, facts: Mapping[str, object]) -> str:
        again = f"in place of {facts['for']}" if "for" in facts else f"of {facts['of']}"
        self.trial = f"trial {facts['n']} {again}"
        self.roles, self.load = {}, {}
        return f"{clean(self.experiment)}: {self.trial}"

    def _on_phase(self, facts: Mapping[str, object]) -> None:
        self.phase = str(facts["name"])

    def _on_role(self, facts: Mapping[str, object]) -> None:
        self.roles[clean(facts["node"])] = clean(facts.get("value") or "no answer")

    def _on_load(self, facts: Mapping[str, object]) -> None:
        if facts.get("event") == "tick":
            self.load = facts

    def _on_fault(self, facts: Mapping[str, object]) -> str:
        self.phase = f"{facts['fault']} in force"
        return f"  {facts['fault']} -> {_names(facts)}"

    def _on_heal(self, facts: Mapping[str, object]) -> str:
        self.phase = "healed"
        return f"  healing {facts['fault']} on {_names(facts)}"

    def _on_incident(self, facts: Mapping[str, object]) -> str:
        return f"  ! {clean(facts['sentence'])}"

    def _on_operator(self, facts: Mapping[str, object]) -> str:
        """A question stands out; everything else is one line."""
        text = str(facts["detail"])
        if facts["event"] != "operator-asked":
            return f"  {clean(facts['event'])} {clean(facts['node'])}: {clean(text)}".rstrip(": ")
        return "\n".join(
            ["  ? a failover is pending", *(f"      {clean(t)}" for t in text.split("\n"))]
        )

    def _on_judged(self, facts: Mapping[str, object]) -> str:
        return f"  {clean(facts['line'])}"


def _names(facts: Mapping[str, object]) -> str:
    nodes = facts["nodes"]
    names = nodes if isinstance(nodes, list | tuple) else [nodes]
    return ", ".join(map(clean, names)) or "nothing"


class _OnTerminal(Progress):
    """One live panel under the finished lines."""

    def __init__(self, stream: TextIO, live: Live, quiet: bool) -> None:
        super().__init__(stream, quiet)
        self._live = live
        self._drawn = 0.0
        self.results: list[str] = []

    def line(self, text: str) -> None:
        """Print above the live panel."""
        self._live.console.print(
            f"{time.monotonic() - self._began:7.1f}s  {text}", markup=False, highlight=False
        )

    def result(self, text: str) -> None:
        """Keep it until the live panel is gone: the last lines on the screen are the results."""
        self.results.append(text)

    def refresh(self) -> None:
        """Redraw at most five times a second: the harness has better things to do."""
        if time.monotonic() - self._drawn > _REFRESH_S:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_row(self.trial, self.phase)
        roles = "  ".join(f"{node}: {role}" for node, role in self.roles.items())
        table.add_row("roles", roles or "-")
        if self.load:
            load = self.load
            table.add_row(
                "requests",
                f"due {load.get('due', 0)}  ok {load.get('ok', 0)}  bad {load.get('bad', 0)}"
                f"  not sent {load.get('not_sent', 0)}",
            )
        return table


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A live display if standard error is a terminal and this is not CI, else plain lines."""
    plain = not sys.stderr.isatty() or os.environ.get("CI", "").lower() in ("1", "true")
    if plain or quiet:
        yield Progress(sys.stderr, quiet)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        shown = _OnTerminal(sys.stderr, live, quiet)
        try:
            yield shown
        finally:
            live.stop()
            for text in shown.results:
                _to_stdout(text)
