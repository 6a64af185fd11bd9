"""How near the measured outage is to the truth: makes docs/accuracy.md.

    python benchmarks/accuracy.py [--runs 200] [--seed 1] [--print]

Histories are simulated, so that the moment at which service went and came back is known to the
nanosecond, and measured as every run is. The same seed makes the same page.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import History
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, Truth, simulate
from chaoskit.measure.metrics import outage_interval
from chaoskit.measure.model import Interval, PartlyOut
from chaoskit.measure.outage import bad_runs
from chaoskit.measure.partly import partly_out
from chaoskit.measure.requests import bad_time, goodput_gap
from chaoskit.measure.view import View

PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
STYLES = ("refuse", "503", "stall", "drop")
RATES = (10.0, 50.0, 200.0, 1000.0)
LAGS = (0.0, 0.0005, 0.004)
SPREAD = {"stall": 1 / math.sqrt(12)}  # of the rest 1/sqrt(6), in intervals
TELLING = 5  # runs of bad requests, from which on they are said to be a stretch
PLACE = {"stall": -0.5}  # of the rest 0


@dataclass(frozen=True)
class Run:
    """One simulated outage and what was found of it; seconds."""

    truth: float
    interval: float
    allowed: float  # how far the estimate may be off: an interval, the lag at both ends, a latency
    grain: float  # an outage shorter than this need not be felt by anybody
    outage: Interval
    gap: Interval
    naive: float
    bad: Interval
    runs: int  # of bad requests
    partly: PartlyOut | None  # the stretch that is said to have been partly out

    @property
    def felt(self) -> bool:
        """Whether any request was bad."""
        return self.outage.value_s != 0.0

    @property
    def error(self) -> float:
        """Of the headline estimate."""
        return (self.outage.value_s or 0.0) - self.truth


def scenarios(
    style: str, rate: float, runs: int, seed: int, *, quiet: bool = False
) -> Iterator[Scenario]:
    """Outages of 0.1 to 10 s, short ones as often as long ones; ``quiet``: the comb alone."""
    rng = np.random.default_rng([seed, STYLES.index(style), int(rate), int(quiet)])
    for _ in range(runs):
        yield Scenario(
            style=style,  # type: ignore[arg-type]
            rate=rate,
            outage_s=float(10 ** rng.uniform(-1, 1)),
            deadline_s=float(rng.choice([0.03, 0.1])),
            timeout_s=float(rng.choice([0.1, 0.2, 0.5, 1.0])),
            lag_s=0.0 if quiet else float(rng.choice(LAGS)),
            latency_s=0.00002 if quiet else 0.002,
            baseline_s=1.0,
            after_s=1.5,
            poll_s=1.0,
            seed=int(rng.integers(1 << 31)),
        )


def whole(scenario: Scenario) -> Run:
    """Everything fails while service is out."""
    return measured(scenario, *simulate(scenario))


def partial(scenario: Scenario, every: int) -> Run:
    """Only every so-manyth request fails, as if one of so many servers were out."""
    history, truth = simulate(replace(scenario, style="refuse"))
    requests = history.requests
    slots = np.rint((requests["due_ns"] - requests["due_ns"].min()) * (scenario.rate / NS))
    which = scenario.seed % every  # or the outage would always begin at the same one of them
    return measured(scenario, serve(history, slots.astype(np.int64) % every != which), truth)


def flapping(scenario: Scenario) -> Run:
    """Out, back, out, back, out, back: a fifth of the time each; the truth is the last."""
    length = max(scenario.outage_s, 30 / scenario.rate)
    history, truth = simulate(replace(scenario, style="refuse", outage_s=length))
    requests, fifth = history.requests, (truth.end_ns - truth.begin_ns) // 5
    arrived = requests["sent_ns"] + (requests["done_ns"] - requests["sent_ns"]) // 2
    part = (arrived - truth.begin_ns) // fifth
    back = serve(history, (part == 1) | (part == 3))
    return measured(scenario, back, Truth(truth.begin_ns + 4 * fifth, truth.end_ns))


def serve(history: History, chosen: np.ndarray[Any, Any]) -> History:
    """The same with some requests answered, where they had been refused."""
    requests = history.requests.copy()
    chosen = chosen & (requests["outcome"] == Outcome.FAIL_DEFINITE)
    requests["outcome"][chosen] = Outcome.OK
    requests["error"][chosen], requests["server"][chosen] = 0, 1
    return replace(history, requests=requests)


def measured(scenario: Scenario, history: History, truth: Truth) -> Run:
    """What chaoskit, and somebody in a hurry, make of a history."""
    view = View(history)
    held = scenario.deadline_s if scenario.style == "stall" else 0.0
    allowed = 1 / scenario.rate + 2 * scenario.lag_s + 1.25 * scenario.latency_s
    return Run(
        truth=truth.outage_s,
        interval=1 / scenario.rate,
        allowed=allowed,
        grain=allowed + held,
        outage=outage_interval(view, view.headline),
        gap=goodput_gap(view),
        naive=naive_s(history),
        bad=bad_time(view),
        runs=bad_runs(view.headline, view.observed[0]),
        partly=partly_out(view, view.headline),
    )


def naive_s(history: History) -> float:
    """What a script reports that asks and looks at its watch: first failure to next success."""
    requests = history.requests
    ok = np.isin(requests["outcome"], (Outcome.OK, Outcome.OK_LATE))
    if ok.all():
        return 0.0
    failed = int(requests["done_ns"][~ok].min())
    after = requests["done_ns"][ok & (requests["done_ns"] > failed)]
    return (int(after.min()) - failed) / NS if after.size else math.inf


def contains(found: Interval, truth: float) -> bool:
    """Whether the truth is inside a bracket."""
    high = math.inf if found.high_s is None else found.high_s
    return (found.low_s or 0.0) <= truth <= high


# ---------------------------------------------------------------- tables


def row(*cells: object) -> str:
    """A line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: str, rows: list[str]) -> str:
    """A table with its head, columns parted by bars."""
    count = head.count("|") + 1
    return "\n".join([f"| {head} |", "|" + "---|" * count, *rows])


