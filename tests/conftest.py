"""What a test needs and this machine lacks: skipped with the reason, or failed where required.

``CHAOSKIT_REQUIRE=docker,sandbox,...`` turns a skip for one of these markers into a failure, so
that a build machine that should have something cannot lose it silently.
"""

import functools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import second_chance
from support import ROOT, Ran, chaoskit


def _sandbox() -> str | None:
    from chaoskit.lab.sandbox_probe import sandbox_available

    return sandbox_available()


def _docker() -> str | None:
    from chaoskit.lab.docker_probe import docker_available

    return docker_available()


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return "only root can become another user for this test"
    if shutil.which("setpriv") is None:
        return "setpriv (util-linux) is not installed"
    return _sandbox()


def _programs(*names: str) -> Callable[[], str | None]:
    def look() -> str | None:
        missing = [name for name in names if shutil.which(name) is None]
        return f"not installed: {', '.join(missing)}" if missing else None

    return look


def _browser() -> str | None:
    return None if shutil.which("chromium") or shutil.which("google-chrome") else "no Chromium"


def _postgres() -> str | None:
    from postgres_server import missing

    return missing()


def _disk() -> str | None:
    from chaoskit.lab.needs import feature

    return feature("disk-device")


def _patroni() -> str | None:
    if os.geteuid() != 0:
        return "only root can run PostgreSQL as its own user in the sandbox lab"
    return _postgres() or _programs("patroni", "etcd")()


NEEDS: dict[str, Callable[[], str | None]] = {
    "sandbox": functools.cache(_sandbox),
    "unprivileged": functools.cache(_unprivileged),
    "docker": functools.cache(_docker),
    "disk": functools.cache(_disk),
    "haproxy": _programs("haproxy"),
    "redis": _programs("redis-server"),
    "toxiproxy": _programs("toxiproxy-server"),
    "postgres": functools.cache(_postgres),
    "patroni": functools.cache(_patroni),
    "nft": _programs("nft", "ip", "nsenter", "unshare"),
    "browser": _browser,
}

TIME_LIMITS = {"docker": 300, "sandbox": 120, "browser": 120}
DEFAULT_LIMIT = 60


def required() -> set[str]:
    return {name for name in os.environ.get("CHAOSKIT_REQUIRE", "").split(",") if name}


def pytest_configure(config: pytest.Config) -> None:
    unknown = required() - set(NEEDS)
    if unknown:
        raise pytest.UsageError(
            f"CHAOSKIT_REQUIRE names {', '.join(sorted(unknown))}; known: {', '.join(NEEDS)}"
        )
    config.pluginmanager.register(second_chance.SecondChances())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            names = [name for name in TIME_LIMITS if item.get_closest_marker(name)]
            limit = max((TIME_LIMITS[name] for name in names), default=DEFAULT_LIMIT)
            item.add_marker(pytest.mark.timeout(limit))
    second_chance.give(items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, look in NEEDS.items():
        if item.get_closest_marker(name) is None:
            continue
        reason = look()
        if reason is None:
            continue
        if name in required():
            pytest.fail(f"CHAOSKIT_REQUIRE asks for {name}, but: {reason}", pytrace=False)
        pytest.skip(f"needs {name}: {reason}")


# What a machine that is too busy looks like. A run that is invalid for one of these says nothing
# about the code under test, and is repeated, as a person would; any other reason fails the test.
BUSY = re.compile(r"late|not sent|not clean|own heartbeat|too few|neither recorded")
TRIES = 4


@pytest.fixture
def command() -> Callable[..., Ran]:
    """The command line in a process of its own."""
    return chaoskit


@pytest.fixture
def run_until_valid(tmp_path: Path) -> Callable[..., Ran]:
    """``chaoskit run FILE ARGS`` with one trial, repeated while the machine is too busy for it."""

    def run(file: Path, *args: object, env: dict | None = None, prefix: tuple = ()) -> Ran:
        ran = None
        for n in range(TRIES):
            out = tmp_path / f"run-{n}"
            ran = chaoskit("run", file, "--trials", 1, *args, out=out, env=env, prefix=prefix)
            if ran.folder is None or not (ran.folder / "result.json").exists():
                return ran
            reasons = [r for t in ran.result["trials"] for r in t["invalid_because"]]
            if ran.result["verdict"] != "INVALID" or not all(map(BUSY.search, reasons)):
                return ran
        return ran

    return run


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[..., Path]:
    """A short experiment on the reference pair, as a file; keyword arguments replace its lines."""

    def write(**changes: str) -> Path:
        lines = {
            "stack": str(ROOT / "compose" / "active-passive" / "compose.yaml"),
            "load": "{user: http-kv, rate: 100/s}",
            "steps": "[{at: 3s, fault: kill, target: primary, for: 2s}]",
            "run_for": "7s",
            "thresholds": "[client_outage < 3s, lost_writes == 0]",
            **changes,
        }
        path = tmp_path / "short.yaml"
        body = "".join(f"{key}: {value}\n" for key, value in lines.items())
        path.write_text(f"chaoskit: 1\nname: short\nquestion: Does it hold?\n{body}", "utf-8")
        return path

    return write
