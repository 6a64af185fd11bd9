"""Every checker is shown what it is there for, beside a clean twin in which it stays silent.

A checker that cannot fire is worse than none. Each plant is one change to one clean history.
"""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import FinalRead, NodeEvent
from chaoskit.history.records import Op, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories, judge_trial

S = 1_000_000_000
MS = 1_000_000


def at_most(metric, value, unit="s", **more):
    return Threshold(f"{metric} <= {value}", metric, "<=", value, unit, **more)


THRESHOLDS = (
    at_most("client_outage", 1.2),
    at_most("client_outage_read", 1.2),
    at_most("failover_time", 1.2),
    at_most("bad_time", 1.2),
    at_most("goodput_gap", 1.2),
    at_most("max_stall", 0.1),
    at_most("dropped_requests", 230, "count"),
    at_most("error_rate", 0.01, "ratio", phase="recovered"),
    Threshold("availability >= 99%", "availability", ">=", 0.99, "ratio", phase="recovered"),
    at_most("latency", 0.02, stat="p99", phase="recovered"),
    at_most("time_to_detect", 1.1),
    at_most("flaps", 1, "count"),
    at_most("lost_writes", 0, "count"),
    at_most("rpo_time", 0),
    at_most("split_brain_loss", 0, "count"),
    at_most("post_heal_loss", 0, "count"),
    at_most("duplicate_writes", 0, "count"),
    at_most("unexpected_writes", 0, "count"),
    at_most("resurrected_writes", 0, "count"),
    at_most("divergent_writes", 0, "count"),
    at_most("stale_reads", 0, "count"),
    at_most("session_violations", 0, "count"),
    at_most("linearizability_violations", 0, "count"),
    at_most("time_to_steady", 1.5),
    at_most("settle_time", 0.5),
    at_most("backlog_drain", 0.5),
    at_most("gray_time", 0.3),
    at_most("dual_primary", 0),
    at_most("fencing_latency", 0.1),
    at_most("flapping", 0, "count"),
    at_most("client_outage_worst", 1.2),
    at_most("client_outage_median", 1.2),
    at_most("client_outage_union", 1.2),
    at_most("client_outage_intersection", 1.2),
    Threshold("user_uptime >= 80%", "user_uptime", ">=", 0.8, "ratio"),
    at_most("false_failovers", 0, "count"),
    at_most("false_suspicions", 0, "count"),
    at_most("mistake_duration", 0.05),
    Threshold("query_accuracy >= 99%", "query_accuracy", ">=", 0.99, "ratio"),
)
CASE = Case("planted", THRESHOLDS, 1)


@pytest.fixture(scope="module")
def clean():
    both = (("write", "write", "kept"), ("read", "read", "kept"))
    history = simulate(Scenario(streams=both, after_s=4.0, registers=4, pinned=50.0))[0]
    begin, end = history.window.baseline_start_ns, history.faults[0].commanded_ns
    told = [heard("heartbeat-seen", at) for at in range(begin, end, 50 * MS)]
    return replace(history, events=(*told, heard("declared-dead", end + 300 * MS, "node-a")))


def heard(word, at, detail="7 of node-a"):
    return NodeEvent("node-b", at, word, 1 << 62, detail)


def after_fault(history, stream, start_s, end_s):
    """Requests of a stream that were due so long after the fault."""
    zero = history.faults[0].acknowledged_ns
    due = history.requests["due_ns"] - zero
    chosen = (due >= start_s * S) & (due < end_s * S)
    return chosen & (history.requests["stream"] == stream)


def altered(history, chosen, **columns):
    requests = history.requests.copy()
    for name, value in columns.items():
        requests[name][chosen] = value
    return replace(history, requests=requests)


def refused(history, stream, start_s, end_s, whose=True):
    """Refuse that stretch; what was stored of it is taken out of every final read and register."""
    chosen = after_fault(history, stream, start_s, end_s) & whose
    tokens = history.requests["token"][chosen]
    changed = altered(history, chosen, outcome=Outcome.FAIL_DEFINITE, server=0)
    requests, held = changed.requests, {}
    for row in np.argsort(requests["sent_ns"]):
        key, seen = int(requests["key"][row]), int(requests["seen"][row])
        if requests["op"][row] == Op.GET and seen in tokens:
            requests["seen"][row] = held.get(key, 0)
        elif requests["op"][row] == Op.GET and seen:
            held[key] = seen
    return stored(changed, lambda held: ~np.isin(held.tokens, tokens[tokens > 0]))


