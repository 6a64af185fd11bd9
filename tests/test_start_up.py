"""Commands that only look must be quick: they import nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"docker", "pandas", "numpy", "locust", "gevent", "requests", "jinja2"}
EXPERIMENT = str(ROOT / "experiments" / "active-passive-kill.yaml")

REPORT = """
import json, sys
from chaoskit.cli import main
try:
    main({argv!r})
except SystemExit as end:
    code = end.code
loaded = sorted(set(sys.modules) & set({heavy!r}))
print("\\n" + json.dumps([code, loaded]))
"""


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["validate", EXPERIMENT], ["list", "faults"], ["schema"], ["run", "--help"]],
)
def test_a_command_that_only_looks_imports_nothing_heavy(argv):
    code = REPORT.format(argv=argv, heavy=sorted(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, loaded = json.loads(done.stdout.splitlines()[-1])
    assert status in (0, None), done.stderr
    assert loaded == []


def test_the_check_sees_a_heavy_import():
    code = "import numpy\n" + REPORT.format(argv=["--help"], heavy=sorted(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])[1] == ["numpy"]
