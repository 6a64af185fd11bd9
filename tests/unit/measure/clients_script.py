"""Histories in which each client was out when the script says so, and only then."""

from dataclasses import replace

import numpy as np

from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate

S = 1_000_000_000
MS = 1_000_000
STYLES = ("refuse", "drop", "hold")


def script(outages, *, style="refuse", rate=400.0, seed=1, **more):
    """A trial of ``len(outages)`` clients; each has a list of (from, to), seconds after the fault.

    ``inf`` never ends. Returns the history and the outages as they became, ns.
    """
    history, _ = simulate(Scenario(outage_s=0.0, rate=rate, seed=seed, after_s=6.0, **more))
    history = replace(history, clients=("", *(f"c{n}" for n in range(len(outages)))))
    records = history.requests.copy()
    for stream in range(len(history.streams)):
        rows = np.flatnonzero(records["stream"] == stream)
        rows = rows[np.argsort(records["due_ns"][rows])]
        records["client"][rows] = np.arange(rows.size) % len(outages) + 1
    zero, timeout = history.faults[0].acknowledged_ns, history.streams[0].timeout_ns
    truth = []
    for number, spans in enumerate(outages, start=1):
        truth.append([])
        for start_s, end_s in spans:
            start, end = zero + int(start_s * S), zero + int(min(end_s, 1e6) * S)
            truth[-1].append((start, end))
            sent = records["sent_ns"]
            out = (records["client"] == number) & (sent >= start) & (sent < end)
            _break(records, out, end, timeout, style)
    return replace(history, requests=records), truth


def _break(records, out, end, timeout, style):
    sent, due = records["sent_ns"], records["due_ns"]
    if style == "refuse":
        records["outcome"][out] = Outcome.FAIL_DEFINITE
        records["done_ns"][out] = sent[out] + MS
        return
    served = out & (end + MS - sent < timeout) if style == "hold" else np.zeros_like(out)
    lost = out & ~served
    records["outcome"][lost] = Outcome.AMBIGUOUS
    records["done_ns"][lost] = sent[lost] + timeout
    records["done_ns"][served] = end + MS
    late = served & (records["done_ns"] - due > 100 * MS)
    records["outcome"][late] = Outcome.OK_LATE
