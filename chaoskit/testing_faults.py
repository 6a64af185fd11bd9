"""The contract of faults: one line in the test of whoever writes one.

No test runner is imported. A promise that does not hold is an ``AssertionError`` that names it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from pydantic import ValidationError

from chaoskit.capabilities import CAPABILITIES
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Dial, Fault, FaultModel, Hold, Lab, Targets
from chaoskit.instruments import DialBoard
from chaoskit.selectors import links_of, select

__all__ = ["check_fault"]

_SOON_S = 30.0  # for what takes milliseconds on an idle machine
_WELL_S = 0.3  # a dial that has worked for so long, again and again, was not lucky


def check_fault(
    fault: FaultModel,
    lab: Lab,
    target: Sequence[str],
    others: Mapping[str, Sequence[str]] | None = None,
    *,
    felt: Callable[[], bool] | None = None,
) -> None:
    """Take a fault through everything that ``contracts.Fault`` promises, twice in a row.

    ``lab`` is up and healthy; ``target`` and ``others`` name nodes of it, as selectors would come
    to, or (``link:NAME``) links. The effect is seen by the dials that the fault itself names, tried
    from inside the lab; or, where a dial cannot see it, by ``felt``: whether an observer of the
    caller's feels it *now*. The lab is up and healthy again afterwards, or an ``AssertionError``
    says what is not.
    """
    _check_data(fault)
    for need in fault.needs:
        promise = f"the lab has the capability '{need}', which the fault says it needs"
        _require(isinstance(lab, CAPABILITIES[need]), promise)
    nodes = select(target, lab, {}, random.Random(0))  # noqa: S311 - nothing is drawn
    more = {key: tuple(lab.node(n) for n in names) for key, names in (others or {}).items()}
    board = DialBoard(lab)
    try:
        for turn in ("the first time", "a second time"):
            targets = Targets(nodes, more, links_of(target))
            _one_turn(fault, lab, targets, board, felt, turn)
    finally:
        board.close()


def _one_turn(
    fault: FaultModel,
    lab: Lab,
    targets: Targets,
    board: DialBoard,
    felt: Callable[[], bool] | None,
    turn: str,
) -> None:
    if felt is not None:
        _require(_becomes(lambda: not felt()), f"nothing is felt before the fault, {turn}")
    running = {node.name for node in targets.nodes if lab.identity(node) is not None}
    rehearsed = fault.rehearse(lab, targets)
    board.watch(rehearsed)
    board.restart(rehearsed)
    ready = _becomes(lambda: board.spared_ns(rehearsed) is not None or not rehearsed, board)
    seen = board.outcomes(rehearsed)
    _require(ready, f"what is tried later works before the fault, {turn}; it saw: {seen}")
    began = now_ns()
    with cast("Fault", fault).inject(lab, targets) as hold:
        _check_hold(hold, began, turn)
        inner = hold.felt
        shown = bool(hold.dials) or felt is not None or inner is not None or not fault.needs
        _require(shown, "the fault names a dial that shows its bite")
        if hold.dials:
            board.watch((*hold.dials, *hold.spared))
            board.restart((*hold.dials, *hold.spared))
            since = hold.commanded_ns
            bites = _becomes(
                lambda: board.failed_ns(hold.dials, since) is not None, board, hold.tend
            )
            seen = board.outcomes(hold.dials)
            _require(bites, f"an observer feels the fault, {turn}; it saw: {seen}")
            spares = _becomes(
                lambda: not hold.spared or board.spared_ns(hold.spared) is not None,
                *(board, hold.tend),
            )
            seen = board.outcomes(hold.spared)
            _require(spares, f"the fault spares what it says it does, {turn}; it saw: {seen}")
        if inner is not None:
            met = _becomes(inner, None, hold.tend)
            _require(met, f"the kernel counts that the target has met the fault, {turn}")
        if felt is not None:
            caller = _becomes(felt, None, hold.tend)
            _require(caller, f"the caller's observer feels the fault, {turn}")
    _require(hold.verified_ns is not None, f"the fault held until it was healed, {turn}")
    healed = hold.healed_ns is not None and hold.heal_commanded_ns is not None
    _require(healed, f"the heal was read back, {turn}")
    everything = (*hold.dials, *hold.spared)
    with _watching(board, everything):
        board.restart(everything)
        well = _becomes(lambda: _all_well(board, everything), board)
        seen = board.outcomes(everything)
    _require(well, f"everything works again after the heal, {turn}; an observer saw: {seen}")
    if felt is not None:
        _require(_becomes(lambda: not felt()), f"nothing is felt after the heal, {turn}")
    for name in sorted(running):
        _require(lab.identity(lab.node(name)) is not None, f"{name} runs after the heal, {turn}")


def _check_data(fault: FaultModel) -> None:
    """Plain frozen data: it survives being written and read, and cannot be changed."""
    kind = type(fault)
    _require(isinstance(fault.kind, str) and bool(fault.summary), "the fault says what it does")
    again = kind.model_validate(fault.model_dump(mode="json", by_alias=True))
    _require(again == fault, "the fault is the same after it was written down and read")
    for name, field in kind.model_fields.items():
        _require(bool(field.description), f"the field {name} has a description")
        try:
            setattr(fault, name, getattr(fault, name))
        except ValidationError:
            continue
        raise AssertionError(f"broken promise of the fault: its field {name} is frozen")


def _check_hold(hold: Hold, began_ns: int, turn: str) -> None:
    _require(hold.verified_ns is not None, f"the fault was read back, {turn}: {hold.detail}")
    moments = (began_ns, hold.commanded_ns, hold.acknowledged_ns, hold.verified_ns or 0, now_ns())
    _require(
        list(moments) == sorted(moments), f"commanded, acknowledged, verified in order, {turn}"
    )
    _require(bool(hold.detail), "the hold says in a phrase what was done")


@contextmanager
def _watching(board: DialBoard, dials: Sequence[Dial]) -> Iterator[None]:
    board.watch(dials)
    try:
        yield
    finally:
        board.forget(dials)


def _all_well(board: DialBoard, dials: Sequence[Dial]) -> bool:
    """Whether every dial works, and has for a while: forgotten and begun anew at each failure."""
    if any(board.failed_ns([dial], 0) is not None for dial in dials):
        board.restart(dials)
    opened = [board.opened_ns([dial], 0) for dial in dials]
    return all(at is not None and now_ns() - at > _WELL_S * 1e9 for at in opened)


def _becomes(
    look: Callable[[], bool],
    board: DialBoard | None = None,
    tend: Callable[[], bool] | None = None,
) -> bool:
    def pumped() -> bool | None:
        if tend is not None:
            tend()
        if board is not None:
            board.pump()
        return look() or None

    return bool(wait_until(pumped, within_s=_SOON_S, every_s=0.005))


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"broken promise of the fault: {promise}")
