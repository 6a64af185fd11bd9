"""Contract checks that ship with chaoskit: one line in the test of whoever writes a lab or a fault.

They import no test runner. A promise that does not hold is an ``AssertionError`` whose text says
which one.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

from chaoskit.capabilities import Cut, Cuts, Early, Kills, Pauses
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import CLIENT, OBSERVER, Child, Lab
from chaoskit.errors import LabError
from chaoskit.testing_faults import check_fault

__all__ = ["check_fault", "check_lab"]

LAB_RANGE = IPv4Network("198.18.0.0/15")
OUTSIDE = ("192.0.2.1", 9)  # TEST-NET-1: belongs to nobody, and no lab has a way there
SOON_S = 30.0  # for things that take milliseconds on an idle machine
DIAL_S = 1.0
SILENCE_S = 0.3  # no answer for so long, where one would take a millisecond, is silence

_DIALLER = """
import json, socket, sys, time
for line in sys.stdin:
    ask = json.loads(line)
    before, answer = time.monotonic(), {"host": "", "outcome": "open"}
    try:
        answer["host"] = socket.gethostbyname(ask["host"])
        socket.create_connection((answer["host"], ask["port"]), ask["timeout_s"]).close()
    except TimeoutError:
        answer["outcome"] = "silent"
    except ConnectionError:
        answer["outcome"] = "refused"
    except OSError as error:
        answer["outcome"] = "unreachable"
    answer["took_s"] = time.monotonic() - before
    print(json.dumps(answer), flush=True)