def share(flags: list[bool]) -> str:
    """So many of so many."""
    return f"{sum(flags)} of {len(flags)}"


def ms(values: list[float], how: Callable[..., Any] = np.mean, *, sign: bool = True) -> str:
    """A statistic in milliseconds."""
    found = float(how(values)) * 1000
    return f"{found:+.1f}" if sign else f"{found:.1f}"


def comb_row(style: str, rate: float, runs: list[Run]) -> str:
    """The comb alone: errors in intervals, as theory has them."""
    errors = [r.error / r.interval for r in runs if r.felt]
    predicted = SPREAD.get(style, 1 / math.sqrt(6))
    return row(
        style,
        f"{rate:g}/s",
        f"{1000 / rate:g} ms",
        f"{np.mean(errors):+.2f}",
        f"{np.std(errors):.3f}",
        f"{predicted:.3f}",
        f"{np.std(errors) / predicted:.2f}",
        f"{np.max(np.abs(errors)):.2f}",
    )


def real_row(style: str, rate: float, runs: list[Run]) -> str:
    """With a generator that lags and answers that take their time."""
    felt = [r for r in runs if r.felt]
    return row(
        style,
        f"{rate:g}/s",
        share([contains(r.outage, r.truth) for r in felt]),
        len(runs) - len(felt),
        ms([(r.outage.high_s or math.inf) - (r.outage.low_s or 0.0) for r in felt], np.median,
           sign=False),
        ms([r.error for r in felt]),
        ms([abs(r.error) for r in felt], np.max, sign=False),
        f"{max(abs(r.error) / r.allowed for r in felt):.2f}",
        ms([(r.gap.value_s or 0.0) - r.truth for r in felt]),
        share([contains(r.gap, r.truth) for r in felt]),
        ms([r.naive - r.truth for r in felt]),
        ms([abs(r.naive - r.truth) for r in felt], np.max, sign=False),
    )  # fmt: skip


def predicted_spread(name: str) -> float | None:
    """Standard deviation of the error, in intervals; None where it is many outages, not one.

    One of k requests failing is a comb of a k-th of the rate: k/sqrt 6 at either end together.
    """
    if name == "flapping":
        return 1 / math.sqrt(6)
    every = int(name.removeprefix("1 of "))
    return every / math.sqrt(6) if every <= 3 else None


def told(runs: list[Run]) -> list[bool]:
    """Whether it is said that service was partly out, of runs with enough to tell it by."""
    return [run.partly is not None for run in runs if run.runs >= TELLING]


def stretch_error(runs: list[Run]) -> str:
    """How far the stretch that is said is from the truth at worst, in intervals."""
    off = [abs(r.partly.span_s - r.truth) / r.interval for r in runs if r.partly is not None]
    return f"{max(off):.2f}" if off else "-"


def odd_row(name: str, rate: float, runs: list[Run], due: float) -> str:
    """Outages that are not whole; ``due``: bad time expected, as a share of the truth."""
    predicted = predicted_spread(name)
    return row(
        name,
        f"{rate:g}/s",
        share([contains(r.outage, r.truth) for r in runs]),
        f"{np.mean([r.error / r.interval for r in runs]):+.2f}",
        f"{np.std([r.error / r.interval for r in runs]):.2f}" if predicted else "-",
        f"{'<= ' if name == 'flapping' else ''}{predicted:.2f}" if predicted else "-",
        f"{np.max([abs(r.error) / r.interval for r in runs]):.2f}",
        f"{np.max([abs((r.bad.value_s or 0.0) - due * r.truth) / r.interval for r in runs]):.2f}",
        f"{np.median([r.runs for r in runs]):g}",
        share(told(runs)) if told(runs) else "-",
        stretch_error(runs),
    )


