"""``configs`` and ``secrets`` that are files: a service reads them at the same places in both labs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import docker_lab, sleepers
from sandbox_stacks import lab_of

FILES = """
configs: [settings, {source: settings, target: /etc/there.conf}]
secrets: [{source: key, target: again}, key]
"""
TOP = """
configs: {settings: {file: ./$$a.conf}}
secrets: {key: {file: key.txt}}
"""
READ = "cat /settings /etc/there.conf /run/secrets/key /run/secrets/again"
WRITE = (
    "for f in /settings /run/secrets/key; do { echo x >>$f; } 2>/dev/null && echo wrote $f; done; :"
)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)
def test_files_are_read_where_the_file_says_and_written_nowhere(tmp_path, kind):
    (tmp_path / "$a.conf").write_text("set\n")
    (tmp_path / "key.txt").write_text("secret\n")
    stack = sleepers(tmp_path, TOP, a=FILES)
    assert stack.sandbox_refusals == ()
    with (
        docker_lab(tmp_path, stack)
        if kind == "docker"
        else lab_of(tmp_path, *stack.services.values())
    ) as lab:
        if kind == "sandbox":
            lab.up()
        read = lab.execute(lab.node("a"), ["sh", "-c", READ], 20)
        assert (read.status, read.output.split()) == (0, ["set", "set", "secret", "secret"])
        assert lab.execute(lab.node("a"), ["sh", "-c", WRITE], 20).output == ""
    assert (tmp_path / "$a.conf").read_text() == "set\n"
    assert (tmp_path / "key.txt").read_text() == "secret\n"
