"""One trial, top to bottom, in the order it happens.

lab up → probes → load → baseline → faults and their heals → load stops → everything healed →
nodes settle → final reads → logs → lab down. All branches are here, none in the leaves. What
happened is written into the trial's folder; nothing is judged here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from chaoskit.breaking import Breaking
from chaoskit.capabilities import Clocked, Early
from chaoskit.children import LOAD_CHILD, PROBE_CHILD, is_probed, load_config, probe_config
from chaoskit.clock import NS, MonotonicClock, now_ns, wait_until
from chaoskit.contracts import CLIENT, OBSERVER, Child, Lab
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.experiment.model import Experiment
from chaoskit.halting import Lever
from chaoskit.history.history import Window
from chaoskit.history.writer import Marks, close_requests
from chaoskit.injection import Injector, dial_sources
from chaoskit.instruments import DialBoard, RoleBoard, Ticker, rest_collector
from chaoskit.lab.timens import own_clock, shifted
from chaoskit.shedding import Shedding
from chaoskit.signals import Signals
from chaoskit.stack.labels import holds_data, role_probe
from chaoskit.stack.model import Stack
from chaoskit.stack.sharing import declared, several_serve
from chaoskit.standing import ended, running

__all__ = ["TrialSetup", "run_trial"]

_ROLES_WITHIN_S = 20.0
_CHILD_READY_WITHIN_S = 30.0
_BASELINE_CAP_S = 60.0
_SETTLE_WITHIN_S = 15.0
_FINAL_TIMEOUT_S = 20.0
_PUMP_EVERY_S = 0.004


@dataclass(frozen=True)
class TrialSetup:
    """What one trial is: decided before it starts, so that it can be repeated."""

    n: int
    folder: Path
    experiment: Experiment
    stack: Stack
    phase_s: float  # added to every step: where in the detector's period the fault falls
    seed: int
    say: Callable[[str, Mapping[str, object]], None] = lambda _event, _facts: None


class _Trial:
    """The state of one trial; its methods are its phases."""

    def __init__(self, setup: TrialSetup, lab: Lab, signals: Signals) -> None:
        self.setup, self.lab, self.signals = setup, lab, signals
        self.clock, self.lever = MonotonicClock(), Lever()
        self.rng = random.Random(f"{setup.seed}/{setup.n}")  # noqa: S311 - not a secret
        self.experiment, self.stack = setup.experiment.unfolded(self.rng), setup.stack
        setup.folder.mkdir(parents=True, exist_ok=True)
        self.marks = Marks(setup.folder / "marks.jsonl")
        probed = [s.name for s in self.stack.services.values() if role_probe(s) is not None]
        labelled = {s.name: s.role() for s in self.stack.services.values()}
        self.roles = RoleBoard(probed, labelled)
        self.dials = DialBoard(lab)
        self.ticker = Ticker()
        self.probe: Child | None = None
        self.load: Child | None = None
        self.injector = Injector(
            self.experiment, lab, self.roles, self.dials, self.rng, self._incident, setup.say
        )
        self.breaking = Breaking(
            self.experiment, self.injector, self.marks, self._incident, signals
        )
        self.shedding = Shedding(self.experiment.metastability, self.marks)
        self.load_alive = True
        self._stood: frozenset[str] = frozenset()  # who ran when the lab was up
        self.overhead: dict[str, float] = {}
        self._began = now_ns()

    # ------------------------------------------------------------ bookkeeping

    def _spent(self, step: str) -> None:
        """Book the time since the last call under ``step`` of the trial's overhead."""
        now = now_ns()
        self.overhead[step] = self.overhead.get(step, 0.0) + (now - self._began) / NS
        self._began = now

    def _incident(self, sentence: str) -> None:
        self.marks.incident(sentence)
        self.setup.say("incident", {"sentence": sentence})

    def _pump(self, until_ns: int, stop: Callable[[], bool] = lambda: False) -> bool:
        """Listen to everything until a moment, or until ``stop`` says so. True if it did."""
        while True:
            self.signals.check()
            self.lever.check()
            self._listen()
            if stop():
                return True
            left = until_ns - now_ns()
            if left <= 0:
                return False
            self.clock.sleep(min(_PUMP_EVERY_S, left / NS))

    def _listen(self) -> None:
        if self.probe is not None:
            while (message := self.probe.receive(0.0)) is not None:
                self._check_clock(message, "the probes' process on the observer")
                if self.roles.take(message):
                    self.breaking.role(message, self.roles.roles()[str(message["node"])])
                    self.setup.say("role", message)
        self._listen_to_load()
        if self.breaking.all_done():
            self.shedding.look(self.injector.records, self._command_load)
        self.dials.pump()
        self.injector.feel()
        self.injector.look()

    def _command_load(self, command: Mapping[str, object]) -> None:
        """Raises nothing: a load that has died is found when it is listened to."""
        if self.load is not None and self.load_alive:
            with suppress(LabError):
                self.load.send(command)

    def _listen_to_load(self) -> None:
        try:
            while self.load and self.load_alive and (message := self.load.receive(0.0)) is not None:
                self.breaking.load(message)
                self.setup.say("load", message)
                if message.get("event") == "error":  # its last words
                    self._load_died(message.get("message"))
        except LabError as error:
            self._load_died(error)

    def _load_died(self, why: object) -> None:
        self.load_alive = False
        self._incident(f"the load died during the trial: {str(why).partition(chr(10))[0]}")

    # ------------------------------------------------------------ phases, in order

    def run(self) -> None:
        """The whole trial. Whatever happens, the lab is down when this returns or raises."""
        self.ticker.start()
        try:
            self._bring_up()
            self._watch()
            start_ns = self._start_load()
            window = self._baseline(start_ns)
            self.ticker.restart()
            window = replace(window, observe_end_ns=self._break_and_heal(window))
            self._stop_load()
            self.marks.tick(self.ticker.worst_ns())
            with self.signals.shield():
                self.injector.heal_all()
            self._settle()
            window = replace(window, final_read_ns=now_ns())
            self._final_reads()
            self.marks.window(window)
            self._spent("final reads")
        finally:
            with self.signals.shield():
                self._close()

    def _bring_up(self) -> None:
        self.setup.say("phase", {"name": "lab up"})
        if isinstance(self.lab, Early):
            self.lab.when_reachable(self._spawn)
        self.lab.up()
        self._stood = running(self.lab)
        self._spent("lab up")
        owed = [s.name for s in self.stack.services.values() if holds_data(s)]
        self.marks.nodes(owed)
        self.marks.note("sharing", declared(self.stack))
        self.marks.poll(int(self.experiment.probes.every_s * NS))

    def _spawn(self) -> Child:
        """Start the load's process and the probes'. What they import takes half a second."""
        self.load = self.lab.spawn(self.lab.node(CLIENT), LOAD_CHILD)
        if is_probed(self.stack):
            self.probe = self.lab.spawn(self.lab.node(OBSERVER), PROBE_CHILD)
        return self.load

    def _watch(self) -> None:
        """Say what to ask, start the dials; wait until load and probes are ready, roles known."""
        self.setup.say("phase", {"name": "watching roles"})
        folder = self.setup.folder
        out = self.lab.inside(str(folder / "observations.jsonl"))
        told = self.lab.inside(str(folder / "events.jsonl"))
        every_s = self.experiment.probes.every_s
        n, seed = self.setup.n, self.setup.seed
        load = self.load or self._spawn()
        load.send(load_config(self.experiment, self.stack, self.lab, folder, n, seed))
        if self.probe is not None:
            self.probe.send(probe_config(self.stack, self.lab, every_s, out, told))
        self.dials.prepare(dial_sources(self.experiment.steps, self.lab))
        self.injector.prepare()
        rest_collector()
        self._ready(load, "the load on the client")
        self._look_at_clocks()
        if self.probe is not None and not self._pump(
            now_ns() + int(_ROLES_WITHIN_S * NS), self._roles_known
        ):
            raise LabError(
                f"within {_ROLES_WITHIN_S:g} s not every node had told its role, or none "
                f"was primary ({self.roles.told()})",
                hint="look at logs/ in the trial's folder; are chaoskit.probe.role and, if the "
                "system has words of its own, chaoskit.role.words right?",
            )
        self._spent("watching roles")

    def _check_clock(self, message: Mapping[str, object], what: str) -> None:
        """A child with another clock makes the trial invalid: its moments mean nothing here."""
        if (shift := own_clock(message.get("time_ns"))) is not None:
            self._incident(
                f"{what} does not read the harness's clock: {shift}; start it without "
                "'unshare --time' or a time offset of the container"
            )

    def _look_at_clocks(self) -> None:
        """Say which services have a clock of their own: what they stamp themselves is not used."""
        first_pid = self.lab.first_pid if isinstance(self.lab, Clocked) else lambda _node: None
        for node in self.lab.nodes():
            pid = first_pid(node)
            if shift := None if pid is None else shifted(pid):
                self.marks.note(
                    f"clock of {node.name}",
                    f"{shift}, in a time namespace of its own: moments that it stamps itself are "
                    "not comparable and not used; what clients and probes saw is",
                )

    def _roles_known(self) -> bool:
        return self.roles.settled_for_s() > 0.0 and self.roles.leaders() != 0

    def _ready(self, child: Child, what: str) -> None:
        message = child.receive(_CHILD_READY_WITHIN_S)
        if message is not None:
            self._check_clock(message, what)
        if message is None or message.get("event") != "ready":
            said = "nothing" if message is None else message.get("message", message)
            raise LabError(f"{what} did not get ready (it has {_CHILD_READY_WITHIN_S:g} s): {said}")

    def _start_load(self) -> int:
        assert self.load is not None  # noqa: S101 - set in _watch
        start_ns = now_ns() + 100_000_000
        self.load.send({"do": "start", "at_ns": start_ns})
        self.setup.say("phase", {"name": "warm-up"})
        return start_ns

    def _baseline(self, start_ns: int) -> Window:
        """Warm-up, then at least the profile's baseline, with roles stable as long as asked."""
        profile, load = self.experiment.gates, self.experiment.load
        base_ns = start_ns + int(load.warmup_s * NS)
        self._pump(base_ns)
        self.setup.say("phase", {"name": "baseline"})
        enough_s = max(profile.baseline_s, profile.baseline_requests / load.rate)
        self._pump(base_ns + int(enough_s * NS))
        stable = self._pump(
            now_ns() + int(_BASELINE_CAP_S * NS),
            lambda: self.roles.settled_for_s() >= profile.stable_s,
        )
        if not stable:  # a finding about the system, which the observations prove
            self.setup.say("phase", {"name": "roles are not stable; breaking it all the same"})
        if fallen := ended(self.lab, self.stack, self._stood):  # a finding as well
            self.marks.note("ended_before", fallen)
        return Window(start_ns, base_ns, 0)

    def _break_and_heal(self, window: Window) -> int:
        """Carry out the steps until the run is over; returns when it was."""
        waiting = "waiting for the fault" if self.experiment.steps else "running"
        self.setup.say("phase", {"name": waiting})
        return self.breaking.run(window, self.setup.phase_s, self.roles.roles(), self._pump)

    def _stop_load(self) -> None:
        self.setup.say("phase", {"name": "stopping the load"})
        self._began = now_ns()
        alive = self.load_alive and self.load is not None and self.load.alive()
        within_s = self.experiment.load.timeout_s + 10.0  # what is in flight may take its time
        if alive and self.load is not None:
            alive = self._tell(self.load, {"do": "stop"}, "stopped", within_s) is not None
        self.marks.load(alive)

    def _settle(self) -> None:
        """Wait until every node answers with a role again and the heals were felt, or not."""
        self.setup.say("phase", {"name": "settling"})
        wanted = self.experiment.gates.stable_s

        def settled() -> bool:
            roles = self.roles.settled_for_s() >= min(wanted, 0.5)
            return (
                self.injector.all_felt()
                and roles
                and (self.roles.leaders() in (1, None) or several_serve(self.stack))
                and self._all_joined()
            )

        if not self._pump(now_ns() + int(_SETTLE_WITHIN_S * NS), settled):
            self.marks.note(
                "settled", f"no: {_SETTLE_WITHIN_S:g} s after heal roles are {self.roles.roles()}"
            )
        self._spent("settling")

    def _all_joined(self) -> bool:
        roles = self.roles.roles()
        data = [s.name for s in self.stack.services.values() if holds_data(s)]
        return all(roles.get(name) in ("primary", "backup", None) for name in data)

    def _final_reads(self) -> None:
        """Read everything back through the front door and from every node."""
        self.setup.say("phase", {"name": "final reads"})
        if self.load is None or not self.load_alive or not self.load.alive():
            self._incident("final reads were not possible: the load had died")
            return
        agree_s = self.experiment.load.agree_within_s
        question = {"do": "final", "timeout_s": _FINAL_TIMEOUT_S, "agree_s": agree_s}
        within_s = 2 * _FINAL_TIMEOUT_S + agree_s + 5
        answer = self._tell(self.load, question, "final", within_s)
        if answer is None:
            self._incident("final reads did not come back in time")
            return
        self.marks.note("final_reads", answer.get("places"))

    def _tell(
        self, child: Child, message: Mapping[str, object], event: str, within_s: float
    ) -> dict[str, object] | None:
        """Send a command and wait for its answer, passing by what else the child says."""
        try:
            child.send(message)
            deadline = now_ns() + int(within_s * NS)
            while (left := deadline - now_ns()) > 0:
                self.signals.check()
                answer = child.receive(min(0.2, left / NS))
                if answer is not None and answer.get("event") == event:
                    return answer
        except LabError as error:
            self.load_alive = False
            self._incident(f"the load died: {str(error).splitlines()[0]}")
        return None

    # ------------------------------------------------------------ the way out

    def _close(self) -> None:
        """Heal, save what was seen, take the lab down; every step is tried, whatever fails."""
        problems: list[str] = []
        with ExitStack() as last:
            last.callback(self._down, problems)
            self._began = now_ns()
            self._attempt(self.injector.heal_all, problems)
            for record in self.injector.records():
                self.marks.fault(record)
            if acts := self.injector.acts():
                self.marks.note("operator", [asdict(act) for act in acts])
            self._attempt(self._end_children, problems)
            self.lab.save_logs(str(self.setup.folder / "logs"))
        self._spent("lab down")
        self.marks.note("overhead_s", self.overhead)
        self.marks.close()
        raw = self.setup.folder / "requests.raw"
        if raw.exists():
            close_requests(raw, self.setup.folder / "requests.npy")
        if problems:
            raise HealFailed("; ".join(problems) + "; run: chaoskit heal")

    def _attempt(self, act: Callable[[], object], problems: list[str]) -> None:
        try:
            act()
        except ChaoskitError as error:
            problems.append(str(error))

    def _end_children(self) -> None:
        self.ticker.stop()
        self.dials.close()
        if self.probe is not None:
            with suppress(LabError):
                self.probe.send({"do": "stop"})
                wait_until(lambda: not self.probe or not self.probe.alive(), within_s=2.0)
            self.probe.close()
        if self.load is not None:
            self.load.close()

    def _down(self, problems: list[str]) -> None:
        self.setup.say("phase", {"name": "lab down"})
        self._attempt(self.lab.down, problems)


def run_trial(setup: TrialSetup, lab: Lab, signals: Signals) -> None:
    """Run one trial and leave its history in ``setup.folder``.

    Raises ``LabError`` where the lab could not do what it promised, ``HealFailed`` where
    something may still be broken, ``Interrupted`` after a signal; in every case the lab is down,
    or the journal holds what is left.
    """
    _Trial(setup, lab, signals).run()
