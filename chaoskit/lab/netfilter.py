"""Partitions: nftables rules in the target's own network namespace, in a table of ours.

Each target has a *holder*, an nft process inside its namespace that owns the table
``chaoskit_<run>``: nobody else can change it, and the kernel removes it when the holder ends. A
holder ends with the harness, and the guardian ends it when the harness is frozen; so no partition
outlives its run, whoever is left to heal it. Where the kernel knows no owners (before 5.12), the
rules hold for a lease that the harness renews, and what is left behind when it dies is inert.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from chaoskit.capabilities import Cut
from chaoskit.contracts import Node
from chaoskit.errors import HealFailed, LabError, Refused
from chaoskit.lab.journal import Journal
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.nft import (
    LEASE_S,
    Holder,
    add_chains,
    add_sets,
    add_tables,
    remove_chains,
    remove_tables,
    renew_lease,
)
from chaoskit.lab.nft_rules import Egress, Rule, leased, mirrored, rules_of
from chaoskit.lab.ops import KillProcess, check_run_id

__all__ = ["Netfilter"]

_WAYS = (Egress("netdev", silent=True), Egress("netdev", silent=False), Egress("inet", False))
_TRIAL = "trial"  # the handle of rules that only show what this kernel can do


@dataclass
class _Target:
    """A namespace that we hold, and what is in force in it, by handle."""

    node: Node
    holder: Holder
    entries: list[int]
    devices: tuple[str, ...]
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    cuts: dict[str, list[Cut]] = field(default_factory=dict)
    families: set[str] = field(default_factory=set)
    owned: bool = True


class Netfilter:
    """``Cuts`` for any lab whose nodes are network namespaces.

    ``namespaces`` opens those of a node that runs now and raises ``LabError`` if none does; what
    it returns is closed here. Methods may be called from any thread, one at a time.
    """

    def __init__(
        self,
        run_id: str,
        journal: Journal,
        namespaces: Callable[[Node], Namespaces],
        *,
        owned: bool = True,
    ) -> None:
        self._run_id = check_run_id(run_id)
        self._journal = journal
        self._namespaces = namespaces
        self._targets: dict[str, _Target] = {}
        self._handles: dict[str, tuple[str, ...]] = {}
        self._gaps: set[str] = set()  # handles that did not hold through a restart of their node
        self._count = 0
        self._way: Egress | None = None
        self._owned = owned  # False: as on a kernel that knows no owners
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None
        self._lock = threading.RLock()

    def prepare(self, node: Node) -> None:
        """Start the node's holder, so that a later cut takes milliseconds. Idempotent.

        Raises ``Refused`` where nft is missing or its tables cannot be owned.
        """
        with self._lock:
            target = self._targets.get(node.name)
            if target and not target.holder.alive():
                self._forget(target)
                target = None
            if target is None:
                self._targets[node.name] = self._hold(node)

    def silent(self) -> bool:
        """Whether packets that a target sends vanish without its noticing. Known after prepare."""
        return self._way is not None and self._way.silent

    def cut(self, cuts: Sequence[Cut]) -> str:
        """Put all cuts in force, read them back, return a handle. All or nothing.

        Established connections are cut too. Raises ``LabError``; nothing is in force then.
        """
        with self._lock:
            self._count += 1
            handle = f"h{self._count}"
            for cut in cuts:
                self._reach(cut.node)
            names = tuple(dict.fromkeys(cut.node.name for cut in cuts))
            targets = [self._targets[name] for name in names]
            self._handles[handle] = names
            try:
                for target in targets:
                    mine = [cut for cut in cuts if cut.node.name == target.node.name]
                    target.rules[handle] = self._rules(handle, mine, target)
                    target.cuts[handle] = mine
                self._apply(handle, targets)
            except BaseException:
                self._remove(handle)
                raise
            return handle

    def in_force(self, handle: str) -> bool:
        """Ask the kernel whether every cut of the handle is there now, in the right namespaces."""
        with self._lock:
            names = self._handles.get(handle, ())
            targets = [self._targets[name] for name in names if name in self._targets]
            # A node that does not run talks to nobody; whoever starts it puts the rules back first.
            held = [
                target
                for target in targets
                if handle in target.rules
                and (self._is_current(target) or not self._runs(target.node))
            ]
            whole = bool(names) and len(held) == len(names) and handle not in self._gaps
            return whole and _seen(handle, held)

    def join(self, handle: str) -> None:
        """Remove ours and only ours, and see that it is gone. Idempotent.

        Raises ``HealFailed`` if it cannot be shown to be gone.
        """
        with self._lock:
            self._remove(handle)

    def renew(self, node: Node) -> None:
        """Put what is in force for a node in force in its new namespace, if it has a new one.

        To be called when a node was started again, before it can answer anybody.
        """
        with self._lock:
            old = self._targets.get(node.name)
            if old is None or self._is_current(old):
                return
            new = self._hold(node)
            self._targets[node.name] = new
            try:
                for handle, cuts in old.cuts.items():
                    new.cuts[handle] = cuts
                    new.rules[handle] = self._rules(handle, cuts, new)
                    self._apply(handle, [new])
            finally:
                self._forget(old)

    @contextlib.contextmanager
    def shielded(self, node: Node) -> Iterator[None]:
        """While a node has a new namespace without rules, cut it off at its peers' ends.

        What was in force for it holds meanwhile, without a gap, for ``renew`` to put back. Where a
        peer cannot be reached there may be a gap, and ``in_force`` says so from then on.
        """
        with self._lock:
            target = self._targets.get(node.name)
            cuts = [cut for some in target.cuts.values() for cut in some] if target else []
            handle = None
            try:
                turned = [c for cut in cuts for c in mirrored(cut) if self._runs(c.node)]
                handle = self.cut(turned) if turned else None
            except LabError:
                self._gaps.update(target.cuts if target else ())
        try:
            yield
        finally:
            if handle is not None:
                self.join(handle)

    def release(self, node: Node) -> None:
        """End the node's holder; whatever was in force there is gone. Idempotent."""
        with self._lock:
            target = self._targets.pop(node.name, None)
            if target is not None:
                self._forget(target)

    def close(self) -> None:
        """End every holder: nothing of ours is left in any namespace. Idempotent."""
        self._over.set()
        if self._renewer is not None:
            self._renewer.join()
        with self._lock:
            while self._targets:
                self._forget(self._targets.popitem()[1])
            self._handles.clear()

    # ------------------------------------------------------------ inside

    def _reach(self, node: Node) -> None:
        """A holder in the namespace that the node has now."""
        self.prepare(node)
        self.renew(node)

    def _hold(self, node: Node) -> _Target:
        holder = Holder(self._run_id, self._namespaces(node))
        try:
            who = holder.identity
            what = f"partitions of {node.name}"
            op = KillProcess(who.pid, who.starttime, who.boot_id, what)
            entries = [self._journal.intend(op, scope="fault")]
            who = holder.reader.identity
            op = KillProcess(who.pid, who.starttime, who.boot_id, what)
            entries.append(self._journal.intend(op, scope="fault"))
            target = _Target(node, holder, entries, (), owned=self._owned)
        except BaseException:
            holder.close()
            raise
        try:
            target.devices = holder.devices()
            self._try_out(target)
            for entry in entries:
                self._journal.done(entry)
        except BaseException:
            self._forget(target)
            raise
        return target

    def _try_out(self, target: _Target) -> None:
        """Find the way that this kernel offers; nothing is cut by it, and nothing stays."""
        nowhere = Cut(target.node, (Node("nowhere", "198.19.255.254"),))
        problem: LabError | None = None
        ways = (self._way,) if self._way else _WAYS
        for owned, way in ((o, w) for o in (True, False)[not self._owned :] for w in ways):
            target.owned = owned
            target.rules = {_TRIAL: self._rules(_TRIAL, [nowhere], target, way)}
            try:
                self._apply(_TRIAL, [target])
            except LabError as error:
                problem = error
            else:
                self._way, self._owned = way, owned
            _clear(target)
            if self._way:
                return self._keep_renewing()
        raise Refused(f"partitions cannot be made on this machine: {problem}")

    def _keep_renewing(self) -> None:
        if not self._owned and self._renewer is None:
            self._renewer = threading.Thread(target=self._renew_leases, daemon=True)
            self._renewer.start()

    def _renew_leases(self) -> None:
        while not self._over.wait(LEASE_S / 4):
            with self._lock, contextlib.suppress(LabError):  # in_force will say that it ended
                for target in self._targets.values():
                    if target.families and target.holder.alive():
                        target.holder.send(renew_lease(target.holder.table, target.families))
                        target.holder.wait()

    def _rules(
        self, handle: str, cuts: Sequence[Cut], target: _Target, way: Egress | None = None
    ) -> list[Rule]:
        chosen = way or self._way or _WAYS[-1]
        rules = [rule for cut in cuts for rule in rules_of(handle, cut, target.devices, chosen)]
        rules = rules if target.owned else [leased(rule) for rule in rules]
        return [replace(rule, comment=f"{handle}.{i}") for i, rule in enumerate(rules)]

    def _apply(self, handle: str, targets: Sequence[_Target]) -> None:
        for target in targets:
            rules, table = target.rules[handle], target.holder.table
            fresh = sorted({rule.family for rule in rules} - target.families)
            tables = add_tables(table, fresh, owned=target.owned)
            target.families.update(fresh)
            target.holder.send(*tables, *add_sets(table, rules), add_chains(table, rules))
        for target in targets:
            target.holder.wait()
        if not _seen(handle, targets, changed=True):
            raise LabError("the kernel does not show the rules of the partition")

    def _runs(self, node: Node) -> bool:
        """Whether there is a namespace to speak of: a dead peer talks to nobody."""
        try:
            self._namespaces(node).close()
        except LabError:
            return False
        return True

    def _is_current(self, target: _Target) -> bool:
        """Whether the node still lives in the namespace that we hold, and we hold it."""
        if not target.holder.alive():
            return False
        try:
            now = self._namespaces(target.node)
        except LabError:
            return False
        with now:
            return now.inode() == target.holder.namespaces.inode()

    def _remove(self, handle: str) -> None:
        names = self._handles.pop(handle, ())
        self._gaps.discard(handle)
        targets = [self._targets[name] for name in names if name in self._targets]
        targets = [target for target in targets if handle in target.rules]
        unsure = _take_out(handle, targets)
        for target in unsure:
            # Everything of ours ends with the holder: rougher, but certain. Other partitions of
            # this target end too, and ``in_force`` says so.
            del self._targets[target.node.name]
        for target in unsure:
            self._forget(target)

    def _forget(self, target: _Target) -> None:
        """End the holder; with it everything of ours in its namespace, and see that it is so."""
        holder = target.holder
        holder.end()
        try:
            if not target.owned and target.families:
                holder.remove_unowned(target.families)
            left = holder.listing().text() if target.rules else ""
        except LabError as error:
            raise HealFailed(f"cannot see whether {target.node.name} is whole: {error}") from None
        finally:
            holder.close()
        if left:
            raise HealFailed(f"nft still shows {holder.table} of {target.node.name}")
        for entry in target.entries:
            self._journal.undone(entry)