"""


def check_lab(lab: Lab, run_dir: Path | None = None) -> None:
    """Take a lab that is not up through everything that ``contracts.Lab`` promises.

    Its stack needs two services or more with the label ``chaoskit.endpoint: http://:<port>``
    that accept TCP connections there. The capabilities that the lab has are checked too. With
    ``run_dir``, a folder of the run, the way files are shared with children is checked. The lab
    is down afterwards, whatever happened.
    """
    _require(isinstance(lab, Lab), "the lab has all methods of contracts.Lab")
    _check_not_up(lab)
    early = _spawn_early(lab, lab) if isinstance(lab, Early) else None
    lab.up()
    try:
        if early is not None:
            _check_early(early)
        served = _served(lab)
        _check_nodes(lab)
        _check_network(lab, served)
        _check_children(lab, run_dir)
        if isinstance(lab, Kills):
            _check_kills(lab, lab, served)
        if isinstance(lab, Pauses):
            _check_pauses(lab, lab, served)
        if isinstance(lab, Cuts):
            _check_cuts(lab, lab, served)
        _check_logs(lab)
    finally:
        lab.down()
    _check_not_up(lab)


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"broken promise of the lab: {promise}")


# ---------------------------------------------------------------- what is there


def _served(lab: Lab) -> dict[str, int]:
    """Service → the port of its endpoint."""
    found = {}
    for node in lab.nodes():
        port = urlsplit(node.labels.get("chaoskit.endpoint", "")).port
        if port is not None:
            found[node.name] = port
    if len(found) < 2:
        raise ValueError("check_lab needs two services with the label chaoskit.endpoint")
    return found


def _check_not_up(lab: Lab) -> None:
    lab.down()  # silent, whether it was up or not
    lab.down()
    for node in lab.nodes():
        _require(lab.identity(node) is None, f"{node.name} does not run while the lab is down")
    try:
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", "pass"])
    except LabError:
        return
    child.close()
    raise AssertionError("broken promise of the lab: nothing can be spawned while it is down")


def _check_nodes(lab: Lab) -> None:
    nodes = lab.nodes()
    names = {node.name for node in nodes}
    _require(not names & {CLIENT, OBSERVER}, "nodes() has neither client nor observer")
    everyone = [*nodes, lab.node(CLIENT), lab.node(OBSERVER)]
    addresses = [address for node in everyone for address in node.all_addresses()]
    _require(len(set(addresses)) == len(addresses), "no address is given twice")
    for address in addresses:
        _require(IPv4Address(address) in LAB_RANGE, f"{address} lies inside {LAB_RANGE}")
    for node in nodes:
        _require(lab.node(node.name) == node, f"node({node.name!r}) is the node of that name")
        who = lab.identity(node)
        _require(who is not None, f"{node.name} runs once up() has returned")
        _require(lab.identity(node) == who, f"the identity of {node.name} is stable")
    try:
        lab.node("nobody-is-called-this")
    except LabError:
        pass
    else:
        raise AssertionError("broken promise of the lab: an unknown node is a LabError")
    _require(all(isinstance(v, str) for v in lab.facts().values()), "facts() are words")


def _check_logs(lab: Lab) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab.save_logs(folder)
        for node in lab.nodes():
            file = Path(folder) / f"{node.name}.log"
            _require(file.is_file(), f"save_logs writes {file.name}")


# ---------------------------------------------------------------- network


@contextmanager
def _dialler(lab: Lab, place: str) -> Iterator[Child]:
    child = lab.spawn(lab.node(place), ["python", "-c", _DIALLER])
    try:
        yield child
    finally:
        child.close()


def _dial(child: Child, host: str, port: int, timeout_s: float = DIAL_S) -> Mapping[str, object]:
    child.send({"host": host, "port": port, "timeout_s": timeout_s})
    answer = child.receive(SOON_S)
    if answer is None:
        raise AssertionError("broken promise of the lab: a child answers")
    return answer


def _opens(child: Child, host: str, port: int) -> bool:
    def look() -> bool | None:
        return _dial(child, host, port)["outcome"] == "open" or None

    return wait_until(look, within_s=SOON_S, every_s=0.1) is not None


def _check_network(lab: Lab, served: Mapping[str, int]) -> None:
    for place in (*served, CLIENT, OBSERVER):
        with _dialler(lab, place) as child:
            for name, port in served.items():
                answer = _dial(child, name, port)
                _require(answer["outcome"] == "open", f"{place} reaches {name} by its name")
                known = lab.node(name).all_addresses()
                _require(answer["host"] in known, f"the name {name} means its address on {place}")
            answer = _dial(child, *OUTSIDE)
            _require(answer["outcome"] != "open", f"{place} reaches nothing outside of the lab")
            took = answer["took_s"]
            quick = isinstance(took, float) and took < DIAL_S
            _require(quick, f"{place} is told at once that there is no way outside")


# ---------------------------------------------------------------- children


def _check_children(lab: Lab, run_dir: Path | None) -> None:
    client = lab.node(CLIENT)
    child = lab.spawn(
        client, ["python", "-c", "import sys\nfor x in sys.stdin: print(x, flush=True)"]
    )
    child.send({"n": 1, "text": "äöü"})
    _require(child.receive(SOON_S) == {"n": 1, "text": "äöü"}, "a child's JSON lines come back")
    _require(child.receive(0.05) is None, "receive is None when nothing came in time")
    _require(child.alive(), "a child lives until it is closed")
    child.close()
    child.close()
    _require(not child.alive(), "a closed child is gone")

    child = lab.spawn(client, ["python", "-c", "raise SystemExit('these are my last words')"])
    try:
        child.receive(SOON_S)
    except LabError as error:
        _require("these are my last words" in str(error), "a dead child's last words are kept")
    else:
        raise AssertionError("broken promise of the lab: receive() of a dead child is a LabError")
    child.close()

    child = lab.spawn(client, ["python", "-c", "import chaoskit; print('{}', flush=True); input()"])
    _require(child.receive(SOON_S) == {}, "'python' is one that can import chaoskit")
    child.close()
    if run_dir is not None:
        _check_shared_files(lab, run_dir)


def _check_shared_files(lab: Lab, run_dir: Path) -> None:
    note = run_dir / "note-to-child.txt"
    note.write_text("hello", encoding="utf-8")
    there = lab.inside(str(note))
    code = f"""
