"""The search for an order: against brute force, against another algorithm, against known truths."""

import random
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.measure.wgl import NEVER, Budget, Decision, RegisterOp, decide

PLENTY = 10_000_000


def put(value, begun, ended=NEVER):
    return RegisterOp(begun, ended, True, value)


def get(value, begun, ended):
    return RegisterOp(begun, ended, False, value)


def verdict(*ops, initial=None, steps=PLENTY):
    return decide(ops, initial, Budget(steps))


# ---------------------------------------------------------------- oracles


def by_trying_everything(ops, initial):
    """Every order of every choice of the writes that may never have happened."""
    owed = [op for op in ops if op.ended != NEVER]
    maybe = [op for op in ops if op.ended == NEVER]
    for chosen in range(1 << len(maybe)):
        some = owed + [op for n, op in enumerate(maybe) if chosen >> n & 1]
        if any(explains(order, initial) for order in permutations(some)):
            return Decision.OK
    return Decision.ILLEGAL


def explains(order, held):
    latest = -1
    for op in order:
        latest = max(latest, op.begun)
        if op.ended < latest:
            return False
        if not op.write and op.value != held:
            return False
        held = op.value if op.write else held
    return True


def by_zones(ops, initial):
    """Gibbons and Korach, for values that are written once: no search at all."""
    zones = {}
    for op in ops:
        least, most, written = zones.get(op.value, (NEVER, -1, None))
        zones[op.value] = (
            min(least, op.ended),
            max(most, op.begun),
            op.begun if op.write else written,
        )
    if initial in zones:
        zones[initial] = (-2, zones[initial][1], -2)
    read = {}
    for op in ops:
        if not op.write:
            read[op.value] = min(op.ended, read.get(op.value, NEVER))
    for value, ended in read.items():
        begun = zones[value][2]
        if begun is None or ended < begun:
            return Decision.ILLEGAL
    zones = {v: z for v, z in zones.items() if v in read or z[0] != NEVER}
    forward = [(a, b) for a, b, _ in zones.values() if a < b]
    backward = [(b, a) for a, b, _ in zones.values() if a >= b]
    forward.sort()
    for (_, end), (start, _) in pairwise(forward):
        if start < end:
            return Decision.ILLEGAL
    if any(a < b and d < c for a, c in forward for b, d in backward):
        return Decision.ILLEGAL
    return Decision.OK


# ---------------------------------------------------------------- what a register may do


PLANTED = {
    "a stale read": ((put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)), (put(1, 0, 1), put(2, 2, 4), get(1, 4, 5))),
    "a write lost in sight": (
        (put(1, 0, 1), put(2, 2, 3), get(2, 4, 5), get(1, 6, 7)),
        (put(1, 0, 1), put(2, 2, 3), get(1, 2, 7), get(2, 6, 7)),
    ),
    "a read from the future": (
        (put(1, 0, 1), get(2, 2, 3), put(2, 4, 5)),
        (put(1, 0, 1), get(2, 2, 4), put(2, 4, 5)),
    ),
    "two primaries": (
        (put(1, 0, 1), put(2, 2, 9), get(2, 3, 4), get(1, 5, 6), get(2, 7, 8)),
        (put(1, 0, 1), put(2, 2, 9), get(1, 3, 4), get(2, 5, 6), get(2, 7, 8)),
    ),
    "readers disagree on the order of two writes": (
        (put(1, 0, 9), put(2, 0, 9), get(1, 1, 2), get(2, 3, 4), get(1, 5, 6)),
        (put(1, 0, 9), put(2, 0, 9), get(1, 1, 2), get(2, 3, 4), get(2, 5, 6)),
    ),
    "a value from nowhere": ((put(1, 0, 1), get(7, 2, 3)), (put(1, 0, 1), get(1, 2, 3))),
    "forgotten what was there at first": (
        (get(0, 0, 1), put(1, 2, 3), get(0, 4, 5)), (get(0, 0, 1), put(1, 2, 4), get(0, 4, 5)),
    ),
    "an unknown write comes and goes": (
        (put(1, 0, 1), put(2, 2), get(2, 5, 6), get(1, 7, 8)),
        (put(1, 0, 1), put(2, 2), get(1, 5, 6), get(2, 7, 8)),
    ),
    "an unknown write overwritten and back": (
        (put(1, 0, 1), put(2, 2), get(2, 3, 4), put(3, 5, 6), get(2, 7, 8)),
        (put(1, 0, 1), put(2, 2), get(1, 3, 4), put(3, 5, 6), get(2, 7, 8)),
    ),
    "the same value twice, and once too often": (
        (put(1, 0, 1), put(2, 2, 3), put(1, 4, 5), put(2, 6, 7), get(1, 8, 9)),
        (put(1, 0, 1), put(2, 2, 3), put(1, 4, 8), put(2, 6, 7), get(1, 8, 9)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED)
def test_each_planted_violation_is_found_and_its_clean_twin_is_not(plant):
    violation, twin = PLANTED[plant]
    assert verdict(*violation, initial=0) is Decision.ILLEGAL
    assert verdict(*twin, initial=0) is Decision.OK


@pytest.mark.parametrize("plant", PLANTED)
def test_the_oracle_of_these_tests_knows_them_too(plant):
    violation, twin = PLANTED[plant]
    assert by_trying_everything(violation, 0) is Decision.ILLEGAL
    assert by_trying_everything(twin, 0) is Decision.OK


def test_operations_that_touch_at_one_instant_overlap():
    assert verdict(put(1, 0, 1), put(2, 1, 2), get(1, 3, 4)) is Decision.OK
    assert verdict(put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)) is Decision.ILLEGAL


def test_nothing_is_fine():
    assert verdict() is Decision.OK


