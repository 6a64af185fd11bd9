"""Greenlets used again, and timeouts that come to whom they belong."""

import time

import gevent
from gevent import Timeout

from chaoskit.history.records import Flag, Op
from chaoskit.load.carriers import Carriers, OutOfTime, Patience
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.user import CombUser

MS = 1_000_000


class Slow(CombUser):
    """Takes as long as its operation's slot says, in milliseconds; dispatches if that is odd."""

    def __init__(self):
        self.carried = {}

    def perform(self, operation):
        operation.dispatched = bool(operation.slot % 2)
        gevent.sleep(operation.slot / 1000)
        return Verdict.ACKNOWLEDGED


class Bench:
    def __init__(self, user, timeout_ms):
        self.user, self.patience = user, Patience(timeout_ms * MS)
        self.ended = {}  # slot → verdict, error, milliseconds, greenlet
        self.carriers = Carriers(self.work)

    def work(self, slot):
        operation = Operation(Op.APPEND, slot, 1, 0, fresh=False)
        began = time.monotonic_ns()
        verdict = self.user.carry_out(operation, self.patience, began)
        took = (operation.done_ns - began) / MS
        self.ended[slot] = (verdict, operation, took, gevent.getcurrent())

    def carry(self, *slots):
        """As the dispatcher does: from a callback of the loop."""
        for slot in slots:
            gevent.get_hub().loop.run_callback(self.carriers.carry, slot)


def test_who_takes_too_long_ends_at_its_timeout_and_nobody_else_does():
    bench = Bench(Slow(), 100)
    bench.carry(10, 500, 20, 501, 30)
    gevent.sleep(0.05)
    bench.carry(50, 503)
    gevent.sleep(0.35)
    assert {slot: verdict for slot, (verdict, *_) in bench.ended.items()} == {
        10: Verdict.ACKNOWLEDGED,
        20: Verdict.ACKNOWLEDGED,
        30: Verdict.ACKNOWLEDGED,
        50: Verdict.ACKNOWLEDGED,
        500: Verdict.REFUSED,  # nothing had been sent
        501: Verdict.UNKNOWN,
        503: Verdict.UNKNOWN,
    }
    for slot in (500, 501, 503):
        _, operation, took, _ = bench.ended[slot]
        assert took >= 99, "given up before its time"
        assert operation.flags & Flag.TIMED_OUT
        assert operation.error.startswith("timeout")
    assert not bench.ended[30][1].flags & Flag.TIMED_OUT


def test_the_timer_goes_on_after_a_quiet_time():
    bench = Bench(Slow(), 30)
    for _ in range(2):
        bench.ended.clear()
        bench.carry(1001)
        gevent.sleep(0.2)
        assert bench.ended[1001][0] is Verdict.UNKNOWN
        gevent.sleep(0.1)


def test_greenlets_are_used_again_one_job_at_a_time():
    bench = Bench(Slow(), 1000)
    bench.carry(20, 21, 22)
    gevent.sleep(0.1)
    first = {id(bench.ended[slot][3]) for slot in (20, 21, 22)}
    bench.carry(30, 31, 32)
    gevent.sleep(0.1)
    second = {id(bench.ended[slot][3]) for slot in (30, 31, 32)}
    assert len(first) == 3
    assert first == second


def test_a_timeout_of_the_clients_own_is_not_taken_for_the_combs():
    class Own(Slow):
        def perform(self, operation):
            with Timeout(0.02, exception=False):
                gevent.sleep(5)
            operation.error = "gave up by itself"
            return Verdict.REFUSED

    bench = Bench(Own(), 500)
    bench.carry(1)
    gevent.sleep(0.15)
    verdict, operation, took, _ = bench.ended[1]
    assert (verdict, operation.error) == (Verdict.REFUSED, "gave up by itself")
    assert not operation.flags & Flag.TIMED_OUT
    assert took < 500


def test_out_of_time_is_a_timeout_that_needs_no_timer_of_its_own():
    operation = Operation(Op.GET, 0, 0, 1, fresh=False)
    error = OutOfTime(operation)
    assert isinstance(error, Timeout)
    assert error.operation is operation
    assert not error.pending
