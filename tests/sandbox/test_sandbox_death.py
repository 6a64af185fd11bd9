"""However a harness, a lab or a node ends: nothing of it is left, stubborn processes included."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sandbox_stacks
from sandbox_stacks import STUBBORN, census, fresh_id, gone_within, lab_of, server

from chaoskit.contracts import CLIENT
from chaoskit.errors import LabError
from chaoskit.lab.journal import Journal, read_journal
from chaoskit.lab.ops import KillProcess
from chaoskit.lab.process import ProcessIdentity, kill_and_wait

pytestmark = pytest.mark.sandbox


@contextmanager
def hold(folder: Path, run_id: str) -> Iterator[tuple[subprocess.Popen, dict[int, str]]]:
    """Another harness with a lab up, and every process of it."""
    harness = subprocess.Popen(
        [sys.executable, sandbox_stacks.__file__, "hold", str(folder), run_id],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    with harness:
        try:
            said = harness.stdout.readline()
            assert said, "the harness did not come up"
            yield harness, {int(pid): line for pid, line in json.loads(said).items()}
        finally:
            harness.kill()


def test_the_kernel_takes_the_whole_lab_when_its_harness_is_killed(tmp_path):
    run_id = fresh_id()
    with hold(tmp_path, run_id) as (harness, lived):
        # Init and its parent, four holders, two services, and what the stubborn one forked away.
        assert len(lived) >= 10
        states = {Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in lived}
        assert "T" in states
        harness.kill()
        assert not gone_within(run_id, 10.0)


def test_a_harness_killed_while_its_lab_comes_up_leaves_nothing(tmp_path):
    # At several moments, so that some of them hit init, the network and the services half made.
    for number, delay_s in enumerate((0.15, 0.25, 0.3, 0.35, 0.4, 0.5)):
        run_id = fresh_id()
        with subprocess.Popen(
            [sys.executable, sandbox_stacks.__file__, "hold", str(tmp_path / str(number)), run_id],
            stdout=subprocess.DEVNULL,
        ) as harness:
            time.sleep(delay_s)
            harness.kill()
            assert not gone_within(run_id, 10.0)


def test_the_journal_names_init_before_anything_else_and_killing_it_undoes_the_lab(tmp_path):
    run_id = fresh_id()
    with hold(tmp_path, run_id) as (harness, lived):
        os.kill(harness.pid, signal.SIGSTOP)  # frozen: it holds its end of the socket
        entries = read_journal(tmp_path / "state" / run_id / "journal.jsonl").open_entries()
        assert all(isinstance(entry.op, KillProcess) for entry in entries)
        assert entries[0].op.pid in lived
        # The first is the lab; the others are the holders of nft tables, which live outside of it.
        for op in (entry.op for entry in entries):
            assert kill_and_wait(ProcessIdentity(op.pid, op.starttime, op.boot_id))
        assert not gone_within(run_id, 10.0)


def pid_space(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino


def test_a_killed_node_takes_every_process_of_its_own_with_it_and_no_other(tmp_path):
    run_id = fresh_id()
    with lab_of(tmp_path, server("a", STUBBORN), server("b"), run_id=run_id) as lab:
        lab.up()
        node = lab.node("a")

        def processes_of(name: str) -> set[int]:
            first = int(lab.identity(lab.node(name)).split(":")[0])
            return {p for p in census(run_id) if pid_space(p) == pid_space(first)}

        of_a, of_b = processes_of("a"), processes_of("b")
        assert len(of_a) == 3
        lab.kill(node, signal.SIGKILL)
        left = census(run_id)  # at once: kill() promises it
        assert not of_a & set(left)
        assert of_b <= set(left)
        with pytest.raises(LabError, match="a is not a running service"):
            lab.kill(node, signal.SIGKILL)
        lab.start(node)
        with pytest.raises(LabError, match="a is running already"):
            lab.start(node)


def test_killing_is_quick_next_to_starting_python(tmp_path):
    with lab_of(tmp_path, server("a"), server("b")) as lab:
        lab.up()
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import json, argparse"], check=True)
        python_s = time.monotonic() - began
        took = []
        for _ in range(7):
            began = time.monotonic()
            lab.kill(lab.node("a"), signal.SIGKILL)
            took.append(time.monotonic() - began)
            lab.start(lab.node("a"))
        assert sorted(took)[3] < python_s


def test_client_and_observer_are_no_services_and_cannot_be_killed(tmp_path):
    with lab_of(tmp_path, server("a")) as lab:
        lab.up()
        with pytest.raises(LabError, match="client is not a running service"):
            lab.kill(lab.node(CLIENT), signal.SIGKILL)
        with pytest.raises(LabError, match="client is not a service"):
            lab.start(lab.node(CLIENT))


def test_a_lab_whose_init_was_killed_says_so_and_goes_down_in_silence(tmp_path):
    run_id = fresh_id()
    with lab_of(tmp_path, server("a"), run_id=run_id) as lab:
        lab.up()
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", "input()"])
        inits = [pid for pid, line in census(run_id).items() if "sandbox_init.py" in line]
        outer = min(inits)
        os.kill(min(p for p in inits if p != outer), signal.SIGKILL)
        with pytest.raises(LabError):
            child.receive(10)
        child.close()
        assert lab.identity(lab.node("a")) is None
        with pytest.raises(LabError, match="first process has ended"):
            lab.start(lab.node("a"))
        lab.down()


def test_a_child_that_ignores_its_input_goes_down_with_the_lab(tmp_path):
    run_id = fresh_id()
    with lab_of(tmp_path, server("a"), run_id=run_id) as lab:
        lab.up()
        code = "import time; print('{}', flush=True); time.sleep(600)"
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", code])
        assert child.receive(30) == {}
        lab.down()
        assert not census(run_id)
        assert not child.alive()
        child.close()


def test_a_child_can_be_closed_after_it_was_killed_from_outside(tmp_path):
    with lab_of(tmp_path, server("a")) as lab:
        lab.up()
        code = "import os; print('{}', flush=True); os.kill(os.getpid(), 9)"
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", code])
        assert child.receive(30) == {}
        with pytest.raises(LabError, match="status -9"):
            child.receive(30)
        child.close()


def test_an_asker_that_is_interrupted_does_not_leave_its_answer_to_the_next(tmp_path, monkeypatch):
    with lab_of(tmp_path, server("a")) as lab:
        lab.up()
        session, read = lab._session, lab._session._read

        def interrupted(seconds):
            raise KeyboardInterrupt

        monkeypatch.setattr(session, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lab.spawn(lab.node(CLIENT), ["python", "-c", "print('{\"who\": 1}')"])
        monkeypatch.setattr(session, "_read", read)
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", "print('{\"who\": 2}'); input()"])
        assert child.receive(30) == {"who": 2}
        assert child.alive()
        child.close()


def test_up_twice_is_an_error_and_a_lab_can_come_up_again_after_down(tmp_path):
    with lab_of(tmp_path, server("a")) as lab:
        lab.up()
        with pytest.raises(LabError, match="up already"):
            lab.up()
        first = lab.identity(lab.node("a"))
        assert first is not None
        lab.down()
        lab.up()
        assert lab.identity(lab.node("a")) not in (None, first)


def test_two_labs_of_two_runs_do_not_meet(tmp_path):
    dial = (
        "import json, socket, sys\n"
        "try: socket.create_connection((sys.argv[1], 8080), 1).close()\n"
        "except OSError as e: print(json.dumps({'error': str(e)}), flush=True)\n"
        "else: print('{}', flush=True)\n"
    )
    with (
        lab_of(tmp_path / "1", server("a"), server("b")) as one,
        lab_of(tmp_path / "2", server("a")) as two,
    ):
        one.up()
        two.up()
        assert one.node("a").address == two.node("a").address
        for lab, expected in ((one, True), (two, False)):
            child = lab.spawn(lab.node(CLIENT), ["python", "-c", dial, one.node("b").address])
            assert (child.receive(30) == {}) is expected
            child.close()


def test_a_run_leaves_no_open_file_behind(tmp_path):
    def count() -> dict[str, str]:
        gc.collect()
        found = Path("/proc/self/fd").iterdir()
        return {file.name: str(file.readlink()) for file in found if file.is_symlink()}

    with lab_of(tmp_path / "warm", server("a")) as lab:
        lab.up()
    before = count()
    with lab_of(tmp_path / "x", server("a"), server("b")) as lab:
        lab.up()
        lab.kill(lab.node("a"), signal.SIGKILL)
        lab.start(lab.node("a"))
        child = lab.spawn(lab.node(CLIENT), ["python", "-c", "input()"])
        child.close()
    del lab, child
    assert len(count()) <= len(before), (before, count())


def test_the_journal_has_nothing_open_after_down(tmp_path):
    run_id = fresh_id()
    with Journal.create(run_id, tmp_path / "state") as journal:
        from chaoskit.lab.sandbox import SandboxLab

        lab = SandboxLab(sandbox_stacks.stack(tmp_path, server("a")), run_id, tmp_path, journal)
        lab.up()
        kinds = {type(entry.op) for entry in journal.open_entries()}
        assert KillProcess in kinds
        lab.down()
        assert not journal.open_entries()
