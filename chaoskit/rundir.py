"""A run is a directory: ``reports/<experiment>/<UTC>-<seed>/``, with ``latest`` beside it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from chaoskit.errors import BadInput, ChaoskitError

__all__ = [
    "create_run_dir",
    "read_json",
    "run_folder",
    "trial_folder",
    "trial_folders",
    "write_atomically",
]


def create_run_dir(out: Path, experiment: str, label: str, *, inside: str = "trials") -> Path:
    """Make the run's directory, new and empty, and point ``latest`` at it.

    Raises ``ChaoskitError`` with one sentence where it cannot be made.
    """
    parent = out / experiment
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _keep_out_of_git(out)
        folder = _unused(parent, label)
        folder.mkdir(mode=0o755)
        (folder / inside).mkdir()
        link = parent / f".latest-{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        link.replace(parent / "latest")
    except OSError as error:
        raise ChaoskitError(
            f"cannot make a run's directory in {parent}: {error.strerror}"
        ) from error
    return folder.resolve()


def _unused(parent: Path, label: str) -> Path:
    """Two runs may start within the same second with the same seed."""
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        folder = parent / f"{label}{suffix}"
        if not folder.exists():
            return folder
    raise ChaoskitError(f"a thousand runs named {label} exist in {parent}; remove some")


def _keep_out_of_git(out: Path) -> None:
    """Reports are output: a repository that holds the folder should not offer to commit them."""
    ignore = out / ".gitignore"
    if not ignore.exists() and not (out / "example").exists():
        ignore.write_text("*\n", encoding="utf-8")


def run_folder(path: Path) -> Path:
    """The run that ``path`` names: itself, or the newest one of an experiment's folder.

    Raises ``BadInput`` with one sentence where there is none.
    """
    for folder in (path, path / "latest"):
        if (folder / "run.json").exists() and (folder / "trials").is_dir():
            return folder.resolve()
    raise BadInput(f"{path} is no stored run, and no experiment's folder with a run in it")


def trial_folder(run_dir: Path, n: int) -> Path:
    """``trials/01``; trials that were repeated because they were invalid follow on."""
    return run_dir / "trials" / f"{n:02d}"


def trial_folders(run_dir: Path) -> tuple[Path, ...]:
    """Every trial of a stored run, in order."""
    return tuple(sorted(p for p in (run_dir / "trials").iterdir() if p.name.isdigit()))


def write_atomically(path: Path, text: str) -> None:
    """Write beside, fsync, rename: a full disk keeps what was there before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ChaoskitError(f"cannot write {path}: {error.strerror}") from error


def read_json(path: Path) -> Mapping[str, object]:
    """A JSON object of a stored run. Raises ``BadInput`` with one sentence."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: {path.parent} is not a stored run") from None
    except NotADirectoryError:
        raise BadInput(f"{path.parent} is a file; name the folder of a stored run") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise BadInput(f"{path} does not hold a JSON object")
    return data
