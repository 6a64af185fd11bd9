"""``configs`` and ``secrets``: mounts of files where both labs expect them, mistakes with a place."""

import pytest

from chaoskit.errors import BadInput
from chaoskit.stack.model import Mount

STACK = """\
    services:
      a:
        command: x
        configs: [settings, {{source: other, target: /etc/other.conf}}]
        secrets: [key, {{source: key, target: again}}, {{source: key, target: /elsewhere}}]
    configs: {{settings: {{file: ./a.conf}}, other: {{file: "${{WHERE}}/b.conf"}}}}
    secrets: {{key: {{file: "{key}"}}}}
    """


def test_files_are_mounted_read_only_where_compose_puts_them(load, tmp_path):
    for path in (load.folder / "a.conf", tmp_path / "b.conf", tmp_path / "key"):
        path.write_text("x")
    stack = load(STACK.format(key=tmp_path / "key"), WHERE=str(tmp_path))
    assert stack.sandbox_refusals == ()
    assert stack.volumes == ()

    def mount(key, source, target):
        return Mount(target, str(source), "bind", read_only=True, key=key)

    assert stack.service("a").mounts == (
        mount("configs", load.folder / "a.conf", "/settings"),
        mount("configs", tmp_path / "b.conf", "/etc/other.conf"),
        mount("secrets", tmp_path / "key", "/run/secrets/key"),
        mount("secrets", tmp_path / "key", "/run/secrets/again"),
        mount("secrets", tmp_path / "key", "/elsewhere"),
    )


@pytest.mark.parametrize(
    ("body", "top", "where", "said"),
    [
        ("configs: [setings]", "settings: {file: x}", "4:15", "did you mean 'settings'?"),
        ("configs: settings", "settings: {file: x}", "4:14", "configs must be a list"),
        ("configs: [{target: /x}]", "settings: {file: x}", "4:15", "needs a source"),
        ("configs: [settings]", "settings: {file: nowhere}", "5:28", "there is no file 'nowhere'"),
        ("configs: [settings]", "settings: {}", "5:21", "has no file"),
        ("configs: [settings]", "settings: null", "5:11", "says nothing"),
        ("configs: [settings, settings]", "settings: {file: x}", "4:25", "mounted twice"),
        ("configs: [{source: settings, taget: /x}]", "settings: {file: x}", "4:34", "'target'"),
    ],
)
def test_a_mistake_has_its_place(load, body, top, where, said):
    (load.folder / "x").write_text("")
    with pytest.raises(BadInput) as raised:
        load(f"services:\n  a:\n    command: x\n    {body}\nconfigs: {{{top}}}\n")
    (problem,) = raised.value.problems
    assert str(problem).startswith(f"compose.yaml:{where}: ")
    assert said in str(problem)


def test_owner_and_mode_are_those_of_the_file_and_it_is_said(load):
    (load.folder / "x").write_text("")
    stack = load("""\
        services:
          a: {command: x, secrets: [{source: s, mode: 0400}]}
        secrets: {s: {file: x}}
        """)
    assert "'secrets.mode' has no effect in the sandbox lab" in stack.notes
