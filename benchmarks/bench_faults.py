"""How long each fault takes from command to proof, and from the heal's command to its proof.

    python benchmarks/bench_faults.py [sandbox] [docker] [--times N]

Takes every fault of the contract's tests through ``check_fault``, so that only faults are timed
that were seen to bite and to heal, twice each time, and reads the marks that they set. Rows are by
fault, in its plainest form and all others together. What this machine cannot do is named with the
reason. Milliseconds: median and worst.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stored import spread

from chaoskit.contracts import FaultModel, Hold, Lab
from chaoskit.lab.docker import DockerLab
from chaoskit.lab.journal import Journal
from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS / "contract"), str(TESTS / "docker"), str(TESTS / "sandbox")]
from docker_stacks import web_pair  # noqa: E402 - the path is set above
from fault_cases import CASES  # noqa: E402
from sandbox_stacks import lab_of, server  # noqa: E402
from test_check_fault_sandbox import WEB  # noqa: E402

TIMES = 2


@contextlib.contextmanager
def noting(fault: FaultModel, into: list[Hold]) -> Iterator[None]:
    """Keep the hold of each injection of this kind of fault."""
    kind: Any = type(fault)
    original = kind.inject

    @contextlib.contextmanager
    def inject(self: Any, lab: Any, targets: Any) -> Iterator[Hold]:
        with original(self, lab, targets) as hold:
            into.append(hold)
            yield hold

    kind.inject = inject
    try:
        yield
    finally:
        kind.inject = original


@contextlib.contextmanager
def lab_named(kind: str, folder: Path) -> Iterator[Lab]:
    """Two web servers, up and healthy."""
    if kind == "sandbox":
        with lab_of(folder, server("a", WEB), server("b", WEB)) as lab:
            lab.up()
            yield lab
        return
    (folder / "run").mkdir()
    run_id = f"faults{os.getpid()}"
    with Journal.create(run_id, folder / "state") as journal:
        lab = DockerLab(web_pair(folder), run_id, folder / "run", journal)
        try:
            lab.up()
            yield lab
        finally:
            lab.down()


def measure(kind: str, times: int) -> None:
    """Print the rows of one lab."""
    holds: dict[tuple[str, str], list[Hold]] = {}
    lacks: dict[str, list[str]] = {}
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as folder, lab_named(kind, Path(folder)) as lab:
        for fault, target, others in CASES:
            lacking = unmet(fault, lab)
            if lacking is not None:
                lacks.setdefault(lacking.partition(": ")[2], []).append(fault.kind)
                continue
            plain = not fault.model_dump(exclude_defaults=True)
            into = holds.setdefault((fault.kind, "" if plain else "other forms"), [])
            for _ in range(times):
                try:
                    with noting(fault, into):
                        check_fault(fault, lab, target, others)
                except AssertionError as error:
                    broken.append(f"{fault!r}: {error}")
    for (name, form), seen in sorted(holds.items()):
        verified = [(h.verified_ns - h.commanded_ns) / 1e9 for h in seen if h.verified_ns]
        healed = [
            (h.healed_ns - h.heal_commanded_ns) / 1e9
            for h in seen
            if h.healed_ns and h.heal_commanded_ns
        ]
        row = f"{kind:8} {name:16} {form:12} {len(seen):5d}"
        print(row, spread(verified, 1e-3), spread(healed, 1e-3), flush=True)
    for reason, names in lacks.items():
        print(f"{kind:8} not here, or not in all forms: {', '.join(sorted(set(names)))}: {reason}")
    for line in broken:
        print(f"{kind:8} BROKEN {line}")


def main() -> None:
    """Print a table of the labs that are named, of both where none is."""
    words = sys.argv[1:]
    times = int(words[words.index("--times") + 1]) if "--times" in words else TIMES
    kinds = [kind for kind in ("sandbox", "docker") if kind in words] or ["sandbox", "docker"]
    print(
        f"{'lab':8} {'fault':16} {'form':12} {'times':>5} {'verified':>10} {'worst':>10}", end=" "
    )
    print(f"{'healed':>10} {'worst':>10}")
    for kind in kinds:
        measure(kind, times)


if __name__ == "__main__":
    main()