# ---------------------------------------------------------------- properties


@st.composite
def tiny(draw, *, unique):
    size = draw(st.integers(1, 6))
    ops, values = [], [0]
    for n in range(size):
        begun = draw(st.integers(0, 12))
        if draw(st.booleans()):
            value = n + 1 if unique else draw(st.integers(1, 2))
            never = draw(st.integers(0, 3)) == 0
            ops.append(put(value, begun, NEVER if never else begun + draw(st.integers(0, 6))))
            values.append(value)
        else:
            ops.append(get(-1, begun, begun + draw(st.integers(0, 6))))
    read = [get(draw(st.sampled_from(values)), o.begun, o.ended) for o in ops if not o.write]
    return [op for op in ops if op.write] + read


@settings(max_examples=400, deadline=None)
@given(tiny(unique=True))
def test_it_agrees_with_brute_force_and_with_zones(ops):
    found = verdict(*ops, initial=0)
    assert found is by_trying_everything(ops, 0)
    assert found is by_zones(ops, 0)


@settings(max_examples=400, deadline=None)
@given(tiny(unique=False))
def test_it_agrees_with_brute_force_where_values_are_written_twice(ops):
    assert verdict(*ops, initial=0) is by_trying_everything(ops, 0)


def register(seed, size, *, clients=6, unknown=0.1, unique=True, spoil=0):
    """What clients of one real register see: each takes effect at once, somewhere within."""
    rng = random.Random(seed)
    free, held, moments = [0.0] * clients, 0, []
    for n in range(size):
        who = min(range(clients), key=free.__getitem__)
        begun = free[who] + rng.expovariate(1.0)
        took = rng.expovariate(0.5)
        free[who] = begun + took
        moments.append((begun + rng.random() * took, begun, begun + took, n))
    ops = []
    for _at, begun, ended, n in sorted(moments):
        write = rng.random() < 0.3
        times = (int(begun * 1e6), int(ended * 1e6))
        if not write:
            ops.append(get(held, *times))
            continue
        value = n + 1 if unique else rng.randrange(1, 4)
        lost = rng.random() < unknown
        if not (lost and rng.random() < 0.5):
            held = value
        ops.append(put(value, times[0], NEVER if lost else times[1]))
    for _ in range(spoil):
        reads = [n for n, op in enumerate(ops) if not op.write]
        n = rng.choice(reads)
        ops[n] = get(ops[rng.choice(reads)].value, ops[n].begun, ops[n].ended)
    return ops


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 250), st.booleans())
def test_what_a_real_register_did_is_always_explained(seed, size, unique):
    ops = register(seed, size, unique=unique)
    assert verdict(*ops, initial=0) is Decision.OK


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(20, 250))
def test_spoiled_histories_are_judged_as_zones_judge_them(seed, size):
    ops = register(seed, size, spoil=2)
    assert verdict(*ops, initial=0) is by_zones(ops, 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(-(10**12), 10**12), st.integers(0, 2))
def test_the_order_of_records_and_the_origin_of_time_change_nothing(seed, shift, spoil):
    ops = register(seed, 60, spoil=spoil)
    moved = [
        RegisterOp(
            o.begun + shift, o.ended if o.ended == NEVER else o.ended + shift, o.write, o.value
        )
        for o in ops
    ]
    random.Random(seed).shuffle(moved)
    left, right = Budget(PLENTY), Budget(PLENTY)
    assert decide(ops, 0, left) is decide(moved, 0, right)
    assert left == right


# ---------------------------------------------------------------- limits


def test_a_search_that_ran_out_is_unknown_and_never_ok():
    ops = register(1, 200)
    spent = PLENTY - _left(ops)
    assert decide(ops, 0, Budget(spent + 1)) is Decision.OK
    for steps in (0, 1, spent // 2, spent - 2):
        assert decide(ops, 0, Budget(steps)) is Decision.UNKNOWN


def _left(ops):
    budget = Budget(PLENTY)
    assert decide(ops, 0, budget) is Decision.OK
    return budget.left


def held_and_served(writes, reads):
    """A stopped primary: everything waits, and is served at once when it goes on."""
    ops = [put(n + 1, n * 10, 10_000 + n) for n in range(writes)]
    return ops + [get(writes // 2, 10_000 + writes + n * 10, 10_005 + writes + n * 10) for n in range(reads)]  # fmt: skip


def test_a_pile_of_held_writes_needs_no_search_among_their_orders():
    ops = held_and_served(200, 50)
    assert verdict(*ops, initial=0, steps=300_000) is Decision.OK
    ops[-1] = get(3, ops[-1].begun, ops[-1].ended)
    assert verdict(*ops, initial=0, steps=300_000) is Decision.ILLEGAL


def test_unknown_writes_that_nobody_read_cost_nothing():
    ops = [*register(3, 300, unknown=0.0), *(put(10_000 + n, n * 100) for n in range(2_000))]
    assert verdict(*ops, initial=0, steps=20_000) is Decision.OK
    assert verdict(*ops, get(77_777, 1, 2), initial=0, steps=20_000) is Decision.ILLEGAL


def test_steps_grow_with_the_history_and_not_faster():
    short, long = (PLENTY - _left(register(5, size)) for size in (1_000, 8_000))
    assert long < 16 * short


def test_a_dead_end_is_met_once():
    """Twelve overlapping writes, each of which was read, and at last one that contradicts them:
    without memory every order would be tried."""
    ops = [put(n, 0, 1_000) for n in range(1, 13)]
    ops += [get(n, 0, 1_000) for n in range(1, 13)]
    ops += [get(1, 2_000, 2_001), get(2, 2_002, 2_003)]
    assert verdict(*ops, initial=0, steps=3_000_000) is Decision.ILLEGAL