def stored(history, keep):
    finals = {
        place: FinalRead(place, held.tokens[keep(held)], held.counts[keep(held)])
        for place, held in history.finals.items()
    }
    return replace(history, finals=finals)


def slow(history):
    chosen = after_fault(history, 0, 3.0, 4.9)
    late = history.requests["due_ns"][chosen] + 50 * MS
    return altered(history, chosen, done_ns=late)


def stalled(history):
    """One write hangs while everything else is served."""
    chosen = np.flatnonzero(after_fault(history, 0, 3.0, 3.2))[:1]
    done = history.requests["due_ns"][chosen] + 150 * MS
    return altered(history, chosen, done_ns=done, outcome=Outcome.OK_LATE)


def detected_late(history):
    late = history.faults[0].acknowledged_ns + int(1.3 * S)
    events = [replace(e, t_ns=late) if e.event == "declared-dead" else e for e in history.events]
    return replace(history, events=tuple(events))


def duplicated(history):
    finals = dict(history.finals)
    held = finals["node-b"]
    counts = held.counts.copy()
    counts[5] = 2
    finals["node-b"] = FinalRead("node-b", held.tokens, counts)
    return replace(history, finals=finals)


def appeared(history, token):
    finals = dict(history.finals)
    held = finals["node-b"]
    tokens = np.append(held.tokens, np.uint64(token))
    finals["node-b"] = FinalRead("node-b", tokens, np.append(held.counts, np.uint64(1)))
    return replace(history, finals=finals)


def lost(history):
    return stored(history, lambda held: held.tokens != held.tokens[3])


def lost_when(history, *, healed):
    """One write is gone that was sent after the fault; its answer came before or after the heal."""
    (fault,), requests = history.faults, history.requests
    acked = (requests["op"] == Op.APPEND) & (requests["outcome"] == Outcome.OK)
    acked &= requests["sent_ns"] > fault.acknowledged_ns
    late = requests["done_ns"] > fault.heal_commanded_ns
    token = requests["token"][acked & (late if healed else ~late)].max()
    return stored(history, lambda held: held.tokens != token)


def goes_on(history, until_s):
    """The deposed primary acknowledges for so long what its pinned writer asks, and all have it."""
    pinned = next(i for i, s in enumerate(history.streams) if s.pinned == "node-a")
    chosen = after_fault(history, pinned, 0.0, until_s)
    requests = history.requests
    done = altered(history, chosen, outcome=Outcome.OK, error=0)
    finals = {
        place: FinalRead(place, tokens, np.ones(tokens.size, dtype=np.uint64))
        for place, held in history.finals.items()
        for tokens in [np.sort(np.append(held.tokens, requests["token"][chosen]))]
    }
    return replace(done, finals=finals)


def wrong_side(history):
    """The first node came back with what it had had itself, not with what the second has."""
    finals = dict(history.finals)
    held = finals["node-a"]
    keep = np.arange(held.tokens.size) % 3 > 0
    finals["node-a"] = FinalRead("node-a", held.tokens[keep], held.counts[keep])
    return replace(history, finals=finals)


def refused_token(history):
    requests = history.requests
    definite = requests["outcome"] == Outcome.FAIL_DEFINITE
    return int(requests["token"][definite & (requests["token"] > 0)][0])


def read_of(history, number):
    """A read at rest after recovery, and tokens put into its register before, newest first."""
    requests = history.requests
    reads = np.flatnonzero(after_fault(history, 1, 3.0, 4.0) & (requests["key"] > 0))
    read = reads[np.argsort(requests["due_ns"][reads])][number]
    puts = (requests["op"] == Op.PUT) & (requests["key"] == requests["key"][read])
    puts &= (requests["outcome"] == Outcome.OK) & (requests["done_ns"] < requests["sent_ns"][read])
    return read, np.sort(requests["token"][puts])[::-1]


