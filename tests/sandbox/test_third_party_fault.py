"""The example of a fault in a package of its own: installed, listed, checked, used."""

import os
import subprocess
import sys

import pytest
from support import ROOT, chaoskit

from chaoskit.testing import check_fault

pytestmark = pytest.mark.sandbox
EXAMPLE = ROOT / "examples" / "chaoskit-stutter"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where pip has put the package; its build leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    how = ["--no-deps", "--no-build-isolation", "--target", str(folder), str(EXAMPLE)]
    done = subprocess.run([*pip, *how], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def with_it(installed):
    return {"PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])}


def test_it_is_a_small_file():
    assert (EXAMPLE / "chaoskit_stutter.py").read_text().count("\n") < 40


def test_the_page_about_writing_a_fault_shows_it_as_it_is():
    page = (ROOT / "docs" / "writing-a-fault.md").read_text()
    source = (EXAMPLE / "chaoskit_stutter.py").read_text()
    shown = page.split("```python\n")[1].split("```")[0]
    assert shown == source.partition("\n\n")[2]


def test_it_stands_where_ours_stand(installed):
    without, listed = chaoskit("list", "faults"), chaoskit("list", "faults", env=with_it(installed))
    assert "stutter" not in without.out
    assert any(line.split() == ["stutter", "chaoskit-stutter"] for line in listed.out.splitlines())


def test_an_experiment_uses_it(installed, experiment, run_until_valid):
    file = experiment(
        steps="[{at: 3s, fault: stutter, target: backup, still: 250ms, for: 2s}]",
        thresholds="[lost_writes == 0, duplicate_writes == 0]",
    )
    ran = run_until_valid(file, "--lab", "sandbox", env=with_it(installed))
    assert ran.code == 0, ran.err
    (fault,) = ran.trial()["faults"]
    assert fault["fault"] == "stutter"
    assert fault["bitten_ns"] is not None
    assert fault["felt_healed_ns"] is not None


def test_it_keeps_the_contract_of_faults(installed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    from chaoskit_stutter import Stutter
    from sandbox_stacks import lab_of, server

    answers = "import http.server as h; h.HTTPServer(('', 8080), h.SimpleHTTPRequestHandler)"
    web = f"{answers}.serve_forever()"
    with lab_of(tmp_path, server("a", web), server("b", web)) as lab:
        lab.up()
        check_fault(Stutter(still="300ms"), lab, ["a"])
