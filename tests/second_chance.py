"""Live tests have a second chance, and the run has three of them.

A test of real processes and containers can lose a race against a machine that was busy with
something else. It runs once more, and is named in the summary as run again; a fourth such test
fails the run, because that is no longer bad luck. Tests that look for false alarms
(``test_planted_defects``, ``test_labs_agree``) have none: a second look would hide what they
look for. See docs/decisions/031-a-second-chance.md.
"""

from collections.abc import Iterable

import pytest

LIVE = (
    *("loopback", "docker", "sandbox", "unprivileged", "disk", "haproxy", "redis", "postgres"),
    *("patroni", "toxiproxy", "nft", "browser"),
)
STRICT = ("test_planted_defects", "test_labs_agree")
CHANCES = 3
_LINES = 6  # of what went wrong: the failure itself is gone with the second try


def give(items: Iterable[pytest.Item]) -> None:
    for item in items:
        live = any(item.get_closest_marker(name) for name in LIVE)
        if live and not any(name in item.nodeid for name in STRICT):
            item.add_marker(pytest.mark.flaky(reruns=1))


class SecondChances:
    """Counts them: more than CHANCES fail the run."""

    def __init__(self) -> None:
        self.used: list[str] = []
        self.why: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "rerun":
            self.used.append(report.nodeid)
            self.why.append(report.longreprtext.rstrip())

    def _tests(self) -> int:
        """One that fails and then cannot clean up after itself is one."""
        return len(set(self.used))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._tests() > CHANCES and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.used:
            return
        terminalreporter.section("run a second time")
        for nodeid, why in zip(self.used, self.why, strict=True):
            terminalreporter.line(nodeid)
            for line in [line for line in why.splitlines() if line][-_LINES:]:
                terminalreporter.line(f"    {line}")
        if self._tests() > CHANCES:
            terminalreporter.line(
                f"{self._tests()} tests needed a second chance and a run has {CHANCES}: failed",
                red=True,
            )
