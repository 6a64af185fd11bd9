"""``hang`` against processes that come and go while it is at work."""

import pytest
from unit.fakelab import FakeLab

from chaoskit.capabilities import Process, Processes
from chaoskit.contracts import Targets
from chaoskit.errors import LabError
from chaoskit.faults.hang import Hang

MAIN = Process(10, 1, "server", "server --all", first=True)
WORKER = Process(11, 1, "server", "server: worker", first=False)
CHECK = Process(12, 1, "server", "server ping", first=False, guest=True)


class Crowd(FakeLab):
    """Every node has the same processes; ``ends`` are gone by the time somebody stops them."""

    def __init__(self, *there, ends=()):
        super().__init__()
        self.there, self.gone = there, {p.pid for p in ends}
        self.hung, self.let_go = set(), []

    def processes(self, _node):
        return self.there

    def signal_process(self, _node, process, _signal):
        return self.runs(process)

    def runs(self, process):
        return process.pid not in self.gone

    def hang(self, _node, process):
        if self.runs(process):
            self.hung.add(process.pid)
        return self.runs(process)

    def hangs(self, process):
        return self.runs(process) and process.pid in self.hung

    def unhang(self, _node, process):
        self.let_go.append(process.pid)
        self.hung.discard(process.pid)


def held(lab, pattern="server"):
    targets = Targets((lab.node("a"),))
    return Hang.model_validate({"process": pattern, "felt_at": "nowhere"}).inject(lab, targets)


def test_the_fake_is_what_the_fault_asks_for():
    assert isinstance(Crowd(), Processes)


@pytest.mark.parametrize("gone", [WORKER, CHECK])
def test_a_process_that_ends_between_listing_and_stopping_is_left_out(gone):
    lab = Crowd(MAIN, WORKER, CHECK, ends=[gone])
    with held(lab) as hold:
        assert hold.verified_ns is not None
        assert f"({gone.pid})" not in hold.detail
        assert "(10)" in hold.detail
        assert hold.in_force()
    assert hold.verified_ns is not None
    assert {10, 11, 12} - {gone.pid} <= set(lab.let_go)


def test_where_all_ended_before_they_could_be_stopped_it_says_so_and_lets_go():
    lab = Crowd(MAIN, CHECK, ends=[CHECK])
    with pytest.raises(LabError, match=r"server \(12\) of a ended .*no other .*'\*ping'"):  # noqa: SIM117 - the error comes from entering
        with held(lab, "*ping"):
            pass
    assert lab.let_go == [12]


def test_a_guest_that_ends_while_it_hangs_does_not_end_the_fault_while_another_hangs():
    lab = Crowd(MAIN, CHECK)
    with held(lab) as hold:
        lab.gone.add(CHECK.pid)
        assert hold.in_force()
    assert hold.verified_ns is not None


@pytest.mark.parametrize(("pattern", "gone"), [("server", WORKER), ("*ping", CHECK)])
def test_one_of_the_nodes_own_that_is_gone_or_the_last_guest_ends_it(pattern, gone):
    lab = Crowd(MAIN, WORKER, CHECK)
    with held(lab, pattern) as hold:
        assert hold.in_force()
        lab.gone.add(gone.pid)
        assert not hold.in_force()
    assert hold.verified_ns is None
    assert "not any more before the heal" in hold.detail


def test_one_that_somebody_lets_go_on_ends_it():
    lab = Crowd(MAIN, WORKER)
    with held(lab) as hold:
        lab.hung.discard(WORKER.pid)
        assert not hold.in_force()
    assert hold.verified_ns is None
