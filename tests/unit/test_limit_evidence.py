"""Whether a limit bit is for the kernel to say: a trial in which it never did is INVALID."""

from unit.injection_rig import pump, record, rig
from unit.test_limit_faults import Limiting

from chaoskit.faults.fd_exhaustion import FdExhaustion
from chaoskit.running import Running


def struck(*, met):
    lab = Limiting()
    found = rig(FdExhaustion(left=2), lab=lab)
    found.injector.inject(0)
    lab.met = met
    return found


def test_a_limit_that_the_node_came_up_against_has_bitten():
    r = struck(met=True)
    assert pump(r, lambda: record(r).bitten_ns)
    r.injector.heal(0)
    found = record(r)
    assert found.problem is None
    assert found.verified_ns <= found.bitten_ns <= found.heal_commanded_ns
    assert found.felt_healed_ns == found.healed_ns


def test_a_limit_that_the_node_never_needed_is_a_problem():
    r = struck(met=False)
    r.injector.feel()
    r.injector.heal(0)
    found = record(r)
    assert found.bitten_ns is None
    assert "fd-exhaustion was not seen to bite" in found.problem
    assert "the kernel counted nothing" in found.problem
    assert Running.owes_a_bite(r.injector._running[0])


def test_what_is_counted_after_the_heal_is_no_evidence():
    r = struck(met=False)
    r.injector.heal(0)
    r.lab.on, r.lab.met = {"h": ()}, True
    r.injector.feel()
    assert record(r).bitten_ns is None
