"""Running the command line from a test, as a user does: in a process of its own."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-c", "from chaoskit.cli import main; main()")


def benchmark(name):
    """A script of benchmarks/, imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Ran:
    """A finished ``chaoskit`` command. ``result`` is the newest result.json under ``out``."""

    code: int
    out: str
    err: str
    folder: Path | None

    @property
    def result(self) -> dict:
        assert self.folder is not None, f"no run directory; it said: {self.err}"
        return json.loads((self.folder / "result.json").read_text(encoding="utf-8"))

    def trial(self) -> dict:
        """The trial that counts: the last one that was valid, else the last one."""
        trials = self.result["trials"]
        valid = [t for t in trials if not t["invalid_because"]]
        return (valid or trials)[-1]


def newest_run(out: Path) -> Path | None:
    runs = [p for p in out.glob("*/*") if p.is_dir() and not p.is_symlink()]
    return max(runs, key=lambda p: p.stat().st_mtime_ns, default=None)


def chaoskit(
    *args: object, out: Path | None = None, env: dict | None = None, prefix: tuple = ()
) -> Ran:
    """Run the command line in a process of its own; ``out`` is passed as ``--out``."""
    argv = [*prefix, *COMMAND, *map(str, args)]
    if out is not None:
        argv += ["--out", str(out)]
    done = subprocess.run(
        argv,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=280,
    )
    return Ran(done.returncode, done.stdout, done.stderr, newest_run(out) if out else None)


class Running:
    """A ``chaoskit run`` under way: its progress lines, its processes, its end."""

    def __init__(self, *args: object, out: Path, env: dict | None = None) -> None:
        self.out = out
        self.lines: list[str] = []
        self._changed = threading.Condition()
        argv = [*COMMAND, "run", *map(str, args), "--out", str(out)]
        self.process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait_for(self, text: str, within_s: float = 60) -> str:
        """The first progress line that holds ``text``."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    self.process.kill()
                    raise AssertionError(f"no line with {text!r} in: {''.join(self.lines)}")
                self._changed.wait(min(left, 0.5))

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill_child(self, module: str) -> int:
        """SIGKILL the one process of this run that runs ``module``; returns its pid."""
        mark = self.run_mark()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                environ = (folder / "environ").read_bytes()
            except OSError:
                continue
            program = words[0].rsplit(b"/", 1)[-1]
            if module.encode() in words and mark in environ and program.startswith(b"python"):
                os.kill(int(folder.name), signal.SIGKILL)
                return int(folder.name)
        raise AssertionError(f"no process of this run runs {module}")

    def run_mark(self) -> bytes:
        """``CHAOSKIT_RUN=<id>`` as this run's processes carry it."""
        for pid in descendants(self.process.pid):
            try:
                environ = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            for entry in environ:
                if entry.startswith(b"CHAOSKIT_RUN="):
                    return entry
        raise AssertionError("no process of this run carries its mark")

    def finish(self, within_s: float) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(within_s)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(5)
            self.stdout = self.process.stdout.read()
            self.process.stdout.close()
            self.process.stderr.close()

    def result(self) -> dict:
        folder = newest_run(self.out)
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, as far as this one may see them."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found
