"""Commands for a lab that stays up: ``lab``, ``inject``; and the lever, ``halt``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from chaoskit.errors import BadInput, ChaoskitError, HealFailed, Interrupted, Refused

if TYPE_CHECKING:
    from chaoskit import yaml_source as ys
    from chaoskit.experiment.step import Step
    from chaoskit.keeping import Line

__all__ = ["halt", "inject", "lab"]

_OFF_WITHIN_S = 10.0


@click.group()
def lab() -> None:
    """A lab without an experiment: start a stack, look at it, break it by hand, take it down."""


@lab.command("up")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--lab", "kind", type=click.Choice(["auto", "docker", "sandbox"]), default="auto")
@click.option("--name", help="What to call it; the folder of FILE if not said.")
def up(file: Path, kind: str, name: str | None) -> None:
    """Start the stack of a Compose FILE (or of an experiment); it stays up, with its guardian."""
    from chaoskit import keeping
    from chaoskit.stack.compose import load_stack

    stack = load_stack(_stack_file(file))
    facts = keeping.start(stack.file, kind, _named(name or stack.name))
    click.echo(f"{facts['name']} is up: {facts['lab']} lab, because {facts['why']}")
    for node in facts["nodes"]:
        click.echo(f"  {node['name']:<20} {node['address']}")
    click.echo("break it:     chaoskit inject FAULT TARGET --for 10s")
    click.echo(f"take it down: chaoskit lab down {facts['name']}")


@lab.command("down")
@click.argument("name", required=False)
def down(name: str | None) -> None:
    """Heal everything that is on and take the lab down. NAME is needed where several are up."""
    from chaoskit import keeping
    from chaoskit.clock import wait_until

    chosen = keeping.pick(name)
    folder = keeping.folder_of(chosen)
    keeping.ask(chosen, {"do": "down"})
    ended = folder / "journal.jsonl"
    failed = folder / "error.json"
    if not wait_until(lambda: ended.exists() or failed.exists(), within_s=120.0, every_s=0.05):
        raise HealFailed(f"{chosen} was not down within two minutes; run: chaoskit heal")
    if failed.exists():
        raise keeping.error_of(json.loads(failed.read_text("utf-8")))
    keeping.forget(chosen)
    click.echo(f"{chosen} is down, nothing is left")


@lab.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(as_json: bool) -> None:
    """Every lab that is up: its nodes, their roles, and the faults that are on."""
    from chaoskit import keeping

    found = {name: keeping.ask(name, {"do": "status"})[-1] for name in keeping.names()}
    if as_json:
        labs = [
            {"name": name, "nodes": s["nodes"], "faults": s["faults"]} for name, s in found.items()
        ]
        click.echo(json.dumps({"schema_version": 1, "labs": labs}, indent=1))
        return
    if not found:
        click.echo(f"no lab is up{keeping.not_yet()}; start one with: chaoskit lab up FILE")
    for name, said in found.items():
        click.echo(name)
        for node in said["nodes"]:
            role = node["role"] or "no role known"
            runs = "running" if node["running"] else "not running"
            click.echo(f"  {node['name']:<20} {node['address']:<16} {role:<14} {runs}")
        for fault in said["faults"]:
            click.echo(f"  {fault['fault']} is on {', '.join(fault['nodes'])}: {fault['detail']}")


@lab.command("logs")
@click.argument("service", required=False)
@click.option("--in", "name", help="Which lab; needed where several are up.")
def logs(service: str | None, name: str | None) -> None:
    """Print what the services have said so far; of all, or of one."""
    from chaoskit import keeping
    from chaoskit.wording import did_you_mean, plain, quoted

    answer = keeping.ask(keeping.pick(name), {"do": "logs"})[-1]
    files = sorted(Path(str(answer["folder"])).glob("*.log"))
    chosen = [file for file in files if service in (None, file.stem)]
    if not chosen:
        known = [file.stem for file in files]
        raise BadInput(f"no service {quoted(service)} has a log{did_you_mean(str(service), known)}")
    for file in chosen:
        for line in file.read_text("utf-8", "replace").splitlines():
            click.echo(f"{file.stem + ': ' if service is None else ''}{plain(line)}")


def _stack_file(file: Path) -> Path:
    """A Compose file, or the one that an experiment names."""
    from chaoskit import yaml_source as ys
    from chaoskit.experiment.checks import stack_path

    root = ys.parse_yaml(ys.read_text(file), str(file), [])
    stack = root.get("stack") if isinstance(root, ys.Mapping) and root.get("chaoskit") else None
    return stack_path(file, stack.text) if isinstance(stack, ys.Scalar) else file


def _named(name: str) -> str:
    import re

    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,62}", name):
        raise BadInput(f"--name {name}: lower-case letters, digits and -, at most 63")
    return name


# ---------------------------------------------------------------- inject


@click.command()
@click.argument("fault")
@click.argument("target", required=False)
@click.argument("parameters", nargs=-1, metavar="[PARAM=VALUE]...")
@click.option(
    "--for", "lasts", metavar="DURATION", help="Healed after this; until Ctrl-C if not said."
)
@click.option("--in", "name", help="Which lab; needed where several are up.")
def inject(
    fault: str, target: str | None, parameters: tuple[str, ...], lasts: str | None, name: str | None
) -> None:
    """Break a lab that is up, by hand: FAULT on TARGET, healed after --for or by Ctrl-C.

    TARGET takes the words of an experiment's target, several with commas between. PARAM=VALUE are
    the fault's own keys (chaoskit explain FAULT); a list has commas too: from=client,witness.
    """
    from chaoskit import keeping

    if target is not None and "=" in target:
        parameters, target = (target, *parameters), None
    asked, step, text = _asked(fault, target, parameters, lasts)
    chosen = keeping.pick(name)
    _check_words(step, text, keeping.folder_of(chosen))
    line = keeping.Line(keeping.folder_of(chosen))
    try:
        with _ending(line):
            line.send(asked)
            for answer in line.answers():
                _say(answer)
    finally:
        line.close()


def _asked(
    fault: str, target: str | None, parameters: tuple[str, ...], lasts: str | None
) -> tuple[dict[str, Any], Step, ys.Mapping]:
    """The request, checked as a step of an experiment would be, and that step. ``BadInput``."""
    from chaoskit import yaml_source as ys
    from chaoskit.errors import Problem
    from chaoskit.experiment.steps import STEP_KEYS, read_step

    words = [word.strip() for word in (target or "").split(",") if word.strip()]
    mark = ys.Mark("chaoskit inject", 1, 1)
    text = {"at": "0s", "fault": fault}
    entries = [ys.Entry(key, mark, ys.word(value, mark)) for key, value in text.items()]
    if lasts is not None:
        entries.append(ys.Entry("for", mark, ys.word(lasts, mark)))
    if words:
        items = tuple(ys.word(word, mark) for word in words)
        entries.append(ys.Entry("target", mark, ys.Sequence(mark, items)))
    problems: list[Problem] = []
    given: dict[str, ys.Node] = {}
    for one in parameters:
        key, equals, value = one.partition("=")
        if not equals:
            raise BadInput(f"{one}: write the fault's keys as KEY=VALUE, e.g. signal=SIGTERM")
        if key in STEP_KEYS:
            instead = f"; write --for {value}" if key == "for" else ", and this is done at once"
            raise BadInput(f"{one}: '{key}' belongs to a step of an experiment{instead}")
        if value.lstrip().startswith(("[", "{", "'", '"')):
            given[key] = ys.parse_yaml(value, f"{key}=", problems)
        elif "," in value and _takes_words(fault, key):
            items = tuple(ys.word(one.strip(), mark) for one in value.split(",") if one.strip())
            given[key] = ys.Sequence(mark, items)
        else:
            given[key] = ys.word(value, mark)
    entries += [ys.Entry(key, mark, value) for key, value in given.items()]
    read = ys.Mapping(mark, tuple(entries))
    step = read_step(read, problems)
    if problems or step is None:
        raise BadInput("\n".join(problem.sentence for problem in problems))
    if step.fault.needs and not words:
        raise BadInput(f"whom does {fault} strike? e.g. chaoskit inject {fault} primary --for 10s")
    plain = {key: ys.to_plain(value) for key, value in given.items()}
    asked = {"do": "inject", "fault": fault, "target": words, "parameters": plain}
    return {**asked, **({"for": lasts} if lasts else {})}, step, read


def _takes_words(fault: str, key: str) -> bool:
    """Whether the fault's key takes a list of single things, for which commas stand here."""
    from chaoskit.experiment.messages import keys_of
    from chaoskit.experiment.steps import fault_class

    try:
        cls = fault_class(fault)
    except Refused:
        return False  # said when the whole is read
    info = dict(zip(keys_of(cls), cls.model_fields.values(), strict=True)).get(key)
    lists = (tuple, list, set, frozenset)
    return info is not None and any(
        get_origin(kind) in lists and not any(get_origin(item) in lists for item in get_args(kind))
        for kind in (info.annotation, *get_args(info.annotation))
    )


