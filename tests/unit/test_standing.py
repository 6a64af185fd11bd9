"""Who has ended before anything was done to him, and who was there to end."""

from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.contracts import Node
from chaoskit.stack.model import Healthcheck, Service, Stack
from chaoskit.standing import ended, running

HEALTH = Healthcheck(test=("true",))
ROLE = {"chaoskit.role": "backup"}


@dataclass
class FewNodes:
    """Of a lab only who runs in it."""

    names: list[str]
    dead: set[str] = field(default_factory=set)

    def nodes(self):
        return tuple(Node(name, "198.18.0.2") for name in self.names)

    def identity(self, node):
        return None if node.name in self.dead else f"{node.name}@1"


def stack(*services):
    return Stack("s", Path("compose.yaml"), {s.name: s for s in services})


def test_who_has_a_part_and_ended_is_told_of():
    whole = stack(
        Service("a", labels=ROLE), Service("b", labels=ROLE), Service("w", healthcheck=HEALTH)
    )
    lab = FewNodes(["a", "b", "w"])
    before = running(lab)
    assert ended(lab, whole, before) == []
    lab.dead = {"b", "w"}
    assert ended(lab, whole, before) == ["b", "w"]


def test_who_is_there_to_end_or_never_ran_is_not():
    whole = stack(
        Service("a", labels=ROLE, depends_on={"seed": "service_completed_successfully"}),
        Service("seed", healthcheck=HEALTH),
        Service("job", labels={"com.example": "x"}),
        Service("late", labels=ROLE),
    )
    lab = FewNodes(["a", "seed", "job", "late"], dead={"late"})
    before = running(lab)
    lab.dead |= {"seed", "job"}
    assert ended(lab, whole, before) == []
