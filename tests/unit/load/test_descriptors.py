"""The table of descriptors is as large as it will ever be before anything is measured."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, resource, sys
from pathlib import Path
from chaoskit.load.descriptors import make_room

def slots():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("FDSize:")[2].split()[0])

most, wanted, hard = (int(word) for word in sys.argv[1:])
hard = hard or resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256 if most else hard, hard))
if most:
    make_room(most)
room = slots()
made = []
try:
    for _ in range(wanted):
        made.append(os.dup(0))
except OSError as error:
    print(error, file=sys.stderr)
for fd in made:  # the table keeps its size
    os.close(fd)
print(json.dumps({"room": room, "later": slots(), "opened": len(made)}))
"""


def opened(most, wanted, hard=0):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(most), str(wanted), str(hard)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("count", [500, 3000])
def test_so_many_descriptors_more_do_not_let_the_table_grow(count):
    found = opened(count, count)
    assert found["opened"] == count  # the soft limit was 256
    assert found["room"] == found["later"] > count


def test_without_it_the_table_grows_when_they_are_needed():
    found = opened(0, 500)
    assert found["room"] < found["later"]


def test_a_hard_limit_that_is_lower_is_used_up_and_no_error():
    found = opened(100_000, 1000, hard=400)
    assert 300 < found["opened"] < 400
    assert found["room"] == found["later"] >= 400
