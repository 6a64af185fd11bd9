"""Volumes and tmpfs of a service, in the short and the long form."""

from __future__ import annotations

import os
import re

from chaoskit import yaml_source as ys
from chaoskit.stack.files import read_files
from chaoskit.stack.model import Mount
from chaoskit.stack.reading import Reading
from chaoskit.units import UnitError, parse_size
from chaoskit.wording import did_you_mean, quoted

__all__ = ["read_mounts"]

_LONG = {
    "type": True,
    "source": True,
    "target": True,
    "read_only": True,
    "bind": True,
    "volume": True,
    "tmpfs": True,
    "consistency": True,
    "image": False,
}
_KINDS = ("bind", "volume", "tmpfs")
_OTHER_KINDS = ("cluster", "image", "npipe")
_OPTIONS = frozenset(("ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent"))
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def read_mounts(reading: Reading, table: ys.Mapping, service: str) -> tuple[Mount, ...]:
    """Everything mounted into the service; each target once."""
    found: list[tuple[ys.Mark, Mount]] = []
    volumes = table.get("volumes")
    if isinstance(volumes, ys.Sequence):
        for number, item in enumerate(volumes.items, 1):
            nameless = f"{service}-volume-{number}"
            read = _long if isinstance(item, ys.Mapping) else _short
            mount = read(reading, item, nameless)
            if mount is not None:
                found.append((item.mark, mount))
    elif volumes is not None and not (isinstance(volumes, ys.Scalar) and volumes.value is None):
        reading.wrong(volumes.mark, "volumes must be a list")
    found += [
        (text.mark, Mount(text.partition(":")[0], None, "tmpfs", size=_size_in(reading, text)))
        for text in reading.texts(table.get("tmpfs"), "tmpfs")
    ]
    found += read_files(reading, table)
    return _checked(reading, found)


def _checked(reading: Reading, found: list[tuple[ys.Mark, Mount]]) -> tuple[Mount, ...]:
    targets: dict[str, Mount] = {}
    for mark, mount in found:
        normal = os.path.normpath(mount.target)
        if not mount.target.startswith("/") or ".." in mount.target.split("/") or normal == "/":
            reading.wrong(
                mark, f"{quoted(mount.target)} must be an absolute path in the node, and not '/'"
            )
        elif normal in targets:
            reading.wrong(mark, f"{quoted(mount.target)} is mounted twice")
        else:
            targets[normal] = mount
    return tuple(targets.values())


def _short(reading: Reading, node: ys.Node, nameless: str) -> Mount | None:
    """``source:target[:options]``; a target alone is a volume without a name."""
    text = reading.text(node, "each entry of volumes")
    if text is None:
        return None
    parts = text.split(":")
    if len(parts) == 1:
        return Mount(parts[0], nameless, "volume")
    if len(parts) > 3 or not parts[0] or not parts[1]:
        reading.wrong(node.mark, f"{quoted(text)} is not source:target or source:target:ro")
        return None
    options = set(parts[2].split(",")) if len(parts) == 3 else set()
    for option in sorted(options - _OPTIONS):
        reading.wrong(
            node.mark,
            f"unknown option {quoted(option)} of a volume{did_you_mean(option, _OPTIONS)}",
        )
    source, read_only = parts[0], "ro" in options
    if source.startswith((".", "/", "~")):
        return Mount(parts[1], _host_path(reading, source), "bind", read_only)
    return _volume(reading, node.mark, source, parts[1], read_only=read_only)


def _long(reading: Reading, node: ys.Node, nameless: str) -> Mount | None:
    assert isinstance(node, ys.Mapping)  # noqa: S101 - the caller looked
    reading.only(node, _LONG, "a volume")
    kind = reading.text(node.get("type"), "type")
    source = reading.text(node.get("source"), "source")
    target = reading.text(node.get("target"), "target")
    read_only = reading.yes(node.get("read_only"), "read_only")
    if kind in _OTHER_KINDS:
        reading.refuse(node.mark, f"the sandbox lab cannot mount type {kind}")
        return None
    if kind not in _KINDS or target is None:
        hint = did_you_mean(kind or "", _KINDS)
        missing = "target is missing" if kind in _KINDS else f"type must be one of them{hint}"
        reading.wrong(node.mark, f"a volume: {missing}")
        return None
    if kind == "tmpfs":
        return Mount(target, None, "tmpfs", read_only, _size_of(reading, node.get("tmpfs")))
    if kind == "volume":
        return _volume(reading, node.mark, source or nameless, target, read_only=read_only)
    if source is None:
        reading.wrong(node.mark, "a volume of type bind needs a source")
        return None
    return Mount(target, _host_path(reading, source), "bind", read_only)


def _size_in(reading: Reading, text: ys.Text) -> int:
    """The size in ``/data:size=64m,mode=1777``; 0 where none is said."""
    for option in text.partition(":")[2].split(","):
        key, _, value = option.partition("=")
        if key.strip() == "size":
            return _size(reading, text.mark, value)
    return 0


def _size_of(reading: Reading, node: ys.Node | None) -> int:
    table = reading.mapping(node, "tmpfs")
    if table is None:
        return 0
    reading.only(table, {"size": True, "mode": True}, "tmpfs")
    said = table.get("size")
    text = reading.text(said, "size")
    return 0 if text is None or said is None else _size(reading, said.mark, text)


def _size(reading: Reading, mark: ys.Mark, text: str) -> int:
    if text.strip().endswith("%"):
        return 0  # of the machine's memory: no bound that we could rely on
    try:
        return parse_size(text)
    except UnitError as error:
        reading.wrong(mark, f"size of a tmpfs: {error}")
        return 0


def _volume(
    reading: Reading, mark: ys.Mark, source: str, target: str, *, read_only: bool
) -> Mount | None:
    if not _VOLUME.fullmatch(source):
        reading.wrong(mark, f"{quoted(source)} cannot name a volume; a path begins with ./ or /")
        return None
    return Mount(target, source, "volume", read_only)


def _host_path(reading: Reading, source: str) -> str:
    """Absolute; relative paths start at the Compose file's folder."""
    return os.path.normpath(reading.folder / os.path.expanduser(source))  # noqa: PTH111 - str in, str out
