"""Could one copy of every register have answered like this? Checked register by register.

What is left out proves nothing and rules nothing out: operations that were provably not executed
or not sent, and reads without an answer. A write whose outcome is not known may have taken effect
at any time after it was sent, or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.records import Op, Outcome
from chaoskit.measure.conflict import Conflict, conflict
from chaoskit.measure.model import Example, Impossible, RegisterStep, Safety
from chaoskit.measure.view import View, as_seconds
from chaoskit.measure.wgl import NEVER, Budget, Decision, RegisterOp, decide

__all__ = ["UNASKED", "linearizability"]

UNASKED = 50_000
"""Operations on registers up to which a trial is searched though no threshold asks for it."""

_STEPS_EACH = 20  # for every operation, and
_STEPS = 5_000_000  # besides: a few seconds
_SHOWN = 3  # registers; of each
_CORE, _AROUND = 19, 5  # operations, which is what the report has room for
_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))


def linearizability(view: View, *, asked: bool) -> tuple[Safety, tuple[Impossible, ...]]:
    """Registers whose history no order explains; ``unknown`` those that were not decided in time.

    Not searched where there are more than ``UNASKED`` operations and nobody ``asked``. The budget
    is counted in steps, so that the same history has the same verdict on every machine.
    """
    table = view.table
    op = table.column("op")
    count = int(np.count_nonzero(op == Op.PUT)) + int(np.count_nonzero(op == Op.GET))
    if count > UNASKED and not asked:
        why = f"{count:,} operations on registers, and no threshold asks for the search"
        return Safety(count=None, checked=False, note=why), ()
    found = _Registers.of(view)
    if isinstance(found, str):
        return Safety(count=None, checked=False, note=found), ()
    return _searched(view, found, Budget(_STEPS + _STEPS_EACH * count))


def _searched(
    view: View, found: _Registers, budget: Budget
) -> tuple[Safety, tuple[Impossible, ...]]:
    illegal: list[Impossible] = []
    wrong = undecided = done = operations = 0
    steps = budget.left
    for register in found.each():
        operations += len(register.ops)
        done += 1
        share = Budget(budget.left // (found.keys - done + 1))
        before = share.left
        decision = register.decide(share)
        budget.left -= before - share.left
        undecided += decision is Decision.UNKNOWN
        if decision is Decision.ILLEGAL:
            wrong += 1
            if len(illegal) < _SHOWN:
                illegal.append(_shown(view, register))
    note = f"{operations:,} operations on {done} register{'s' * (done != 1)}"
    if undecided:
        note += f"; {undecided} not decided within {steps:,} steps, or with records missing"
    examples = tuple(_example(view, one) for one in illegal)
    return Safety(count=wrong, unknown=undecided, examples=examples, note=note), tuple(illegal)


# ---------------------------------------------------------------- one register


@dataclass(frozen=True)
class _Register:
    """``wrong``: reads that no order can explain by themselves, and why."""

    key: int
    ops: tuple[RegisterOp, ...]
    initial: int | None
    wrong: tuple[tuple[RegisterOp, str], ...] = ()
    incomplete: bool = False  # a value was read whose write may be among records that are lost

    def decide(self, budget: Budget) -> Decision:
        if self.wrong:
            return Decision.ILLEGAL
        found = decide(self.ops, self.initial, budget)
        return Decision.UNKNOWN if self.incomplete else found


@dataclass(frozen=True)
class _Registers:
    """Operations by register: columns sorted by register, then by when they began."""

    columns: dict[str, np.ndarray[Any, Any]]
    bounds: np.ndarray[Any, Any]
    refused: frozenset[int]  # values of writes that were provably not executed
    complete: bool

    @property
    def keys(self) -> int:
        """How many registers there are."""
        return int(self.bounds.size) - 1

    @classmethod
    def of(cls, view: View) -> _Registers | str:
        """Everything of the whole trial, warm-up included; or why nothing can be said."""
        records = view.history.requests
        op, outcome = records["op"], records["outcome"]
        acked = np.isin(outcome, _ACKED)
        put = (op == Op.PUT) & (records["key"] != 0) & (records["token"] != 0)
        get = (op == Op.GET) & (records["key"] != 0) & acked
        if pinned := view.history.pinned:
            get &= ~np.isin(records["stream"], pinned)
        if not (put & acked).any():
            return "no write to a register was acknowledged"
        if not get.any():
            return "no read of a register was answered"
        if not records["seen"][get].any():
            return "no answer told the value that was read"
        rows = np.flatnonzero(get | (put & (acked | (outcome == Outcome.AMBIGUOUS))))
        write = op[rows] == Op.PUT
        columns = {
            "key": records["key"][rows].astype(np.int64),
            "begun": records["sent_ns"][rows],
            "ended": np.where(acked[rows], records["done_ns"][rows], NEVER),
            "write": write,
            "value": np.where(write, records["token"][rows], records["seen"][rows]),
            "row": rows,
        }
        order = np.lexsort([columns[n] for n in ("value", "write", "ended", "begun", "key")])
        columns = {name: column[order] for name, column in columns.items()}
        edges = np.flatnonzero(np.diff(columns["key"])) + 1
        refused = records["token"][put & (outcome == Outcome.FAIL_DEFINITE)]
        return cls(
            columns,
            np.concatenate(([0], edges, [rows.size])),
            frozenset(refused.tolist()),
            view.history.complete,
        )

    def each(self) -> Iterator[_Register]:
        """One register after the other."""
        names = ("begun", "ended", "write", "value", "row")
        elsewhere = None
        for low, high in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            parts = [self.columns[name][low:high].tolist() for name in names]
            ops = tuple(RegisterOp(*fields) for fields in zip(*parts, strict=True))
            written = {op.value for op in ops if op.write}
            foreign = [op for op in ops if not op.write and op.value not in written]
            if any(op.value for op in foreign) and elsewhere is None:
                elsewhere = frozenset(self.columns["value"][self.columns["write"]].tolist())
            yield self._register(int(self.columns["key"][low]), ops, foreign, elsewhere)

    def _register(
        self,
        key: int,
        ops: tuple[RegisterOp, ...],
        foreign: list[RegisterOp],
        elsewhere: frozenset[int] | None,
    ) -> _Register:
        """Values read that nobody wrote here: at most one can be what was there at first."""
        wrong: list[tuple[RegisterOp, str]] = []
        first: dict[int, RegisterOp] = {}
        for op in sorted(foreign, key=lambda op: (op.ended, op.begun, op.value)):
            if op.value in self.refused:
                wrong.append((op, "its write had been refused to the client"))
            elif op.value and elsewhere and op.value in elsewhere:
                wrong.append((op, "it was written to another register"))
            else:
                first.setdefault(op.value, op)
        strange = [op for value, op in first.items() if value]
        initial = next(iter(first), None)
        if len(first) > 1 and self.complete:
            wrong.append((strange[-1], "nobody wrote it"))
        return _Register(key, ops, initial, tuple(wrong), bool(strange) and not self.complete)


# ---------------------------------------------------------------- how it is shown


def _shown(view: View, register: _Register) -> Impossible:
    """The fewest operations that show it, among what went on around the last of them."""
    if register.wrong:
        last, why = register.wrong[0]
        found = Conflict((last,), last)
        text = f"value {last.value} was read, and {why}"
    else:
        found = conflict(register.ops, register.initial)
        text = _why(found)
    core = _nearest(found)
    if len(core) < len(found.core):
        text += f"; {len(core)} of {len(found.core):,} are shown"
    needed = {op.row for op in found.core}
    until = max(op.ended for op in core if op.ended != NEVER)
    before = [op for op in register.ops if op.row not in needed and op.begun <= until]
    around = sorted(before, key=lambda op: (op.begun, op.ended))[-_AROUND:]
    by_row = {op.row: op for op in register.ops}
    chosen = [by_row[op.row] for op in core] + around
    chosen.sort(key=lambda op: (op.begun, op.ended, not op.write, op.value))
    return Impossible(
        key=register.key,
        detail=text,
        steps=tuple(_step(view, op, needed, found.last) for op in chosen),
    )


def _nearest(found: Conflict) -> list[RegisterOp]:
    """The core, or as much of it as is shown: the last, its value, and what came before it."""
    ended = [op for op in found.core if op.ended != NEVER]  # others need never have happened
    last = found.last or max(ended, key=lambda op: op.ended)
    others = sorted(
        (op for op in found.core if op.row != last.row),
        key=lambda op: (op.value == last.value, op.write and op.value == last.value, op.begun),
    )
    return [last, *others[-(_CORE - 1) :]]


def _why(found: Conflict) -> str:
    last, core = found.last, found.core
    if last is None:
        return (
            f"no order explains these {len(core):,} operations; which of them is in the wrong took "
            "more steps than are taken to tell"
        )
    what = "write" if last.write else "read"
    if not found.fewest:
        return (
            f"no order of {len(core):,} operations, not all of which may matter, explains the "
            f"{what} of {last.value}"
        )
    if not last.write:
        puts = [op for op in core if op.write and op.value == last.value]
        if puts and all(op.begun > last.ended for op in puts):
            return f"value {last.value} was read before its write was sent"
        replaced = [op for op in core if op.write and op.value != last.value]
        older = puts and any(p.ended < r.begun for p in puts for r in replaced)
        if older or (replaced and not puts):
            return f"value {last.value} was read after it had been replaced"
    return f"no order of these operations explains the {what} of {last.value}"


def _step(view: View, op: RegisterOp, core: set[int], last: RegisterOp | None) -> RegisterStep:
    record, history = view.history.requests[op.row], view.history
    zero = view.origin_ns

    def named(names: tuple[str, ...], index: int) -> str | None:
        return names[index] or None if index < len(names) else None

    stream = int(record["stream"])
    return RegisterStep(
        write=op.write,
        value=op.value,
        sent_s=as_seconds(op.begun - zero),
        done_s=None if op.ended == NEVER else as_seconds(op.ended - zero),
        server=named(history.servers, int(record["server"])),
        client=named(history.clients, int(record["client"])),
        stream=history.streams[stream].name if stream < len(history.streams) else None,
        needed=op.row in core,
        last=last is not None and op.row == last.row,
    )


def _example(view: View, found: Impossible) -> Example:
    """The operation in the wrong; where that is not told, nobody is accused of one."""
    last = next((step for step in found.steps if step.last), None)
    if last is None:
        detail = f"register {found.key}: {found.detail}"
        return Example(token=found.steps[-1].value, detail=detail)
    zero, fault = view.origin_ns, view.fault
    done = None if last.done_s is None else zero + round(last.done_s * NS)
    return Example(
        token=last.value,
        sent_ns=zero + round(last.sent_s * NS),
        acknowledged_ns=done,
        server=last.server,
        after_fault_s=last.done_s if fault else None,
        detail=f"register {found.key}: {found.detail}",
    )
