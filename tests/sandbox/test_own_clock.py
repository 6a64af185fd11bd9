"""A service with a clock of its own is found and said; with ours nothing is said."""

import shutil
import subprocess

import pytest
from support import ROOT

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(240)]

SHIFT = "unshare --user --map-root-user --time --monotonic 5000 --boottime 5000 --fork --kill-child"


def can_shift():
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run([*SHIFT.split(), "true"], capture_output=True, check=False).returncode == 0
    )


def stack(folder, *, shifted):
    text = (ROOT / "compose" / "active-passive" / "compose.yaml").read_text("utf-8")
    plain = '["python3", "-m", "chaoskit.reference", "witness"]'
    assert plain in text
    words = ", ".join(f'"{word}"' for word in SHIFT.split())
    if shifted:
        text = text.replace(plain, f"[{words}, {plain[1:]}")
    folder.mkdir()
    (folder / "compose.yaml").write_text(text, "utf-8")
    return str(folder / "compose.yaml")


def notes(ran):
    return [note for note in ran.trial()["notes"] if note.startswith("clock of")]


@pytest.mark.skipif(not can_shift(), reason="no time namespaces for us here")
@pytest.mark.parametrize("shifted", [True, False])
def test_a_service_in_a_time_namespace_is_noted_and_a_clean_twin_is_not(
    tmp_path, experiment, run_until_valid, shifted
):
    file = experiment(stack=stack(tmp_path / "stack", shifted=shifted))
    ran = run_until_valid(file, "--lab", "sandbox", "--seed", 5)
    found = notes(ran)
    if not shifted:
        assert not found
        return
    (note,) = found
    assert "clock of witness" in note
    assert "5000 s" in note
    assert "not used" in note
    assert not any("clock" in reason for reason in ran.trial()["invalid_because"])
