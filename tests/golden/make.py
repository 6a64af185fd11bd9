"""Makes the stored histories anew: ``python tests/golden/make.py``.

Only when the format of a trial's folder changes. What they are expected to come to is written by
``CHAOSKIT_GOLDEN=write pytest tests/golden``; read the difference before committing it.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from chaoskit.history.history import FinalRead
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate, store

HERE = Path(__file__).parent
SMALL = Scenario(rate=25.0, baseline_s=3.2, after_s=1.6, poll_s=0.1, deadline_s=0.1, timeout_s=0.4)
TWO = (("write", "write", "kept"), ("read", "read", "kept"))


def lost(history, count):
    """Writes that the first primary acknowledged last and that died with it."""
    fault = history.faults[0]
    requests = history.requests
    acked = requests["outcome"] == Outcome.OK
    acked &= (requests["done_ns"] < fault.acknowledged_ns) & (requests["token"] > 0)
    gone = np.sort(requests["token"][acked])[-count:]
    finals = {}
    for place, held in history.finals.items():
        keep = ~np.isin(held.tokens, gone)
        finals[place] = FinalRead(place, held.tokens[keep], held.counts[keep])
    return replace(history, finals=finals)


def apart(history, count):
    """The first primary is back with what it had, and without the second one's first writes."""
    fault, requests = history.faults[0], history.requests
    later = (requests["done_ns"] > fault.acknowledged_ns) & (requests["outcome"] == Outcome.OK)
    missed = np.sort(requests["token"][later & (requests["token"] > 0)])[:count]
    held = history.finals["node-a"]
    keep = ~np.isin(held.tokens, missed)
    own = FinalRead("node-a", held.tokens[keep], held.counts[keep])
    return replace(history, finals={**history.finals, "node-a": own})


def gone(history, node):
    """The first primary is asked in the end and does not answer; the others have everything."""
    finals = {place: held for place, held in history.finals.items() if place != node}
    facts = {place: {"tokens": held.tokens.size} for place, held in finals.items()}
    why = f"{node} could not be read back: connection refused"
    notes = {**history.notes, "final_reads": {**facts, node: {"error": why}}}
    return replace(history, finals=finals, notes=notes)


def both(history):
    """The first primary goes on for 800 ms beside the second, and both have what it took."""
    requests = history.requests.copy()
    pinned = next(i for i, s in enumerate(history.streams) if s.pinned == "node-a")
    since = requests["due_ns"] - history.faults[0].acknowledged_ns
    chosen = (requests["stream"] == pinned) & (since >= 0) & (since < 1_800_000_000)
    requests["outcome"][chosen], requests["error"][chosen] = Outcome.OK, 0
    finals = {}
    for place, held in history.finals.items():
        tokens = np.sort(np.append(held.tokens, requests["token"][chosen]))
        finals[place] = FinalRead(place, tokens, np.ones(tokens.size, dtype=np.uint64))
    return replace(history, requests=requests, finals=finals)


def cases():
    """Name and history of each stored trial."""
    yield "held-and-served", simulate(replace(SMALL, style="stall", streams=TWO, seed=11))[0]
    yield "async-loss", lost(simulate(replace(SMALL, style="drop", seed=12))[0], 4)
    yield "never-back", simulate(replace(SMALL, outage_s=float("inf"), seed=13))[0]
    quiet = simulate(replace(SMALL, outage_s=0.0, bites=False, seed=14))[0]
    yield "nothing-happens", quiet
    died = simulate(replace(SMALL, seed=15))[0]
    yield "came-back-apart", apart(simulate(replace(SMALL, seed=16))[0], 3)
    yield "node-gone", gone(simulate(replace(SMALL, seed=17))[0], "node-a")
    yield "two-primaries", both(simulate(replace(SMALL, pinned=20.0, seed=17))[0])
    yield "load-died", replace(died, alive_at_end=False, incidents=("the load died: killed",))


def main():
    """Write every case beside this file."""
    for name, history in cases():
        folder = HERE / name / "trials" / "01"
        shutil.rmtree(folder, ignore_errors=True)
        store(folder, history)


if __name__ == "__main__":
    main()
