"""Shapes as commands: exact words, nothing replaced, ours taken out and nobody else's."""

import json
import subprocess

import pytest

from chaoskit.capabilities import Netem, Rate, Shape
from chaoskit.contracts import Node
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.bandwidth import Bandwidth
from chaoskit.faults.corrupt import Corrupt
from chaoskit.faults.duplicate import Duplicate
from chaoskit.faults.latency import Latency
from chaoskit.faults.reorder import Reorder
from chaoskit.lab.journal import Journal
from chaoskit.lab.process import ProcessIdentity, boot_id
from chaoskit.lab.shaping import handle_of, qdiscs, remove_qdisc, words
from chaoskit.lab.tweaks import Tweaks

A = Node("a", "198.18.0.2")
MAJOR = handle_of("t1")


class Kernel:
    """A namespace with devices and their root disciplines; records what tc was told."""

    def __init__(self, *devices, works=True):
        self.roots = dict.fromkeys(devices)
        self.told = []
        self.works = works

    def run(self, argv, **_):
        argv = list(argv)
        if argv[0] == "cat":
            lines = ["head", "head", *(f" {d}: 0 0" for d in ("lo", *self.roots))]
            return self._said("\n".join(lines))
        if "show" in argv:
            root = self.roots[argv[-1]]
            kind, handle = root or ("noqueue", "0:")
            return self._said(json.dumps([{"kind": kind, "handle": handle, "root": True}]))
        self.told.append(argv)
        device = argv[4]
        if argv[2] == "add":
            if not self.works:
                return self._said("RTNETLINK answers: no", status=2)
            self.roots[device] = (argv[8], argv[7])
        elif self.roots[device] and self.roots[device][1] == argv[-1] and self.works:
            self.roots[device] = None
        return self._said("")

    @staticmethod
    def _said(text, status=0):
        return subprocess.CompletedProcess([], status, text.encode(), text.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def rig(tmp_path):
    kernel = Kernel("eth0", "eth1")
    who = ProcessIdentity(4711, 99, boot_id())
    with Journal.create("t1", tmp_path / "state") as journal:
        tweaks = Tweaks(journal, lambda _node: who, lambda _who: kernel)
        yield kernel, journal, tweaks


def fault(cls, **keys):
    return cls.model_validate(keys)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (fault(Latency, delay="75ms").netem(), "netem limit 10000 delay 75000us"),
        (
            fault(Latency, delay="75ms", jitter="50ms", correlation="25%").netem(),
            "netem limit 10000 delay 75000us 50000us 25.0000%",
        ),
        (
            fault(Latency, delay="1s", jitter="10ms", distribution="normal").netem(),
            "netem limit 10000 delay 1000000us 10000us 0.0000% distribution normal",
        ),
        (fault(Duplicate, share="1%").netem(), "netem limit 10000 duplicate 1.0000% 0.0000%"),
        (
            fault(Reorder, share="25%", correlation="50%").netem(),
            "netem limit 10000 delay 10000us reorder 25.0000% 50.0000%",
        ),
        (fault(Corrupt, share="0.1%").netem(), "netem limit 10000 corrupt 0.1000% 0.0000%"),
        (
            Netem(loss=0.2, correlation=0.75),
            "netem limit 10000 loss 20.0000% 75.0000%",
        ),
        (fault(Bandwidth, rate="1mbit/s").bucket(), "tbf rate 125000bps burst 4096 limit 54096"),
        (
            fault(Bandwidth, rate="1gbit/s", queue="1ms").bucket(),
            "tbf rate 125000000bps burst 1250000 limit 1375000",
        ),
    ],
)
def test_the_exact_words(what, said):
    assert " ".join(words(what)) == said


def test_every_device_is_shaped_with_add_and_our_handle_and_unshaped_by_it(rig):
    kernel, journal, tweaks = rig
    handle = tweaks.put(qdiscs(Shape(A, Rate(125000, 4096, 54096)), kernel, MAJOR))
    ours = f"{MAJOR:x}:"
    assert [argv[:8] for argv in kernel.told] == [
        ["tc", "qdisc", "add", "dev", device, "root", "handle", ours] for device in ("eth0", "eth1")
    ]
    assert not any("replace" in argv or "change" in argv for argv in kernel.told)
    assert tweaks.stand(handle)
    assert [entry.op.device for entry in journal.open_entries()] == ["eth0", "eth1"]
    tweaks.take(handle)
    assert kernel.roots == {"eth0": None, "eth1": None}
    assert kernel.told[-1][2:] == ["del", "dev", "eth0", "root", "handle", ours]
    assert journal.open_entries() == ()
    before = list(kernel.told)
    tweaks.take(handle)  # a second time: nothing happens
    assert kernel.told == before


