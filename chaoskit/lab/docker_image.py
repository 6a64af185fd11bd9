"""Images: those of the stack (built or had), and our own for load and probes.

Our own image carries the distribution's Python and the packages that load and probes import. They
are unpacked on the host with the host's own pip, because a package index is often out of reach of
a build (a company's proxy, an unknown certificate authority). Its tag is a hash of everything it
is made of, so nothing is built twice.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING

from chaoskit.errors import LabError
from chaoskit.lab.docker_compose import (
    Compose,
    Tree,
    build_keys,
    rendered_for_build,
    services_of,
    tag_of,
)
from chaoskit.lab.docker_engine import Engine, EngineAwayError, is_not_found, translating
from chaoskit.lab.docker_probe import BASE
from chaoskit.stack.model import Stack

if TYPE_CHECKING:
    import docker

__all__ = ["BASE", "client_image", "image_id", "stack_images"]

BASE_HINT = f"where no registry answers, scripts/base-image makes {BASE}"
_IMPORTED = (
    *("locust", "numpy", "pydantic", "redis", "psycopg", "psycopg-binary"),
    "async-timeout",  # redis on Python 3.11.2 wants it
)
_PYTHON = "3.11"  # the base image's
_GLIBC = ("2014", "_2_17", "_2_28", "_2_31", "_2_34", "_2_35", "_2_36")  # what it can run
_SLOW_S = 300
"""Longest silence of a build or a pull."""


def image_id(engine: Engine, name: str) -> str | None:
    """The id of an image that the engine has, else None."""
    with translating(f"looking for image {name}"):
        try:
            return str(engine.client().images.get(name).id)
        except Exception as error:
            if is_not_found(error):
                return None
            raise


def had(engine: Engine, name: str) -> str:
    """The id of an image, pulled if need be. Raises ``LabError`` naming it."""
    found = image_id(engine, name)
    if found:
        return found
    slow = Engine(engine.endpoint, timeout_s=_SLOW_S)
    try:
        with translating(f"pulling image {name}"):
            slow.client().images.pull(name)
    except EngineAwayError:
        raise
    except LabError as error:
        raise LabError(
            f"image {name} is not here and cannot be pulled: {error}",
            hint=BASE_HINT if name == BASE else "",
        ) from error
    finally:
        slow.close()
    found = image_id(engine, name)
    if not found:
        raise LabError(f"image {name} was pulled and is still not here")
    return found


def stack_images(
    engine: Engine, compose: Compose, stack: Stack, raw: Tree, run_id: str
) -> dict[str, str]:
    """Build or pull what the stack needs: service → image id.

    Services with the same recipe are built once. Raises ``LabError`` naming service and cause.
    """
    keys = build_keys(raw, stack)
    first: dict[str, str] = {}
    for name, key in keys.items():
        first.setdefault(key, name)
    tags = {name: tag_of(stack, name) for name in first.values()}
    if tags:
        had(engine, BASE)
        file = rendered_for_build(raw, stack, tags)
        compose.build(engine.endpoint, stack, run_id, file, list(tags))
    images: dict[str, str] = {}
    for name in services_of(raw, stack):
        image = stack.services[name].image
        if name in keys:
            images[name] = had(engine, tags[first[keys[name]]])
        elif image:
            images[name] = had(engine, image)
        else:
            raise LabError(f"{stack.file}: service {name} has neither image nor build")
    return images


def client_image(engine: Engine) -> str:
    """The id of the image for load and probes, built if it is not here. Raises ``LabError``."""
    base = had(engine, BASE)
    with translating("asking for its architecture"):
        machine = str(engine.client().api.info()["Architecture"])
    recipe = resources.files("chaoskit.lab").joinpath("image/Dockerfile").read_bytes()
    wanted = [_pinned(name) for name in _IMPORTED]
    parts = [base.encode(), machine.encode(), recipe, *(line.encode() for line in wanted)]
    tag = f"chaoskit/client:{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}"
    found = image_id(engine, tag)
    if found:
        return found
    with tempfile.TemporaryDirectory(prefix="chaoskit-image-") as folder:
        site = Path(folder) / "site"
        problem = _unpack(wanted, site, machine)
        if problem:
            # What the host runs may not exist for the image's Python; any recent one will do.
            problem = _unpack(_IMPORTED, site, machine)
        if problem:
            raise LabError("the packages for the lab's client cannot be had", output=problem)
        return _build(engine, tag, base, recipe, site)


def _pinned(name: str) -> str:
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


def _unpack(wanted: Sequence[str], site: Path, machine: str) -> str:
    """Unpack wheels for the image into ``site``; what pip had to say if that failed."""
    platforms = [flag for one in _GLIBC for flag in ("--platform", f"manylinux{one}_{machine}")]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--target", str(site), "--only-binary=:all:", "--no-compile", "--upgrade"),
        *("--implementation", "cp", "--python-version", _PYTHON, *platforms, *wanted),
    ]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return "pip did not end within ten minutes"
    return "" if told.returncode == 0 else told.stderr[-2000:] or "pip failed"


def _build(engine: Engine, tag: str, base: str, recipe: bytes, site: Path) -> str:
    slow = Engine(engine.endpoint, timeout_s=_SLOW_S)
    try:
        with tempfile.TemporaryFile() as context:
            with tarfile.open(fileobj=context, mode="w") as tar:
                header = tarfile.TarInfo("Dockerfile")
                header.size = len(recipe)
                tar.addfile(header, io.BytesIO(recipe))
                tar.add(site, "site", filter=_plain)
            context.seek(0)
            with translating("building the image of the lab's client"):
                return _follow(slow.client(), context, tag, base)
    finally:
        slow.close()


def _follow(client: docker.DockerClient, context: IO[bytes], tag: str, base: str) -> str:
    said: list[str] = []
    steps = client.api.build(
        fileobj=context,
        custom_context=True,
        tag=tag,
        rm=True,
        forcerm=True,
        decode=True,
        buildargs={"BASE": base},
    )
    for step in steps:
        said.append(str(step.get("stream") or step.get("error") or ""))
        if step.get("error"):
            raise LabError("the image of the lab's client cannot be built", output="".join(said))
    return str(client.images.get(tag).id)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Owned by root, readable by all; caches and scripts stay out."""
    if entry.name == "site/bin" or entry.name.endswith("__pycache__"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry
