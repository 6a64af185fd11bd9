"""A Compose file from a text, read."""

import textwrap

import pytest

from chaoskit.stack.compose import load_stack


@pytest.fixture
def load(tmp_path, monkeypatch):
    folder = tmp_path / "my-pair"
    folder.mkdir()

    def loaded(text, **env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        path = folder / "compose.yaml"
        path.write_text(textwrap.dedent(text))
        return load_stack(path, shown="compose.yaml")

    loaded.folder = folder
    return loaded