def _check_words(step: Step, text: ys.Mapping, folder: Path) -> None:
    """Words that nothing of the stack can match are refused before anything is asked."""
    from chaoskit.experiment.checks import check_step
    from chaoskit.stack.compose import load_stack

    stack = load_stack(Path(json.loads((folder / "lab.json").read_text("utf-8"))["stack"]))
    problems = check_step(step, text, stack)
    if problems:
        raise BadInput("\n".join(problem.sentence for problem in problems))


@contextmanager
def _ending(line: Line) -> Iterator[None]:
    """Ctrl-C asks the keeper to heal and waits until it has; a second one hangs up, which heals."""
    import signal
    from types import FrameType

    count = 0

    def asked(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise Interrupted(number)
        click.echo("healing", err=True)
        line.send({"do": "heal"})

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, asked) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(answer: dict[str, Any]) -> None:
    match answer.get("event"):
        case "in force":
            took = answer["verified_s"]
            proof = (
                "could not be verified" if took is None else f"verified after {took * 1e3:.0f} ms"
            )
            nodes = ", ".join(answer["nodes"]) or "nothing"
            click.echo(f"{answer['fault']} on {nodes}: {answer['detail']}; {proof}")
        case "bitten":
            click.echo(f"felt from outside after {answer['after_s'] * 1e3:.0f} ms")
        case "incident":
            click.echo(f"! {answer['sentence']}", err=True)
        case "healed":
            click.echo(f"healed; {answer['said']}")
            if answer["problem"]:
                click.echo(f"! {answer['problem']}", err=True)
                sys.exit(ChaoskitError.exit_code)


# ---------------------------------------------------------------- halt


@click.command()
@click.argument("reason", nargs=-1)
@click.option("--lift", is_flag=True, help="Let runs start again.")
def halt(reason: tuple[str, ...], lift: bool) -> None:
    """Stop every run and lab of this user: all faults are healed, and nothing new starts.

    Waits until no fault is on. Exits 5 if some still are after ten seconds.
    """
    from chaoskit.clock import wait_until
    from chaoskit.halting import halt_file, pull
    from chaoskit.halting import lift as lift_it
    from chaoskit.lab.heal import faults_on
    from chaoskit.wording import listed

    if lift:
        click.echo("lifted: runs may start again" if lift_it() else "nothing was halted")
        return
    pull(" ".join(reason) or "chaoskit halt")
    click.echo(f"halted ({halt_file()}); nothing new starts until: chaoskit halt --lift")
    wait_until(lambda: not faults_on(), within_s=_OFF_WITHIN_S, every_s=0.05)
    if left := faults_on():
        raise HealFailed(f"faults are still on in {listed(left, 'and')}; run: chaoskit heal")
    click.echo("no fault is on")
