"""Folders and files that are this user's alone, and are trusted only then.

A journal says what to kill and what to remove. Whoever could write to it, or put a link in its
place, could make a later heal do harm; so nothing is opened that another user could have made.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from chaoskit.errors import HealFailed, Refused
from chaoskit.lab.ops import check_run_id

__all__ = ["make_folder", "open_private", "remove_folder", "state_roots", "sync_folder"]


def state_roots() -> tuple[Path, ...]:
    """Folders that may hold runs of this user, the preferred one first; they need not exist."""
    home = os.environ.get("XDG_STATE_HOME", "")
    first = Path(home) if home.startswith("/") else Path("~/.local/state").expanduser()
    return (first / "chaoskit", Path(f"/tmp/chaoskit-{os.geteuid()}"))  # noqa: S108 - checked


def make_folder(run_id: str, roots: Sequence[Path]) -> Path:
    """A new folder for a run, mode 0700, in the first root that will do. Raises ``Refused``."""
    check_run_id(run_id)
    problems = []
    for root in roots:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(open_private(root, os.O_DIRECTORY, None, forbid=0o022))
            folder = root / run_id
            folder.mkdir(mode=0o700)
            sync_folder(root)
        except FileExistsError:
            raise Refused(f"run {run_id} exists already in {root}; run: chaoskit heal") from None
        except (OSError, Refused) as error:
            problems.append(str(error))
        else:
            return folder
    raise Refused("the undo journal can be written nowhere: " + "; ".join(problems))


def open_private(path: Path, flags: int, folder: int | None, forbid: int = 0o077) -> int:
    """Open what is this user's alone; a link, a foreign owner or loose modes are refused."""
    name = path if folder is None else path.name
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"{path} is a symbolic link or not a folder; not touched") from None
        raise
    facts = os.fstat(fd)
    kind_ok = bool(flags & os.O_DIRECTORY) or stat.S_ISREG(facts.st_mode)
    if facts.st_uid != os.geteuid() or facts.st_mode & forbid or not kind_ok:
        os.close(fd)
        raise Refused(f"{path} is not this user's alone; not touched")
    return fd


def sync_folder(folder: Path) -> None:
    """Bring the folder's names to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_folder(folder: Path, *files: str) -> None:
    """Remove a run's private folder and these files in it, nothing else. Raises ``HealFailed``."""
    for name in files:
        (folder / name).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise HealFailed(
            f"{folder} cannot be removed ({error.strerror}); look into it, then: rm -r {folder}"
        ) from None
