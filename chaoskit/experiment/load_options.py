"""Whether a load knows the options that an experiment gives it: said before anything starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache

from chaoskit import yaml_source as ys
from chaoskit.errors import BadInput, Problem
from chaoskit.experiment.messages import place_of
from chaoskit.experiment.model import Experiment
from chaoskit.wording import did_you_mean, quoted

__all__ = ["option_problems", "refuse_unknown_options"]

_PATIENCE_S = 60.0  # importing Locust takes half a second; a plug-in may bring more
_WHERE = ("load", "options")


def option_problems(experiment: Experiment, root: ys.Node) -> list[Problem]:
    """An unknown option of the load at its place, or what the load itself says of its options.

    Empty without options: no load is imported then. It is imported in a process of its own.
    """
    options = experiment.load.options
    if not options:
        return []
    asked = {name for name in options if name != "locustfile"}
    answer = _ask(json.dumps({"user": experiment.load.user, "options": dict(options)}))
    if "error" in answer:
        return [place_of(root, ("load", "user")).problem(f"load.user: {answer['error']}")]
    known = [str(name) for name in _list(answer.get("known"))]
    found = [
        place_of(root, (*_WHERE, name), key=True).problem(
            f"load.options: {experiment.load.user} knows no option {quoted(name)}"
            f"{did_you_mean(name, known)}"
        )
        for name in sorted(asked - set(known))
    ]
    if answer.get("wrong"):
        found.append(place_of(root, _WHERE).problem(f"load.options: {answer['wrong']}"))
    return found


def refuse_unknown_options(experiment: Experiment) -> None:
    """The same for a locustfile, whose code is run only once the experiment is to be run.

    Whether it can be imported and has what is asked for is found out, too. Raises ``BadInput``
    with file, line and column. The other loads were asked when the file was read.
    """
    if "locustfile" not in experiment.load.options:
        return
    root = ys.parse_yaml(experiment.source, str(experiment.path), [])
    problems = option_problems(experiment, root)
    if problems:
        raise BadInput(problems)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


@lru_cache(maxsize=256)
def _ask(question: str) -> Mapping[str, object]:
    """The load's answer; ``error`` where it has none."""
    argv = [sys.executable, "-m", "chaoskit.load.asking"]
    try:
        done = subprocess.run(
            argv, input=question.encode(), capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"the load did not say which options it knows within {_PATIENCE_S:g} s"}
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    why = f": {last[0]}" if last else ""
    return {"error": f"the load cannot be imported (exit code {done.returncode}){why}"}
