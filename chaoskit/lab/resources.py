"""What nodes may use, taken away and given back, for labs that see their nodes' first processes.

Part of ``Links``: a lab that can do those things can do these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar, cast

from chaoskit.capabilities import Executes
from chaoskit.clock import wait_until
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.cgroups import oom_kills
from chaoskit.lab.descriptors import FileLimit, file_limit_tweaks
from chaoskit.lab.faketime import ClockFile, Shift, opted_in
from chaoskit.lab.filler import Filler
from chaoskit.lab.journal import Journal
from chaoskit.lab.limits import GroupLimit, Home, Resident, limit_tweaks
from chaoskit.lab.process import ProcessIdentity, is_doomed
from chaoskit.lab.tweaks import Tweak, Tweaks
from chaoskit.resources import ClockShift, Descriptors, Limit, Memory

__all__ = ["Resources"]

T = TypeVar("T")
_DATE_S = 10.0
_ENDS_S = 5.0  # a killed process that holds much memory takes some hundredths of a second
_DATE = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?")  # not every date knows fractions


class Resources:
    """``Limits`` and ``ShiftsClock``; a lab makes its tools with ``_make_resources``."""

    _limits: Tweaks[Resident]
    _clocks: Tweaks[ClockFile]

    def _make_resources(
        self,
        run_id: str,
        journal: Journal,
        first: Callable[[Node], ProcessIdentity | None],
    ) -> None:
        self._resource_run, self._resource_first = run_id, first
        self._resource_journal = journal
        self._limits = Tweaks(journal, first, Resident)
        self._clocks = Tweaks(journal, first, ClockFile)
        self._met: dict[str, dict[GroupLimit, tuple[int, int]]] = {}
        self._fillers: dict[str, list[Filler]] = {}
        self._groups = 0

    def _renew_resources(self, node: Node) -> None:
        """Put on the node's new processes what is meant to be on it."""
        self._limits.renew(node)
        self._clocks.renew(node)

    def _forget_resources(self) -> None:
        """The lab is down: nothing of it is left, but for groups of ours, which are empty now."""
        for handle in list(self._met):
            self.unlimit(handle)
        self._clocks.close()

    # ------------------------------------------------------------ Limits

    def limit(self, limits: Sequence[Limit]) -> str:
        """See ``Limits``."""
        found: list[Tweak[Resident]] = []
        for one in limits:
            with self._limits.enter(one.node) as place:
                if isinstance(one, Descriptors):
                    found += file_limit_tweaks(one.node, place, one.left)
                else:
                    found += limit_tweaks(one, place, self._group_name)
        for one in limits:
            self._notice_end(one.node)
        kills = oom_kills()
        full = [one.node for one in limits if isinstance(one, Memory) and one.fill]
        fillers: list[Filler] = []
        try:
            fillers += [Filler(self._resource_run, self._resource_journal) for _ in full]
            handle = self._limits.put(found)
        except BaseException:
            _end(fillers)
            raise
        self._met[handle], self._fillers[handle] = {}, fillers
        try:
            self._begin_limits(handle, full, kills)
        except BaseException:
            self.unlimit(handle)
            raise
        return handle

    def _begin_limits(self, handle: str, full: Sequence[Node], kills: int) -> None:
        """Fill what is to be filled, and count from then on; ``kills``: counted beforehand."""
        for filler, node in zip(self._fillers[handle], full, strict=True):
            with self._limits.enter(node) as place:
                filler.fill(place.group("memory"))
        for tweak, place in self._of(handle, GroupLimit):
            self._met[handle][tweak] = (_count(tweak, place), kills)

    def limited(self, handle: str) -> bool:
        """See ``Limits``."""
        fillers = self._fillers.get(handle, [])
        return self._limits.stand(handle) and all(one.alive() for one in fillers)

    def limit_met(self, handle: str) -> bool:
        """See ``Limits``: by the counters of the group, or by descriptors that are used up."""
        files = (tweak for tweak, _ in self._of(handle, FileLimit) if tweak.family)
        if any(tweak.met() for tweak in files):
            return True
        return any(
            _has_met(tweak, place, *self._met.get(handle, {}).get(tweak, (0, 0)))
            for tweak, place in self._of(handle, GroupLimit)
        )

    def tighten(self, handle: str) -> None:
        """See ``Limits``."""
        try:
            for home, place in self._of(handle, Home):
                home.gather(place)
            for limit, _ in self._of(handle, FileLimit):
                if limit.family:  # it looks at all of the node
                    limit.tighten()
        except (LabError, OSError):
            return  # it has ended: whether that is as it should be is for others to say

    def unlimit(self, handle: str) -> None:
        """See ``Limits``. Whom the limit has killed is gone when this returns."""
        limited = self._limits.of(handle)
        for tweak, _ in limited:
            self._notice_end(tweak.node)
        try:
            self._limits.take(handle)
        finally:
            _end(self._fillers.pop(handle, []))
        self._met.pop(handle, None)
        wait_until(
            lambda: not any(is_doomed(who) for _, who in limited), within_s=_ENDS_S, every_s=0.005
        )

    def _notice_end(self, node: Node) -> None:
        """The node may end by itself, and the lab is to see it as soon as the kernel shows it."""

    def _group_name(self) -> str:
        self._groups += 1
        return f"chaoskit_{self._resource_run}_{self._groups}"

    def _of(self, handle: str, kind: type[T]) -> Iterator[tuple[T, Resident]]:
        """The tweaks of one kind, each with the place that it is in."""
        for tweak, who in self._limits.of(handle):
            if isinstance(tweak, kind):
                yield tweak, Resident(who)

    # ------------------------------------------------------------ ShiftsClock

    def shift_clock(self, shifts: Sequence[ClockShift]) -> str:
        """See ``ShiftsClock``."""
        found = []
        for one in shifts:
            with self._clocks.enter(one.node) as place:
                path = opted_in(place.who, one.node.name)
                before = place.read(path)
            found.append(Shift(one.node, self._resource_run, path, before, one.offset_s))
        return self._clocks.put(found)

    def move_clock(self, handle: str, offset_s: float) -> None:
        """See ``ShiftsClock``."""
        for tweak, who in self._clocks.of(handle):
            if isinstance(tweak, Shift):
                with ClockFile(who) as place:
                    tweak.move(place, offset_s)

    def clock_shifted(self, handle: str) -> bool:
        """See ``ShiftsClock``."""
        return self._clocks.stand(handle)

    def clock_offset(self, node: Node) -> float:
        """See ``ShiftsClock``: asked of ``date``, started in the node as a program of its own."""
        before = datetime.now(UTC).timestamp()
        ran = cast("Executes", self).execute(node, ["date", "-u", "+%s.%N"], _DATE_S)
        after = datetime.now(UTC).timestamp()
        found = _DATE.match(ran.output.strip())
        if ran.status != 0 or found is None:
            raise LabError(f"date does not tell the time of {node.name}", output=ran.output)
        return float(found[0]) - (before + after) / 2

    def unshift_clock(self, handle: str) -> None:
        """See ``ShiftsClock``."""
        self._clocks.take(handle)


def _has_met(tweak: GroupLimit, place: Resident, counted: int, kills: int) -> bool:
    """Whether its group counts more than it did, or it was ended and somebody was for memory."""
    try:
        return place.group(tweak.controller).met() > counted
    except (LabError, OSError):
        # The process is gone, and maybe its group: what the kernel counts as a whole remains.
        return tweak.controller == "memory" and oom_kills() > kills


def _count(tweak: GroupLimit, place: Resident) -> int:
    """So far; nothing of a node that was ended as soon as the limit was there."""
    try:
        return place.group(tweak.controller).met()
    except (LabError, OSError):
        return 0


def _end(fillers: Sequence[Filler]) -> None:
    for filler in fillers:
        filler.close()
