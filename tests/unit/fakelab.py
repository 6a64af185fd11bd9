"""A lab of plain objects, for what acts on labs and must be tested without one."""

from chaoskit.clock import now_ns
from chaoskit.contracts import CLIENT, OBSERVER, Node
from chaoskit.errors import HealFailed, LabError

LABELS = {"chaoskit.endpoint": "http://:8080"}


class FakeLab:
    """Nodes a, b and w; kills, starts and cuts are notes in ``done``."""

    name = "fake"

    def __init__(self, *, starts=True, cuts_hold=True):
        self._nodes = {
            name: Node(name, f"198.18.0.{i}", LABELS) for i, name in enumerate("abw", start=2)
        }
        self._own = {CLIENT: Node(CLIENT, "198.18.0.250"), OBSERVER: Node(OBSERVER, "198.18.0.251")}
        self.incarnation = {name: f"{name}/1" for name in self._nodes}
        self.done = []
        self.starts, self.cuts_hold = starts, cuts_hold
        self.cut_now = {}
        self.standing = set()

    def nodes(self):
        return tuple(self._nodes.values())

    def node(self, name):
        return {**self._nodes, **self._own}[name]

    def identity(self, node):
        return self.incarnation.get(node.name)

    def kill(self, node, signal):
        self.done.append(("kill", node.name, signal))
        self.incarnation[node.name] = None
        return now_ns()

    def start(self, node):
        self.done.append(("start", node.name))
        if not self.starts:
            raise LabError("no such program")
        self.incarnation[node.name] = f"{node.name}/2"

    def pause(self, node):
        self.done.append(("pause", node.name))
        self.standing.add(node.name)

    def paused(self, node):
        return node.name in self.standing

    def resume(self, node):
        self.done.append(("resume", node.name))
        if not self.starts:
            raise HealFailed("it stands still")
        self.standing.discard(node.name)

    def cut(self, cuts):
        self.done.append(("cut", cuts))
        self.cut_now["h"] = self.cuts_hold
        return "h"

    def in_force(self, handle):
        return self.cut_now.get(handle, False)

    def join(self, handle):
        self.done.append(("join", handle))
        self.cut_now.pop(handle, None)
