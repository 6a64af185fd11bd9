"""A stored run for checkers and tools of others: Jepsen's EDN, CSV, JSON lines, Parquet."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from chaoskit.errors import BadInput, Refused
from chaoskit.history import edn
from chaoskit.history.frames import frames
from chaoskit.history.history import History
from chaoskit.history.reader import read_trial
from chaoskit.judging import stored_trials
from chaoskit.rundir import run_folder

__all__ = ["FORMATS", "export"]

Writer = Callable[[History, int, Path], list[Path]]


def export(run: Path, form: str, out: Path | None) -> tuple[Path, ...]:
    """Write every finished trial of a stored run to ``out``, by default ``export`` in the run.

    ``run``: a run's folder, or an experiment's, which stands for its newest run. Returns what was
    written. Raises ``BadInput``, or ``Refused`` where a library is missing.
    """
    folder = run_folder(run)
    if form == "parquet":
        _parquet_library()
    out = folder / "export" if out is None else out
    written: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for trial in stored_trials(folder, early=True):
            written += FORMATS[form](read_trial(trial), int(trial.name), out)
    except OSError as error:
        raise BadInput(f"cannot write to {error.filename or out}: {error.strerror}") from error
    if not written:
        raise BadInput(f"{folder} holds no finished trial to export")
    return tuple(written)


def _csv(history: History, n: int, out: Path) -> list[Path]:
    path = out / f"requests-{n:02d}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        for block, frame in enumerate(frames(history, n)):
            frame.to_csv(file, index=False, header=block == 0, lineterminator="\n")
    return [path]


def _jsonl(history: History, n: int, out: Path) -> list[Path]:
    path = out / f"requests-{n:02d}.jsonl"
    with path.open("w", encoding="utf-8", newline="") as file:
        for frame in frames(history, n):
            frame.to_json(file, orient="records", lines=True, force_ascii=False)
    return [path]


def _parquet(history: History, n: int, out: Path) -> list[Path]:
    import pyarrow as pa
    from pyarrow import parquet

    path, writer = out / f"requests-{n:02d}.parquet", None
    for frame in frames(history, n):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return [path]


def _parquet_library() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise Refused("Parquet needs pyarrow; install it with: pip install 'chaoskit[parquet]'")


def _edn(history: History, n: int, out: Path) -> list[Path]:
    """One folder a trial; what a trial does not have is not written."""
    folder, faults = out / f"{n:02d}", edn.nemesis(history)
    found = {"log.edn": edn.log(history), "registers.edn": edn.registers(history)}
    written = []
    folder.mkdir(exist_ok=True)
    for name, entries in found.items():
        if entries:
            written.append(_write(folder / name, edn.lines([*faults, *entries], edn.keyed)))
    if entries := found["registers.edn"]:
        written.append(_write(folder / "registers-txn.edn", edn.transactions(entries)))
        (folder / "registers").mkdir(exist_ok=True)
        for key in sorted({e.key for e in entries if e.key is not None}):
            path = folder / "registers" / f"{key}.edn"
            written.append(_write(path, edn.lines(edn.of_key(entries, key))))
    return written


def _write(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
    return path


FORMATS: Mapping[str, Writer] = {
    "csv": _csv,
    "edn": _edn,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
"""By name; each writes one trial and returns the files."""