@pytest.mark.parametrize("root", [("htb", "1:"), ("tbf", "8001:"), ("noqueue", "7:")])
def test_what_somebody_else_made_is_not_replaced_and_nothing_is_begun(rig, root):
    kernel, journal, tweaks = rig
    kernel.roots["eth1"] = root
    with pytest.raises(LabError, match=r"eth1 of a has a root .* of somebody else .* not replaced"):
        tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernel, MAJOR))
    assert kernel.told == []
    assert kernel.roots["eth1"] == root
    assert journal.open_entries() == ()


@pytest.mark.parametrize("root", [None, ("fq_codel", "0:"), ("mq", "0:"), ("pfifo_fast", "0:")])
def test_what_the_kernel_put_there_by_itself_may_give_way(rig, root):
    kernel, _, tweaks = rig
    kernel.roots = {"eth0": root}
    assert tweaks.stand(tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernel, MAJOR)))


def test_two_shapes_of_one_node_do_not_stack(rig):
    kernel, _, tweaks = rig
    tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernel, MAJOR))
    with pytest.raises(LabError, match="of an earlier fault of this run"):
        tweaks.put(qdiscs(Shape(A, Netem(delay_us=2)), kernel, MAJOR))


def test_all_or_nothing_when_the_kernel_says_no(rig):
    kernel, journal, tweaks = rig
    kernel.works = False
    with pytest.raises(LabError, match="tc did not make netem on eth0"):
        tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernel, MAJOR))
    assert kernel.roots == {"eth0": None, "eth1": None}
    assert journal.open_entries() == ()


def test_somebody_elses_discipline_is_never_taken_out(rig):
    kernel, _, tweaks = rig
    handle = tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernel, MAJOR))
    kernel.roots["eth0"] = ("htb", "1:")
    assert not tweaks.stand(handle)
    tweaks.take(handle)
    assert kernel.roots == {"eth0": ("htb", "1:"), "eth1": None}


def test_an_undo_that_fails_stops_no_other_and_can_be_tried_again(rig):
    kernel, journal, tweaks = rig
    handle = tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernel, MAJOR))
    kernel.works = False
    with pytest.raises(HealFailed, match=r"a: tc did not take .* off eth1.*off eth0"):
        tweaks.take(handle)
    assert len(journal.open_entries()) == 2
    kernel.works = True
    tweaks.take(handle)
    assert journal.open_entries() == ()
    assert not remove_qdisc(kernel, "eth0", MAJOR)


def test_a_node_with_a_new_network_is_shaped_again(tmp_path):
    kernels = {4711: Kernel("eth0"), 4712: Kernel("eth0")}
    now = [4711]
    with Journal.create("t1", tmp_path / "state") as journal:
        tweaks = Tweaks(
            journal,
            lambda _node: ProcessIdentity(now[0], 99, boot_id()),
            lambda who: kernels[who.pid],
        )
        handle = tweaks.put(qdiscs(Shape(A, Netem(delay_us=1)), kernels[4711], MAJOR))
        now[0] = 4712
        assert not tweaks.stand(handle)
        tweaks.renew(A)
        assert tweaks.stand(handle)
        assert [entry.op.pid for entry in journal.open_entries()] == [4712]
        tweaks.take(handle)
        assert kernels[4712].roots == {"eth0": None}


def test_without_root_on_the_engines_host_it_is_refused(tmp_path):
    with Journal.create("t1", tmp_path / "state") as journal:
        tweaks = Tweaks(journal, lambda _node: None, lambda _who: Kernel("eth0"))
        with pytest.raises(LabError, match="needs root on the machine"):
            tweaks.enter(A)


def test_each_run_has_a_handle_of_its_own_in_our_range():
    handles = {handle_of(f"r{i}") for i in range(200)}
    assert len(handles) > 150
    assert all(0xC000 <= handle <= 0xCFFF for handle in handles)
