"""What a test needs and this machine lacks: skipped with the reason, or failed where required.

``CHAOSKIT_REQUIRE=docker,sandbox,...`` turns a skip for one of these markers into a failure, so
that a build machine that should have something cannot lose it silently.
"""

import functools
import os
import shutil
from collections.abc import Callable

import pytest


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


NEEDS: dict[str, Callable[[], str | None]] = {
    "sandbox": functools.cache(_sandbox),
    "unprivileged": functools.cache(_unprivileged),
    "docker": functools.cache(_docker),
    "redis": _programs("redis-server"),
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            names = [name for name in TIME_LIMITS if item.get_closest_marker(name)]
            limit = max((TIME_LIMITS[name] for name in names), default=DEFAULT_LIMIT)
            item.add_marker(pytest.mark.timeout(limit))


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
