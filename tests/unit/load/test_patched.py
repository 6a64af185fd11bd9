"""Runs each ``*_patched.py`` beside it in a process of its own.

Importing Locust patches the process that does it, sockets and threads of every other test included;
so these tests have one where Locust comes first, as it does for the load.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FILES = [f for f in sorted(Path(__file__).parent.glob("*_patched.py")) if f != Path(__file__)]
FIRST = "import locust, sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_holds_where_locust_has_patched_everything(file):
    words = ["-q", "-p", "no:cacheprovider", "-W", "default", str(file)]
    done = subprocess.run(
        [sys.executable, "-c", FIRST, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
