"""Every toxic bites and heals on a real Toxiproxy in the Docker lab."""

import sys
from pathlib import Path

import pytest

from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import ROOT, docker_lab, write_stack
from toxic_cases import CASES, WEB, name_of

pytestmark = [pytest.mark.docker, pytest.mark.toxiproxy]


def linked(folder):
    (folder / "web.py").write_text(WEB)
    return write_stack(
        folder,
        f"""
        services:
          a:
            image: chaoskit/reference
            build: {{context: {ROOT}, dockerfile: compose/images/reference/Dockerfile}}
            command: python3 /web.py
            volumes: ["./web.py:/web.py:ro"]
            labels: {{chaoskit.endpoint: "http://:8080"}}
          links:
            image: chaoskit/toxiproxy
            build: {{context: {ROOT}, dockerfile: compose/images/toxiproxy/Dockerfile}}
            labels:
              chaoskit.toxiproxy: http://:8474
              chaoskit.link.web: "to: a:8080 listen: 9001"
        """,
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with docker_lab(folder, linked(folder)) as lab:
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_toxic_bites_and_heals_twice(lab, case):
    check_fault(case, lab, ["link:web"])
