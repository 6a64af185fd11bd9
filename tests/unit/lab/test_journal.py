"""The journal: what is written is read back, and nothing that is broken or planted is believed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chaoskit.errors import HealFailed, LabError, Refused
from chaoskit.lab.journal import Journal, append_undone, is_locked, read_journal
from chaoskit.lab.ops import DockerStart, KillProcess, RemoveDockerRun, RemoveTree
from chaoskit.lab.private import state_roots
from chaoskit.lab.process import boot_id

OPS = (
    RemoveDockerRun("r1"),
    DockerStart("ab" * 32),
    KillProcess(4_194_303, 5, boot_id(), "holder"),
    RemoveTree("lab"),
)


@pytest.fixture
def journal(tmp_path):
    with Journal.create("r1", tmp_path / "state") as made:
        yield made


def full(journal: Journal) -> Journal:
    """One entry of each kind; the first undone, the second done."""
    for number, op in enumerate(OPS):
        journal.intend(op, scope="fault" if number % 2 else "lab")
    journal.done(1)
    journal.undone(1)
    journal.done(2)
    return journal


def test_what_was_written_is_read_back(journal):
    full(journal)
    contents = read_journal(journal.path)
    assert [entry.op for entry in contents.entries] == list(OPS)
    assert [entry.scope for entry in contents.entries] == ["lab", "fault", "lab", "fault"]
    assert [entry.n for entry in contents.open_entries()] == [2, 3, 4]
    assert contents.entries[1].done
    assert contents.run_id == "r1"
    assert contents.owner is not None
    assert contents.owner.pid == os.getpid()
    assert contents.damaged == ()


def test_files_and_folders_are_private(journal):
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.directory.stat().st_mode & 0o777 == 0o700
    assert journal.directory.parent.stat().st_mode & 0o777 == 0o700


def test_an_intent_is_on_the_disk_before_intend_returns(journal, monkeypatch):
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), real(fd))[1])
    journal.intend(OPS[0])
    assert len(synced) == 1


def test_an_intent_that_cannot_be_written_forbids_the_act(journal, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(LabError, match="No space left"):
        journal.intend(OPS[0])
    monkeypatch.undo()
    assert journal.open_entries() == ()
    assert journal.intend(OPS[0]) == 1


def test_a_half_written_line_is_taken_back(journal, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    with pytest.raises(LabError):
        journal.intend(OPS[0])
    monkeypatch.undo()
    journal.intend(OPS[1])
    contents = read_journal(journal.path)
    assert contents.damaged == ()
    assert [entry.op for entry in contents.entries] == [OPS[1]]


def test_a_journal_with_open_entries_cannot_be_closed(journal):
    number = journal.intend(RemoveTree("lab"))
    with pytest.raises(HealFailed, match=r"remove the folder lab .*chaoskit heal"):
        journal.close()
    journal.undone(number)
    journal.undone(number)
    journal.close()
    journal.close()
    with pytest.raises(LabError, match="closed"):
        journal.intend(OPS[0])


@pytest.mark.parametrize("target", ["journal.jsonl", ""])
def test_archiving_moves_the_journal_and_removes_the_private_folder(journal, tmp_path, target):
    journal.undone(journal.intend(OPS[0]))
    kept = journal.archive(tmp_path / target)
    assert kept == tmp_path / "journal.jsonl"
    assert '"undone"' in kept.read_text()
    assert not journal.directory.exists()


def test_archiving_never_deletes_files_that_it_does_not_know(journal, tmp_path):
    (journal.directory / "precious").write_text("x")
    with pytest.raises(HealFailed, match="look into it"):
        journal.archive(tmp_path)
    assert (journal.directory / "precious").exists()


def test_the_lock_tells_a_live_run_from_a_dead_one(journal):
    assert is_locked(journal.path)
    journal.abandon()
    assert not is_locked(journal.path)


def test_a_program_that_the_run_starts_does_not_inherit_the_lock(journal):
    with subprocess.Popen(["sleep", "60"]) as child:
        journal.abandon()
        try:
            assert not is_locked(journal.path)
        finally:
            child.kill()


def test_a_run_id_that_is_taken_or_malformed_is_refused(journal, tmp_path):
    with pytest.raises(Refused, match="exists already"):
        Journal.create("r1", tmp_path / "state")
    for bad in ("", "../x", "A", "x" * 16, "a/b", "a b", "é"):
        with pytest.raises(ValueError, match="run id"):
            Journal.create(bad, tmp_path / "state")


def test_threads_write_whole_lines_with_numbers_of_their_own(journal):
    def work():
        for _ in range(50):
            journal.undone(journal.intend(OPS[0]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = read_journal(journal.path)
    assert contents.damaged == ()
    assert [entry.n for entry in contents.entries] == list(range(1, 201))
    assert contents.open_entries() == ()


def test_cut_off_at_any_byte_it_shows_a_prefix_of_the_truth(journal, tmp_path):
    full(journal)
    journal.abandon()
    raw = journal.path.read_bytes()
    seen = set()
    for size in range(len(raw) + 1):
        journal.path.write_bytes(raw[:size])
        contents = read_journal(journal.path)
        ops = [entry.op for entry in contents.entries]
        assert ops == list(OPS[: len(ops)])
        whole = raw[:size].count(b"\n")
        assert (contents.damaged == ()) == (whole > 0 or contents.owner is not None)
        seen.add(len(ops))
    assert seen == {0, 1, 2, 3, 4}


def test_with_any_byte_flipped_nothing_is_invented_and_damage_is_said(journal):
    full(journal)
    journal.abandon()
    raw = journal.path.read_bytes()
    for place in range(len(raw)):
        for bit in (0x01, 0x20, 0x80):
            spoilt = bytearray(raw)
            spoilt[place] ^= bit
            journal.path.write_bytes(spoilt)
            contents = read_journal(journal.path)
            assert {entry.op for entry in contents.entries} <= set(OPS)
            everything = [entry.op for entry in contents.entries] == list(OPS)
            assert everything or contents.damaged


def test_noise_is_damage_and_never_an_exception(journal):
    journal.abandon()
    for noise in (b"\0" * 100, b"\n\n\n", b"[" * 100_000, os.urandom(5000), b"00000000 \n"):
        journal.path.write_bytes(noise)
        contents = read_journal(journal.path)
        assert contents.entries == ()
        assert contents.damaged


def test_the_guardian_can_write_after_a_torn_line(journal):
    full(journal)
    journal.abandon()
    with journal.path.open("ab") as file:
        file.write(b'12345678 {"what":"inte')
    append_undone(journal.path, 2, "guardian")
    contents = read_journal(journal.path)
    assert contents.damaged == ()
    assert [entry.n for entry in contents.open_entries()] == [3, 4]


def test_a_journal_of_another_run_is_damage(journal, tmp_path):
    journal.abandon()
    elsewhere = journal.directory.with_name("r2")
    journal.directory.rename(elsewhere)
    assert read_journal(elsewhere / "journal.jsonl").damaged


def test_links_and_loose_modes_are_refused(journal, tmp_path):
    journal.path.chmod(0o640)
    with pytest.raises(Refused, match="alone"):
        read_journal(journal.path)
    journal.path.chmod(0o600)
    journal.directory.chmod(0o770)
    with pytest.raises(Refused, match="alone"):
        read_journal(journal.path)
    journal.directory.chmod(0o700)
    real = journal.path.rename(tmp_path / "real")
    journal.path.symlink_to(real)
    with pytest.raises(Refused, match="symbolic link"):
        read_journal(journal.path)
    link = tmp_path / "link"
    link.symlink_to(journal.directory)
    with pytest.raises(Refused, match="symbolic link"):
        read_journal(link / "journal.jsonl")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(journal):
    os.chown(journal.path, 65534, -1)
    with pytest.raises(Refused, match="alone"):
        read_journal(journal.path)


def test_a_fifo_is_refused_without_waiting_for_its_writer(journal):
    journal.path.unlink()
    os.mkfifo(journal.path, 0o600)
    with pytest.raises(Refused, match="alone"):
        read_journal(journal.path)


def test_a_loose_or_foreign_state_folder_is_not_used(tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    with pytest.raises(Refused, match="nowhere"):
        Journal.create("r1", loose)
    link = tmp_path / "link"
    link.symlink_to(loose)
    with pytest.raises(Refused, match="nowhere"):
        Journal.create("r1", link)


def test_where_home_cannot_be_written_a_private_folder_in_tmp_is_used(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    with Journal.create("homeless1") as journal:
        assert journal.directory.parent == Path(f"/tmp/chaoskit-{os.geteuid()}")
        assert journal.directory.parent == state_roots()[1]
        journal.close()
        journal.path.unlink()
        journal.directory.rmdir()


def test_a_relative_state_home_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_roots()[0].is_absolute()


def test_undone_fits_on_a_full_disk(tmp_path):
    """A small file system of our own in namespaces of our own, filled to the last block."""
    script = """
import os, pathlib, sys
from chaoskit.errors import LabError
from chaoskit.lab.journal import Journal, read_journal
from chaoskit.lab.ops import RemoveTree
journal = Journal.create("r1", pathlib.Path("/mnt/state"))
entry = journal.intend(RemoveTree("lab"))
try:
    with open("/mnt/fill", "wb", 0) as file:
        while True: file.write(b"x" * 4096)
except OSError: pass
journal.undone(entry)
assert read_journal(journal.path).open_entries() == ()
print("fits")
"""
    mount = 'mount -t tmpfs -o size=1m none /mnt && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("namespaces are denied here")
    assert done.stdout == "fits\n", done.stderr