def read_stale(history, client):
    """One read returns an older value; client 2 is one that wrote and read nothing else."""
    read, tokens = read_of(history, 10)
    known = replace(history, clients=(*history.clients, "other"))
    return altered(known, read, seen=tokens[2], client=client)


def come_and_gone(history):
    """While a write is under way one client reads it, and then another what was there before."""
    read, tokens = read_of(history, 20)
    requests = history.requests
    key, put = requests["key"][read], np.flatnonzero(requests["token"] == tokens[0])[0]
    sent = requests["sent_ns"][put]
    history = altered(history, put, done_ns=sent + 90 * MS)
    ours = (requests["stream"] == 1) & (requests["key"] == key)
    reads = np.flatnonzero(ours & (requests["sent_ns"] > sent))
    reads = reads[np.argsort(requests["sent_ns"][reads])]
    history = replace(history, clients=(*history.clients, "other"))
    return altered(history, reads[1], seen=tokens[1], client=2)


def took_turns(history):
    """After heal primary goes to the first node and back again, and nobody is hurt."""
    zero = history.faults[0].acknowledged_ns

    def seen(poll):
        turned = 2.5 <= (poll.sent_ns - zero) / S < 3.0
        return replace(poll, value={"node-a": "primary", "node-b": "backup"}[poll.node]) if (
            turned
        ) else poll  # fmt: skip

    return replace(history, observations=tuple(map(seen, history.observations)))


def all_is_well(history):
    """Probes see nothing of the fault: the first node seems to be primary all along."""
    zero = history.faults[0].acknowledged_ns

    def seen(poll):
        hidden = poll.sent_ns < zero + 0.8 * S and poll.node == "node-a"
        return replace(poll, value="primary", error=None) if hidden else poll

    return replace(history, observations=tuple(map(seen, history.observations)))


def one_stuck(history):
    """One of eight clients is refused for 1.5 s after service is back for the others."""
    requests = history.requests.copy()
    for stream in (0, 1):
        rows = np.flatnonzero(requests["stream"] == stream)
        rows = rows[np.argsort(requests["due_ns"][rows])]
        requests["client"][rows] = np.arange(rows.size) % 8 + 1
    known = replace(history, requests=requests, clients=("", *(f"client/{n}" for n in range(1, 9))))
    return refused(known, 0, 1.0, 2.5, requests["client"] == 6)


def no_cause(history):
    """node-b is primary for 200 ms, 1.5 s before the fault."""
    at = history.faults[0].commanded_ns - 1500 * MS
    turned = {"node-a": "backup", "node-b": "primary"}
    return replace(
        history,
        observations=tuple(
            replace(o, value=turned[o.node]) if at <= o.sent_ns < at + 200 * MS else o
            for o in history.observations
        ),
    )


def queued(history):
    """Every tenth request due in 0.9 s after the outage waits 10 ms."""
    rows = after_fault(history, 0, 1.0, 1.9) & (history.requests["token"] % 10 == 0)
    return altered(history, rows, done_ns=history.requests["due_ns"][rows] + 10 * MS)


def suspected(history):
    """node-b takes node-a for dead 1.5 s before the fault, and hears it again 60 ms later."""
    at = history.faults[0].commanded_ns - 1500 * MS
    beats = [e for e in history.events if not at - 200 * MS < e.t_ns < at + 60 * MS]
    again = heard("heartbeat-seen", at + 60 * MS)
    return replace(history, events=(*beats, heard("declared-dead", at, "node-a"), again))


