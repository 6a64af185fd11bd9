"""How long each fault takes from command to proof, and from the heal's command to its proof.

    python benchmarks/bench_faults.py [sandbox] [docker]

Runs the contract tests of faults, so that only faults are timed that were seen to bite and to heal,
twice each, and reads the marks that each injection set. A row is a fault in one lab, in all the
forms that the tests have. Milliseconds: median and worst. What this machine cannot do is skipped,
with pytest's own words.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import spread

from chaoskit import registry
from chaoskit.contracts import Hold
from chaoskit.experiment.steps import fault_class
from chaoskit.instruments import rest_collector

ROOT = Path(__file__).resolve().parent.parent
LABS = ("sandbox", "docker")
CONTRACTS = "twice"  # stands in the names of the tests that take a fault through its contract


class Noting:
    """A plug-in of pytest that keeps the hold of every injection of an installed fault."""

    def __init__(self) -> None:
        self.holds: dict[tuple[str, str], list[Hold]] = {}

    def pytest_sessionstart(self) -> None:
        """Before anything is injected."""
        for name in registry.names("chaoskit.faults"):
            self._note(fault_class(name))

    def pytest_runtest_call(self) -> None:
        """As a trial does before its baseline."""
        rest_collector()

    def _note(self, kind: Any) -> None:
        original, holds = kind.inject, self.holds

        @contextlib.contextmanager
        def inject(fault: Any, lab: Any, targets: Any) -> Iterator[Hold]:
            with original(fault, lab, targets) as hold:
                holds.setdefault((lab.name, kind.kind), []).append(hold)
                yield hold

        kind.inject = inject


def files(labs: list[str]) -> list[str]:
    """The contract tests of faults in these labs."""
    folder = ROOT / "tests" / "contract"
    found = [f for f in folder.glob("test_check_*.py") if f.stem.rpartition("_")[2] in labs]
    return [str(f) for f in (*sorted(found), folder / "test_operator_faults.py")]


def main() -> None:
    """Print a table of the labs that are named, of both where none is."""
    noting = Noting()
    said = ["-q", "-rs", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-k", CONTRACTS]
    code = pytest.main([*said, *files([w for w in sys.argv[1:] if w in LABS] or [*LABS])], [noting])
    print(f"{'lab':8} {'fault':16} {'times':>5} {'verified':>10} {'worst':>10}", end=" ")
    print(f"{'healed':>10} {'worst':>10}")
    for (lab, kind), holds in sorted(noting.holds.items()):
        verified = [(h.verified_ns - h.commanded_ns) / 1e9 for h in holds if h.verified_ns]
        healed = [
            (h.healed_ns - h.heal_commanded_ns) / 1e9
            for h in holds
            if h.healed_ns and h.heal_commanded_ns
        ]
        row = f"{lab:8} {kind:16} {len(holds):5d}"
        print(row, spread(verified, 1e-3), spread(healed, 1e-3))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
