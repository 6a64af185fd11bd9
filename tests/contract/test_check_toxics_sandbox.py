"""Every toxic bites and heals on a real Toxiproxy in the sandbox lab."""

import json
import sys
from pathlib import Path

import pytest

from chaoskit.errors import LabError
from chaoskit.lab.linkboard import undo_toxic
from chaoskit.lab.ops import RemoveToxic, from_data, to_data
from chaoskit.lab.process import boot_id
from chaoskit.stack.model import Mount, Service
from chaoskit.testing import check_fault
from chaoskit.toxics import Toxic

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from sandbox_stacks import PORT, lab_of, server
from toxic_cases import CASES, WEB, name_of

pytestmark = [pytest.mark.sandbox, pytest.mark.toxiproxy]


def links(folder: Path) -> Service:
    """A Toxiproxy with one proxy of its own configuration and one that the label asks for."""
    file = folder / "proxies.json"
    known = [{"name": "web", "listen": "0.0.0.0:9001", "upstream": f"a:{PORT}", "enabled": True}]
    file.write_text(json.dumps(known), encoding="utf-8")
    return Service(
        "links",
        labels={
            "chaoskit.toxiproxy": "http://:8474",
            "chaoskit.link.web": f"to: a:{PORT}",
            "chaoskit.link.other": f"to: a:{PORT} listen: 9002",
        },
        command=("toxiproxy-server", "-config", "/etc/proxies.json"),
        mounts=(Mount("/etc/proxies.json", str(file), "bind", read_only=True),),
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with lab_of(folder, server("a", WEB), links(folder)) as lab:
        lab.up()
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_toxic_bites_and_heals_twice(lab, case):
    check_fault(case, lab, ["link:web"])


def test_a_link_without_a_proxy_gets_one_where_it_says_where(lab):
    assert lab.link("other").port == 9002
    check_fault(CASES[0], lab, ["link:other"])


def test_an_unknown_link_is_refused_with_those_that_there_are(lab):
    with pytest.raises(LabError, match="no link nowhere; it has web and other"):
        lab.toxify("nowhere", Toxic("latency", attributes={"latency": 1}))


def test_a_misspelt_attribute_is_found_out_and_nothing_stays(lab):
    with pytest.raises(LabError, match="removed again"):
        lab.toxify("web", Toxic("latency", attributes={"latncy": 100}))
    handle = lab.toxify("web", Toxic("latency", attributes={"latency": 1}))
    assert lab.toxic_in_force(handle)
    lab.detoxify(handle)
    lab.detoxify(handle)
    assert not lab.toxic_in_force(handle)


def test_a_toxic_on_a_link_that_is_down_is_refused(lab):
    down = lab.toxify("web", Toxic("down"))
    try:
        with pytest.raises(LabError, match="switched off already"):
            lab.toxify("web", Toxic("latency", attributes={"latency": 1}))
    finally:
        lab.detoxify(down)


def test_a_server_that_was_restarted_has_lost_the_toxic_and_says_so(lab):
    handle = lab.toxify("web", Toxic("latency", attributes={"latency": 1}))
    node = lab.node("links")
    lab.kill(node, 9)
    assert not lab.toxic_in_force(handle)
    lab.start(node)
    assert not lab.toxic_in_force(handle)
    lab.detoxify(handle)


def test_the_guardian_can_remove_a_toxic_without_the_harness(tmp_path):
    """What a journal says about a toxic is enough to remove it from outside, and to see it gone."""
    with lab_of(tmp_path, server("a", WEB), links(tmp_path)) as lab:
        lab.up()
        for toxic in (Toxic("latency", attributes={"latency": 5}), Toxic("down")):
            handle = lab.toxify("web", toxic)
            (op,) = (
                entry.op
                for entry in lab._journal.open_entries()
                if isinstance(entry.op, RemoveToxic)
            )
            assert from_data(to_data(op)) == op
            assert undo_toxic(op)
            assert not lab.toxic_in_force(handle)
            assert not undo_toxic(op)
            lab.detoxify(handle)
    assert not undo_toxic(op), "a server that is gone has no toxic"


@pytest.mark.parametrize(
    ("field", "value"),
    [("pid", 1), ("port", 0), ("proxy", "../x"), ("name", "theirs"), ("boot_id", "x")],
)
def test_a_journal_cannot_name_anything_else(field, value):
    good = {"pid": 5, "starttime": 1, "boot_id": boot_id(), "port": 1, "proxy": "a", "name": "down"}
    RemoveToxic(**good)
    with pytest.raises(ValueError, match=field):
        RemoveToxic(**{**good, field: value})