PLANTS = {
    "one of eight clients stays without service": (
        one_stuck, {"client_outage_worst", "client_outage_union", "flaps", "error_rate",
                    "availability", "time_to_steady", "settle_time"},
    ),
    "a second outage, longer than the first": (
        lambda h: refused(h, 0, 1.5, 3.2),
        {"client_outage", "bad_time", "goodput_gap", "flaps", "dropped_requests",
         "settle_time", "time_to_steady", "gray_time", "client_outage_worst", "user_uptime",
         "client_outage_median", "client_outage_union", "client_outage_intersection"},
    ),
    "the failover takes twice as long": (
        lambda h: refused(h, 0, 0.0, 2.0),
        {"client_outage", "bad_time", "goodput_gap", "dropped_requests", "failover_time",
         "time_to_steady", "client_outage_worst", "user_uptime", "client_outage_median",
         "client_outage_union", "client_outage_intersection"},
    ),
    "reads out while writes are not": (lambda h: refused(h, 1, 1.0, 2.0), {"client_outage_read"}),
    "writes refused now and then": (
        lambda h: altered(
            h,
            after_fault(h, 0, 2.5, 4.5) & (h.requests["token"] % 20 == 0),
            outcome=Outcome.OK_LATE,
            done_ns=h.requests["due_ns"][after_fault(h, 0, 2.5, 4.5) & (h.requests["token"] % 20 == 0)]
            + 101 * MS,
        ),
        {"error_rate", "availability", "flaps", "max_stall", "latency", "time_to_steady", "settle_time"},
    ),
    "one write hangs": (stalled, {"max_stall", "flaps"}),
    "slow after recovery": (slow, {"latency"}),
    "answers come slowly for a while once service is back": (
        queued, {"time_to_steady", "settle_time", "backlog_drain"},
    ),
    "declared dead late": (detected_late, {"time_to_detect"}),
    "an acknowledged write lost": (lost, {"lost_writes", "rpo_time"}),
    "a write lost that somebody acknowledged under the fault": (
        lambda h: lost_when(h, healed=False), {"lost_writes", "split_brain_loss"},
    ),
    "a write lost that was acknowledged after the heal": (
        lambda h: lost_when(h, healed=True), {"lost_writes", "post_heal_loss"},
    ),
    "a write stored twice": (duplicated, {"duplicate_writes", "divergent_writes"}),
    "a write from nowhere": (
        lambda h: appeared(h, 7), {"unexpected_writes", "divergent_writes"},
    ),
    "a node came back with another state": (wrong_side, {"divergent_writes"}),
    "one value read that had been replaced": (
        lambda h: read_stale(h, 1),
        {"stale_reads", "session_violations", "linearizability_violations"},
    ),
    "the same by a client that wrote nothing": (
        lambda h: read_stale(h, 2), {"stale_reads", "linearizability_violations"},
    ),
    "readers see a write come and go while it is under way": (
        come_and_gone, {"linearizability_violations"},
    ),
    "primary goes to and fro": (took_turns, {"flapping"}),
    "another primary for a moment, long before the fault": (no_cause, {"false_failovers"}),
    "a node that lives is taken for dead for a moment, long before the fault": (
        suspected, {"false_suspicions", "mistake_duration", "query_accuracy"},
    ),
    "the deposed primary goes on": (
        lambda h: goes_on(h, 2.0), {"dual_primary", "fencing_latency"},
    ),
    "the deposed primary goes on until another is in office": (
        lambda h: goes_on(h, 0.9), {"fencing_latency"},
    ),
    "clients are served by the first primary as well, for a while": (
        lambda h: altered(h, after_fault(h, 0, 1.5, 2.0) & (h.requests["token"] % 2 == 0), server=1),
        {"dual_primary"},
    ),
    "no probe sees the outage": (all_is_well, {"gray_time"}),
    "a refused write stored": (
        lambda h: appeared(h, refused_token(h)), {"resurrected_writes", "divergent_writes"},
    ),
}  # fmt: skip


def verdicts(history):
    judged = judge_trial(CASE, TrialInput(1, history))
    assert judged.valid, judged.result.invalid_because
    names = {t.text: t.metric for t in THRESHOLDS}
    judged = [e for e in judged.result.expectations if e.expression in names]  # no findings
    return {names[e.expression]: e.verdict for e in judged}


def test_the_clean_twin_passes_everything(clean):
    assert set(verdicts(clean).values()) == {Verdict.PASS}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_defect_is_found_by_its_checkers_and_by_no_other(clean, plant):
    change, expected = PLANTS[plant]
    found = verdicts(change(clean))
    assert {metric for metric, verdict in found.items() if verdict is Verdict.FAIL} == expected


def test_every_threshold_is_violated_by_some_plant():
    assert set.union(*(expected for _, expected in PLANTS.values())) == {
        t.metric for t in THRESHOLDS
    }


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_defect_fails_the_run(clean, plant):
    change, _ = PLANTS[plant]
    result = judge_histories(CASE, [TrialInput(1, change(clean))])
    assert (result.verdict, result.exit_code) == (Verdict.FAIL, 1)
