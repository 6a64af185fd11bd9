"""The sandbox lab keeps the contract of labs, and the contract's check notices who does not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.capabilities import Cuts, Kills
from chaoskit.contracts import Lab
from chaoskit.errors import LabError
from chaoskit.lab.journal import Journal
from chaoskit.lab.sandbox import SandboxLab
from chaoskit.testing import check_lab

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from sandbox_stacks import STUBBORN, census, fresh_id, lab_of, server, stack

pytestmark = pytest.mark.sandbox


def test_the_sandbox_lab_keeps_the_contract(tmp_path):
    with lab_of(tmp_path, server("a", STUBBORN), server("b"), server("c")) as lab:
        assert isinstance(lab, Lab)
        assert isinstance(lab, Kills)
        assert isinstance(lab, Cuts)
        check_lab(lab, tmp_path)


class Forgetful(SandboxLab):
    def down(self):
        """Ends nothing."""


class Immortal(SandboxLab):
    def identity(self, node):
        return "always the same"


class Gentle(SandboxLab):
    def kill(self, node, signal):
        """Does nothing."""

    def start(self, node):
        """Does nothing."""


class Vague(SandboxLab):
    def kill(self, node, signal):
        super().kill(node, signal)
        return 0


class Unreachable(SandboxLab):
    def when_reachable(self, act):
        """Forgets it."""


class Leaky(SandboxLab):
    def join(self, handle):
        """Heals nothing."""


class Pretender(SandboxLab):
    def cut(self, cuts):
        return "pretended"

    def in_force(self, handle):
        return handle == "pretended"

    def join(self, handle):
        """Nothing to heal."""


class Harsh(SandboxLab):
    def cut(self, cuts):
        """Cuts the target from the client as well."""
        return super().cut([replace(c, peers=(*c.peers, self.node("client"))) for c in cuts])


class Nameless(SandboxLab):
    def node(self, name):
        """Knows everybody."""
        try:
            return super().node(name)
        except LabError:
            return replace(super().node("client"), name=name)


class Elsewhere(SandboxLab):
    def node(self, name):
        """Gives an address outside the range that labs keep to."""
        node = super().node(name)
        return replace(node, address="203.0.113.7", addresses=()) if name == "observer" else node


class Silent(SandboxLab):
    def save_logs(self, folder):
        """Writes nothing."""


class OnTheHost(SandboxLab):
    def spawn(self, place, argv):
        """Names are unknown where it puts its children: not inside the lab at all."""
        import subprocess

        from chaoskit.lab.child import PipeChild

        self._running()
        pipe = subprocess.PIPE
        words = [sys.executable, *argv[1:]]
        process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        return PipeChild(process, "outside")


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (Forgetful, "while the lab is down"),
        (Immortal, "while the lab is down"),
        (Gentle, "a killed node has no identity"),
        (Vague, "says when the signal was delivered"),
        (Unreachable, "calls what was given to when_reachable"),
        (Leaky, "a joined cut is not in force"),
        (Pretender, "hears nothing"),
        (Harsh, "spares whoever it does not name"),
        (Nameless, "an unknown node is a LabError"),
        (Elsewhere, "203.0.113.7 lies inside"),
        (Silent, "save_logs writes"),
        (OnTheHost, "by its name"),
    ],
)
def test_the_check_notices_a_lab_that_breaks_a_promise(
    tmp_path: Path, broken: Callable[..., SandboxLab], promise: str
):
    run_id = fresh_id()
    with Journal.create(run_id, tmp_path / "state") as journal:
        lab = broken(stack(tmp_path, server("a"), server("b")), run_id, tmp_path, journal)
        try:
            with pytest.raises(AssertionError, match=promise):
                check_lab(lab)
        finally:
            SandboxLab.down(lab)
    assert not census(run_id)
