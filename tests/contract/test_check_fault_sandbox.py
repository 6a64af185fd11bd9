"""Every fault keeps its promises in the sandbox lab, and the check notices one that does not."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ConfigDict, Field

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, FaultModel, Hold
from chaoskit.faults.dials import dial
from chaoskit.faults.kill import Kill
from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from fault_cases import CASES, name_of
from sandbox_stacks import PORT, lab_of, server

pytestmark = pytest.mark.sandbox
WEB = f"""
import http.server
http.server.ThreadingHTTPServer(("", {PORT}), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with lab_of(tmp_path_factory.mktemp("lab"), server("a", WEB), server("b", WEB)) as lab:
        lab.up()
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_fault_bites_and_heals_twice(lab, case):
    fault, target, others = case
    lacking = unmet(fault, lab)
    if lacking is not None:
        pytest.skip(lacking)
    check_fault(fault, lab, target, others)


class Pretends(FaultModel):
    """Says that it bites and does nothing."""

    kind: ClassVar[str] = "pretends"
    needs: ClassVar[frozenset[str]] = frozenset({"kill"})
    summary: ClassVar[str] = "nothing, and says otherwise"

    @contextmanager
    def inject(self, lab, targets):
        at = now_ns()
        dials = tuple(d for node in targets.nodes for d in dial(lab.node(OBSERVER), node))
        hold = Hold(at, at, at, dials, detail="nothing")
        yield hold
        hold.heal_commanded_ns = hold.healed_ns = now_ns()


class StaysBroken(Kill):
    """Kills, and starts nothing again."""

    @contextmanager
    def inject(self, lab, targets):
        at = now_ns()
        dials = tuple(d for node in targets.nodes for d in dial(lab.node(OBSERVER), node))
        lab.kill(targets.nodes[0], 9)
        hold = Hold(at, now_ns(), now_ns(), dials, detail="dead for good")
        yield hold
        hold.heal_commanded_ns = hold.healed_ns = now_ns()


class Melts(Pretends):
    """Its data can be changed."""

    model_config = ConfigDict(frozen=False)
    level: int = Field(1, description="How much.")


class Mute(Pretends):
    """Its field is not explained."""

    level: int = 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        (Pretends(), "an observer feels the fault"),
        (StaysBroken(), "everything works again after the heal"),
        (Melts(), "level is frozen"),
        (Mute(), "level has a description"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_fault_that_breaks_a_promise_is_found(lab, fault, promise, monkeypatch):
    monkeypatch.setattr("chaoskit.testing_faults._SOON_S", 1.0)
    with pytest.raises(AssertionError, match=promise):
        check_fault(fault, lab, ["a"])
    if lab.identity(lab.node("a")) is None:
        lab.start(lab.node("a"))