import json, pathlib
file = pathlib.Path({there!r})
print(json.dumps({{"read": file.read_text()}}), flush=True)
file.write_text("and back")
print("{{}}", flush=True)
"""
    child = lab.spawn(lab.node(CLIENT), ["python", "-c", code])
    _require(child.receive(SOON_S) == {"read": "hello"}, "a child reads the run's files")
    child.receive(SOON_S)
    child.close()
    _require(note.read_text(encoding="utf-8") == "and back", "what a child writes is on the host")
    note.unlink()


# ---------------------------------------------------------------- capabilities


def _spawn_early(lab: Lab, early: Early) -> list[Child]:
    """Where the children are that ``act`` spawns."""
    found: list[Child] = []
    argv = ["python", "-c", "print('{}', flush=True); input()"]

    def act() -> None:
        found.extend(lab.spawn(lab.node(place), argv) for place in (CLIENT, OBSERVER))

    early.when_reachable(act)
    return found


def _check_early(children: list[Child]) -> None:
    _require(len(children) == 2, "up() calls what was given to when_reachable(), once")
    for child in children:
        _require(child.receive(SOON_S) == {}, "who was spawned while services started lives on")
        child.close()


def _check_kills(lab: Lab, kills: Kills, served: Mapping[str, int]) -> None:
    (name, port), *others = served.items()
    node = lab.node(name)
    before = {n: lab.identity(lab.node(n)) for n in served}
    with _dialler(lab, CLIENT) as child:
        before_ns = now_ns()
        told_ns = kills.kill(node, signal.SIGKILL)
        _require(lab.identity(node) is None, "a killed node has no identity")
        said = isinstance(told_ns, int) and before_ns <= told_ns <= now_ns()
        _require(said, "kill() says when the signal was delivered")
        _require(_dial(child, node.address, port)["outcome"] != "open", "a killed node is away")
        for other, its_port in others:
            _require(_dial(child, other, its_port)["outcome"] == "open", f"{other} lives on")
        kills.start(node)
        _require(lab.identity(node) not in (None, before[name]), "a restart is a new identity")
        _require(lab.node(name).address == node.address, "a restarted node keeps its address")
        _require(_opens(child, node.address, port), "a restarted node serves again")
        for other, _ in others:
            same = lab.identity(lab.node(other)) == before[other]
            _require(same, f"the identity of {other} is untouched")


def _check_pauses(lab: Lab, pauses: Pauses, served: Mapping[str, int]) -> None:
    (name, _), (other, its_port), *_ = served.items()
    node = lab.node(name)
    before = lab.identity(node)
    with _dialler(lab, CLIENT) as child:
        for _ in range(2):
            pauses.pause(node)
            try:
                _require(pauses.paused(node), "a paused node is paused when pause() returns")
                _require(not pauses.paused(lab.node(other)), "pausing a node spares the others")
                outcome = _dial(child, lab.node(other).address, its_port)["outcome"]
                _require(outcome == "open", f"{other} serves while {name} is paused")
            finally:
                pauses.resume(node)
            _require(not pauses.paused(node), "a resumed node is not paused")
            pauses.resume(node)
    _require(lab.identity(node) == before, "a node that was paused is the same incarnation")


def _check_cuts(lab: Lab, cuts: Cuts, served: Mapping[str, int]) -> None:
    (name, port), (other, its_port), *_ = served.items()
    node, peer = lab.node(name), lab.node(other)
    with ExitStack() as children:
        client, on_node, on_peer = (
            children.enter_context(_dialler(lab, place)) for place in (CLIENT, name, other)
        )
        handle = cuts.cut([Cut(node, (peer,))])
        try:
            _require(cuts.in_force(handle), "a cut is in force when cut() returns")
            outcome = _dial(on_peer, node.address, port, SILENCE_S)["outcome"]
            _require(outcome == "silent", f"a peer behind a cut hears nothing, not: {outcome}")
            outcome = _dial(on_node, peer.address, its_port, SILENCE_S)["outcome"]
            _require(outcome != "open", "a cut holds both ways")
            outcome = _dial(client, node.address, port)["outcome"]
            _require(outcome == "open", "a cut spares whoever it does not name")
            if isinstance(lab, Kills):
                lab.kill(node, signal.SIGKILL)
                lab.start(node)
                _require(cuts.in_force(handle), "a cut follows the service through a restart")
                outcome = _dial(on_peer, node.address, port, SILENCE_S)["outcome"]
                _require(outcome == "silent", f"a restarted node is still cut off, not: {outcome}")
        finally:
            cuts.join(handle)
        _require(not cuts.in_force(handle), "a joined cut is not in force")
        _require(_opens(on_peer, node.address, port), "a joined cut lets through again")
        cuts.join(handle)
