"""``configs`` and ``secrets`` of a Compose file: files of the host that a service reads.

Both are mounted read-only, by us and alike in both labs: what Compose itself makes of ``configs``
changed from version to version, and one that ignores them starts a service without its settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from chaoskit import yaml_source as ys
from chaoskit.stack.model import Mount
from chaoskit.stack.reading import Reading
from chaoskit.wording import did_you_mean, quoted

__all__ = ["FILE_KEYS", "declare_files", "read_files"]

FILE_KEYS = ("configs", "secrets")
_DECLARED = {
    "file": True,
    "name": True,
    "labels": True,
    "content": False,
    "environment": False,
    "external": False,
    "driver": False,
    "driver_opts": False,
    "template_driver": False,
}
_USED = dict.fromkeys(("source", "target", "uid", "gid", "mode"), True)
_OWNERSHIP = ("uid", "gid", "mode")  # of a file of the host: it has its own


def declare_files(reading: Reading, root: ys.Mapping) -> None:
    """Note what the top of the file declares, in ``reading.files``."""
    for kind in FILE_KEYS:
        table = reading.mapping(root.get(kind), kind)
        for entry in table.entries if table else ():
            what = f"{kind} {quoted(entry.key)}"
            reading.files[kind, entry.key] = None
            inner = reading.mapping(entry.value, what)
            if inner is None:
                reading.wrong(entry.mark, f"{what} says nothing; write file: with a path")
                continue
            reading.only(inner, _DECLARED, what)
            reading.files[kind, entry.key] = _source(reading, inner, what)


def _source(reading: Reading, table: ys.Mapping, what: str) -> str | None:
    """The absolute path; None where it is no file, which Docker alone may know what to do with."""
    node = table.get("file")
    text = reading.text(node, "file")
    if text is None or node is None:
        if not any(table.get(key) is not None for key in ("content", "environment", "external")):
            reading.wrong(table.mark, f"{what} has no file")
        return None
    path = os.path.normpath(reading.folder / os.path.expanduser(text))  # noqa: PTH111 - str in, str out
    if not os.path.isfile(path):  # noqa: PTH113 - a str
        reading.wrong(node.mark, f"{what}: there is no file {quoted(text)}")
    return path


def read_files(reading: Reading, table: ys.Mapping) -> Iterator[tuple[ys.Mark, Mount]]:
    """What a service asks for, each as a mount with the place where it is asked for."""
    for kind in FILE_KEYS:
        node = table.get(kind)
        if node is None or (isinstance(node, ys.Scalar) and node.value is None):
            continue
        if not isinstance(node, ys.Sequence):
            reading.wrong(node.mark, f"{kind} must be a list")
            continue
        for item in node.items:
            mount = _one(reading, kind, item)
            if mount is not None:
                yield item.mark, mount


def _one(reading: Reading, kind: str, node: ys.Node) -> Mount | None:
    target = None
    if isinstance(node, ys.Mapping):
        reading.only(node, _USED, f"an entry of {kind}")
        for key in _OWNERSHIP:
            if node.get(key) is not None:
                reading.no_effect(f"{kind}.{key}", "")
        name = reading.text(node.get("source"), "source")
        target = reading.text(node.get("target"), "target")
        if name is None:
            reading.wrong(node.mark, f"an entry of {kind} needs a source")
    else:
        name = reading.text(node, f"each entry of {kind}")
    if name is None:
        return None
    if (kind, name) not in reading.files:
        hint = did_you_mean(name, [other for k, other in reading.files if k == kind])
        reading.wrong(node.mark, f"{kind}: {quoted(name)} is declared nowhere{hint}")
        return None
    source = reading.files[kind, name]
    if source is None:
        return None  # refused where it is declared
    return Mount(_target(kind, name, target), source, "bind", read_only=True, key=kind)


def _target(kind: str, name: str, target: str | None) -> str:
    """Where Compose would put it."""
    if kind == "configs":
        return target or f"/{name}"
    target = target or name
    return target if target.startswith("/") else f"/run/secrets/{target}"
