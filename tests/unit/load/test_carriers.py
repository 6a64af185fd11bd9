"""Runs ``carriers_patched.py`` in a process of its own.

Importing Locust patches the process that does it, sockets and threads of every other test included;
so these tests have one where Locust comes first, as it does for the load.
"""

import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("carriers_patched.py")
FIRST = "import locust, sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


def test_the_carriers_keep_their_promises_where_locust_has_patched_everything():
    words = ["-q", "-p", "no:cacheprovider", "-W", "default", str(FILE)]
    done = subprocess.run(
        [sys.executable, "-c", FIRST, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
