"""The schedule: absolute, phase-shifted, never made up for."""

import itertools
import time

import gevent
import gevent.event
import pytest

from chaoskit.history.history import Stream
from chaoskit.load.alarm import Alarm
from chaoskit.load.comb import GROUP_NS, GROUPED_FROM, LATE_NS, Comb, Dispatcher, phases

MS = 1_000_000


def stream(rate=200.0, timeout_ns=200 * MS, name="write"):
    return Stream(name, "write", rate, "kept", 100 * MS, timeout_ns)


class Bench:
    """A dispatcher whose clock is turned by hand."""

    def __init__(self, *combs):
        self.now = 0
        self.sent, self.skipped = [], []
        self.combs = combs
        self.dispatcher = Dispatcher(combs, self.issue, self.skip, now_ns=lambda: self.now)

    def issue(self, comb, slot, due_ns):
        self.sent.append((comb.stream.name, slot, due_ns, self.now))

    def skip(self, comb, slot, due_ns, why, late_ns):
        self.skipped.append((comb.stream.name, slot, due_ns, why, late_ns))


def test_due_times_are_computed_from_the_start_and_do_not_add_up_rounding():
    bench = Bench(Comb(stream(rate=300), 0))
    bench.dispatcher.begin(1000)
    for k in range(30_001):
        bench.now = 1000 + int(k * 1e9 / 300)
        bench.combs[0].in_flight = 0
        bench.dispatcher.step()
    assert bench.sent[-1][2] == 1000 + 100 * 10**9
    assert [s for _, s, *_ in bench.sent] == list(range(30_001))
    assert not bench.skipped


def test_slots_within_the_bound_are_still_sent_and_later_ones_are_skipped_for_good():
    bench = Bench(Comb(stream(rate=200), 0))
    bench.dispatcher.begin(0)
    bench.now = 1000 * MS  # nobody looked for a second: slots 0 to 200 are due
    bench.dispatcher.step()
    assert len(bench.sent) + len(bench.skipped) == 201
    assert all(due >= bench.now - LATE_NS for _, _, due, _ in bench.sent)
    assert all(due < bench.now - LATE_NS for _, _, due, *_ in bench.skipped)
    assert len(bench.sent) == 11  # 0 to 50 ms late
    assert {why for *_, why, _ in bench.skipped} == {"not sent: the load itself was late"}
    bench.dispatcher.step()
    assert len(bench.sent) == 11
    bench.now += 5 * MS
    bench.dispatcher.step()
    assert bench.sent[-1][2] == bench.now  # the schedule did not move


def test_for_a_slow_comb_the_bound_is_one_interval():
    bench = Bench(Comb(stream(rate=2), 0))
    bench.dispatcher.begin(0)
    bench.now = 400 * MS
    bench.dispatcher.step()
    assert [slot for _, slot, *_ in bench.sent] == [0]


def test_without_room_in_flight_a_slot_is_skipped_with_that_reason():
    comb = Comb(stream(rate=200), 0)
    bench = Bench(comb)
    bench.dispatcher.begin(0)
    comb.in_flight = comb.room
    bench.dispatcher.step()
    assert [why for *_, why, _ in bench.skipped] == ["not sent: too many requests in flight"]
    assert not bench.sent


def test_the_room_is_never_less_than_an_open_loop_needs_while_everything_times_out():
    for rate, timeout_s in ((10, 0.1), (200, 0.2), (1000, 1), (5000, 5)):
        assert Comb(stream(rate, int(timeout_s * 1e9)), 0).room > rate * timeout_s


@pytest.mark.parametrize(
    "rates", [(200, 200), (200, 200, 20, 20), (100, 37, 1), (1000, 1000, 100, 100)]
)
def test_combs_are_shifted_so_that_none_of_their_slots_coincide(rates):
    shifts = phases([stream(rate) for rate in rates])
    shortest = 1e9 / max(rates)
    assert shifts[0] == 0
    assert all(0 <= s < shortest for s in shifts)
    assert len(set(shifts)) == len(rates)
    if all(max(rates) % rate == 0 for rate in rates):
        slots = [
            {shift + int(k * 1e9 / rate) for k in range(100)}
            for rate, shift in zip(rates, shifts, strict=True)
        ]
        assert not set.intersection(*slots)


def test_slots_that_are_close_are_issued_in_groups_and_others_each_on_its_own():
    def group(*rates):
        combs = [Comb(stream(rate), i) for i, rate in enumerate(rates)]
        return Dispatcher(combs, lambda *_: None, lambda *_: None).group_ns

    assert group(1000, 1000) == 0
    assert group(1000, 1001) == GROUP_NS
    assert group(5000) == GROUP_NS
    assert GROUPED_FROM == 2000
    assert GROUP_NS < LATE_NS  # a slot that waits for its group is never too late for it


def test_the_alarm_goes_off_at_an_absolute_time_and_never_before_it():
    alarm = Alarm()
    over = gevent.event.Event()
    late = []
    when = time.monotonic_ns() + 5 * MS

    def gone_off():
        late.append(time.monotonic_ns() - when - 5 * MS * len(late))
        alarm.set(when + 5 * MS * len(late))
        if len(late) == 40:
            over.set()

    try:
        alarm.call(gone_off)
        alarm.set(when)
        assert over.wait(10)
        assert min(late) >= 0
        assert min(late) < 1 * MS  # gevent's own timers are rounded to a millisecond
        over.clear()
        late.clear()
        late.extend([0] * 39)
        alarm.set(0)  # long past: at once
        assert over.wait(10)
    finally:
        alarm.close()
        alarm.close()


@pytest.mark.parametrize("rate", [100, 4000])  # each on its own, and in groups
def test_other_greenlets_run_while_the_dispatcher_waits_and_it_ends_when_stopped(rate):
    comb = Comb(stream(rate=rate), 0)
    sent = []

    def issue(comb, slot, due_ns):
        comb.in_flight -= 1
        sent.append((slot, time.monotonic_ns() - due_ns))

    dispatcher = Dispatcher([comb], issue, lambda *_: None)
    dispatcher.begin(time.monotonic_ns())
    dispatcher.start()
    gevent.sleep(0.2)
    dispatcher.stop()
    dispatcher.stop()
    assert rate / 20 <= len(sent) <= rate / 4
    assert [slot for slot, _ in sent] == list(range(len(sent)))
    assert min(late for _, late in sent) >= 0
    gevent.sleep(0.05)
    assert len(sent) == sent[-1][0] + 1


@pytest.mark.parametrize(("share", "left"), [(0.5, 50), (0.25, 25), (0.9, 90), (0.01, 1)])
def test_a_load_that_is_shed_leaves_out_slots_evenly_and_leaves_no_record_of_them(share, left):
    comb = Comb(stream(rate=100), 0)
    bench = Bench(comb)
    bench.dispatcher.begin(0)
    comb.shed = (1000 * MS, 2000 * MS, share)
    for at in range(0, 3000 * MS, 5 * MS):
        bench.now = at
        bench.dispatcher.step()
        comb.in_flight = 0
    slots = [slot for _, slot, _, _ in bench.sent]
    inside = [slot for slot in slots if 100 <= slot < 200]
    assert len(inside) == left
    gaps = [b - a for a, b in itertools.pairwise(inside)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert [s for s in slots if not 100 <= s < 200] == [*range(100), *range(200, 300)]
    assert comb.due == len(slots)
    assert not bench.skipped