def odd_runs(kind: str, rate: float, runs: int, seed: int) -> list[Run]:
    """Runs of one row of the table of outages that are not whole."""
    asked = scenarios("refuse", rate, runs, seed, quiet=True)
    if kind == "flapping":
        return [flapping(s) for s in asked]
    every = int(kind.removeprefix("1 of "))
    before = max(1.0, 300 / rate)  # a trial's baseline has 300 requests at least
    longer = [
        replace(s, outage_s=max(s.outage_s, 2 * every / rate), baseline_s=before) for s in asked
    ]
    return [partial(s, every) for s in longer]


ODD = {"1 of 2": 1 / 2, "1 of 3": 1 / 3, "1 of 5": 1 / 5, "flapping": 3.0}
COMB = "style | rate | interval | mean error | sd | predicted sd | ratio | worst error"
REAL = (
    "style | rate | bracket holds the truth | not felt | width ms | mean error ms | worst ms "
    "| worst / allowed | gap: mean error ms | gap's bracket holds | naive: mean error ms "
    "| naive: worst ms"
)
ODD_HEAD = (
    "what fails | rate | bracket holds the truth | mean error | sd | predicted sd | worst error "
    "| worst error of bad_time | runs of bad requests | said to be partly out "
    "| worst error of that stretch"
)


def page(runs: int, seed: int) -> str:
    """The whole page."""
    cells = [(style, rate) for style in STYLES for rate in RATES]
    comb, real = [], []
    for style, rate in cells:
        quiet = [whole(s) for s in scenarios(style, rate, runs, seed, quiet=True)]
        comb.append(comb_row(style, rate, quiet))
        real.append(real_row(style, rate, [whole(s) for s in scenarios(style, rate, runs, seed)]))
    odd = [
        odd_row(kind, rate, odd_runs(kind, rate, runs, seed), due)
        for kind, due in ODD.items()
        for rate in RATES
    ]
    return TEXT.format(
        runs=runs, seed=seed, comb=table(COMB, comb), real=table(REAL, real),
        odd=table(ODD_HEAD, odd), all=runs * len(cells), telling=TELLING,
    )  # fmt: skip


TEXT = """# How accurate the measured outage is

Made by `make accuracy` (`benchmarks/accuracy.py --runs {runs} --seed {seed}`); the same seed makes
the same page. Each line is {runs} simulated trials whose truth is known to the nanosecond: outages
of 0.1 to 10 s (logarithmically even), at a random phase of the comb. `refuse` and `503` answer at
once that nothing is served, `drop` answers nothing, `stall` holds requests and serves them at
recovery. Deadlines are 30 or 100 ms, timeouts 0.1 to 1 s.

## The comb alone

No lag, answers within 20 us. Errors are in intervals of the comb. In theory the first failing
request is late by something even between nothing and an interval, and so is the first request
after the recovery: the error is 0 in the mean, under one interval always, and spread by
1/(r*sqrt 6). Requests that are held until the recovery show its very moment, so only the beginning
is left to chance: the mean is then half an interval too short, the spread 1/(r*sqrt 12).

{comb}

## With a lagging generator

Requests start up to 0, 0.5 or 4 ms late (a third of the trials each) and answers take 1.5 to
2.5 ms. "Allowed" is an interval, the lag at both ends, and a latency. "Not felt": no request was
bad, because the outage was shorter than an interval or everything that was held was still served
within its deadline; the report then says how short an outage it could not have seen. Brackets and
errors are those of the outages that were felt.

`gap` is `goodput_gap`, the longest time without a success less the usual one. `naive` is what a
script measures that asks at the same pace and takes the time from the first failure that it sees
to the next success: it is short by the client's timeout where nothing answers, and where a request
that was under way is answered just after the first failure it sees no outage at all (the worst of
`503` at 1000/s). Both brackets count how late the generator really was.

{real}

## Outages that are not whole

No lag, `refuse`. "1 of k": every k-th request fails, as when one of k servers is out. An answer and
three good requests after it end an outage, so up to 1 of 3 it is measured as one outage, as
long as clients met failures. Either end is then known to k intervals and not to one, so the error
is spread by k/(r*sqrt 6), and what clients felt may begin later and end sooner than the fault. The
bracket is wider at either end by as many intervals as good requests stand in a row between bad
ones, k - 1, and holds the fault's own length.
From 1 of 5 on it is many outages of one request each, and neither `client_outage` nor its bracket
says how long it went on (1 of 4 is the one or the other, depending on how soon answers come). Then
the report says that service was partly out, for how long, and with which share of bad requests, if
there were {telling} such outages or more, close together, and more bad requests than the baseline
explains. Counted are the trials with {telling} runs of bad requests or more; the stretch goes from
the first bad request to an interval after the last. `bad_time`, `error_rate` and the number of bad
runs say how much it was.

"flapping": out, back, out, back and out again for a fifth of the time each; the truth is the last
of them (all are as long, and the longest estimate of three is reported, which is a little high and
spread less than one alone), `bad_time` is held to all three together. Errors are in intervals.

{odd}
"""


def main() -> None:
    """Write the page, or print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="of each line; 200")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--print", action="store_true", help="print instead of writing the page")
    asked = parser.parse_args()
    text = page(asked.runs, asked.seed)
    if asked.print:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
