"""Names by which services of a Docker lab are found: Compose's own, less the container's."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from chaoskit.contracts import CLIENT

sys.path.insert(0, str(Path(__file__).parent))
from docker_stacks import docker_lab, sleepers

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

GONE = "import json, socket, sys;print(json.dumps(socket.getaddrinfo(sys.argv[1], 1)))"
ASK = (
    "import json, socket, sys;print(json.dumps({n: socket.gethostbyname(n) for n in sys.argv[1:]}))"
)


def test_aliases_and_the_container_name_of_the_file_are_found_though_the_container_has_another(
    tmp_path,
):
    names = "container_name: pg-1\nhostname: alpha\nnetworks: {default: {aliases: [db]}}"
    with docker_lab(tmp_path, sleepers(tmp_path, a=names, b="")) as lab:
        a = lab.node("a")
        assert a.aliases == ("pg-1", "db")
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", ASK, "a", "pg-1", "db"])
        found = child.receive(20)
        child.close()
        assert found == dict.fromkeys(("a", "pg-1", "db"), a.address)


def test_the_name_of_a_dead_container_is_unknown_and_not_asked_for_outside(tmp_path):
    with docker_lab(tmp_path, sleepers(tmp_path, a="", b="")) as lab:
        lab.kill(lab.node("a"), signal.SIGKILL)
        # Whoever gets no answer is told "try again" (EAI_AGAIN) after ten seconds.
        for name in ("a", "nobody.example"):
            ran = lab.execute(lab.node(CLIENT), ["python3", "-c", GONE, name], 60)
            assert f"[Errno {int(socket.EAI_NONAME)}]" in ran.output, ran.output
            assert ran.status == 1
