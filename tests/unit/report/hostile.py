"""Runs whose every string is hostile, and their benign twins of the same lengths."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from chaoskit.judge.result import RunResult
from chaoskit.report.format import block
from tests.unit.report.samples import Sample

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "closing": "</td></table></svg></style></title><script>1</script>",
    "quotes": '"\'` onmouseover=alert(1) x="',
    "address": "javascript:alert(1) https://evil.example/x.png",
    "image": "<img src=https://evil.example/x onerror=alert(1)>",
    "entity": "&lt;b&gt; &#60;i&#62; &quot;",
    "template": "{{ 7*7 }}{% raw %}${x}",
    "separator": "a\u2028b\u2029c\u0085d",
    "control": "a\x00b\x1b[31mc\x9bd\x7f",
    "bidi": "a\u202eb\u2066c\u200fd\ufeff",
    "comment": "--><!-- ]]> <![CDATA[ <?php",
    "markdown": "|a|`b`[x](https://evil.example)![y](z)\n# h\n* i @all",
}


def twin(text: str) -> str:
    """The same length and the same punctuation of names, without anything that could act."""
    return re.sub(r"[^\w\s/.:@,;()=\-]", "x", block(text))


_KEPT = {"ok", "ok_late", "fail_definite", "ambiguous", "not_sent", "due"}


def _walk(value: Any, write: Callable[[], str], verdicts: tuple[str, ...] = ("verdict",)) -> Any:
    """Every string replaced, keys too, except verdicts and the names of outcome classes."""
    if isinstance(value, str):
        return write()
    if isinstance(value, dict):
        return {
            (k if k in _KEPT or k in verdicts else write()): v if k in verdicts else _walk(v, write)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_walk(v, write) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: _walk(getattr(value, f.name), write) for f in fields(value)}
        )
    return value


_MODEL_FIELDS = {"low_s", "high_s", "formula"}


def _model(data: Any, write: Callable[[], str], free: set[str]) -> Any:
    """A dumped model: field names stay, the keys of its free mappings do not."""
    if isinstance(data, dict):
        made = {}
        for key, value in data.items():
            if key == "verdict" and value in {"PASS", "FAIL", "INVALID", "INCONCLUSIVE"}:
                made[key] = value
            elif key in free and isinstance(value, dict):
                made[key] = {write(): _model(v, write, free) for v in value.values()}
            else:
                made[key] = _model(value, write, free)
        return made
    if isinstance(data, list):
        return [_model(v, write, free) for v in data]
    return write() if isinstance(data, str) else data


def with_every_string(sample: Sample, payload: str) -> Sample:
    """The sample with ``payload`` and a number in place of each string that it holds."""
    counter = iter(range(10_000, 1_000_000))

    def write() -> str:
        return f"{payload}{next(counter)}"

    free = {"by_error", "phases", "values", "overhead_s", "summary", "tally"}
    free |= {"shares", "outage_by_shard"}
    dumped = _model(sample.result.model_dump(mode="json"), write, free)
    return Sample(
        RunResult.model_validate(dumped),
        {n: _walk(t, write) for n, t in sample.timelines.items()},
        _walk(sample.facts, write),
    )