def _seen(handle: str, targets: Sequence[_Target], *, changed: bool = False) -> bool:
    """Whether the kernel shows every rule of the handle, in tables that will not outlive us.

    ``changed`` says that the rules were changed by us just now.
    """
    listings = [target.holder.listing(quick=changed or target.owned) for target in targets]
    texts = [listing.text() for listing in listings]
    return all(
        target.holder.alive()  # for what it owns nobody else can have removed meanwhile
        and text.count("flags owner" if target.owned else " expires ") >= len(target.families)
        and all(rule.stands_in(text) for rule in target.rules[handle])
        for target, text in zip(targets, texts, strict=True)
    )


def _take_out(handle: str, targets: Sequence[_Target]) -> list[_Target]:
    """Remove the handle's chains everywhere at once, and our tables with the last of them.

    Returns the targets where that cannot be shown to have worked.
    """
    unsure: list[_Target] = []
    asked = [target for target in targets if target.holder.alive()]
    for target in asked:
        last = target.rules.keys() == {handle}
        chains = remove_chains(target.holder.table, target.rules[handle])
        with contextlib.suppress(LabError):  # what the kernel shows below decides
            target.holder.send(
                remove_tables(target.holder.table, target.families) if last else chains
            )
    changed = set()
    for target in asked:
        with contextlib.suppress(LabError):
            target.holder.wait()
            changed.add(target.node.name)
    listings = [target.holder.listing(quick=target.node.name in changed) for target in targets]
    for target, listing in zip(targets, listings, strict=True):
        last = target.rules.keys() == {handle}
        try:
            text = listing.text()
        except LabError:
            unsure.append(target)
            continue
        if (last and text) or any(f'comment "{r.comment}"' in text for r in target.rules[handle]):
            unsure.append(target)
            continue
        target.rules.pop(handle)
        target.cuts.pop(handle, None)
        if last:
            target.families.clear()
    return unsure


def _clear(target: _Target) -> None:
    """Remove our tables, if there are any. Raises ``LabError`` while the kernel shows them."""
    if target.families and target.holder.alive():
        target.holder.send(remove_tables(target.holder.table, target.families))
        with contextlib.suppress(LabError):  # a table that was never made cannot be removed
            target.holder.wait()
    if target.holder.listing().text():
        raise LabError("the kernel still shows our table")
    target.rules.clear()
    target.families.clear()
