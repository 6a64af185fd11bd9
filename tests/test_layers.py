"""House rules that a machine can check: layers, sizes, clocks, names. Each says what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "chaoskit"

# Lowest first. A module may import from its own level and from those before it.
LEVELS: list[set[str]] = [
    {"__init__", "clock", "errors", "names", "units", "wording", "yaml_source"},
    {"history", "contracts", "capabilities", "registry", "resources", "toxics", "disks"},
    {"measure", "experiment", "stack"},
    {
        "judge",
        "faults",
        "probes",
        "load",
        "lab",
        "links",
        "selectors",
        "signals",
        "phases",
        "rundir",
        "operator",
    },
    {
        "agenda",
        "breaking",
        "instruments",
        "blame",
        "injection",
        "running",
        "children",
        "choosing",
        "trial",
        "campaign",
        "crossing",
        "doctor",
        "explaining",
        "halting",
        "keeper",
        "keeping",
        "plan",
        "planning",
        "report",
        "runfile",
        "judging",
        "comparing",
        "exporting",
        "shedding",
        "standing",
        "testing",
        "testing_faults",
    },
    {
        "cli",
        "commands_ask",
        "commands_export",
        "commands_judge",
        "commands_lab",
        "progress",
        "pytest_plugin",
    },
]
STAND_ALONE = {"reference"}  # runs on a plain Python without the rest

MAX_FILE, MAX_FUNCTION = 400, 70
SLEEPERS = {"clock"}  # the one module that may sleep in the harness
WALL = {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime"}
WALL |= {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.strftime"}
WALL_NAMES = {"CLOCK_REALTIME", "CLOCK_TAI"}
# A label of a run, and the age of a folder that somebody left: no figure is made of either.
WALL_LABELS = {
    "chaoskit/clock.py",
    "chaoskit/lab/heal.py",
    "chaoskit/lab/resources.py",  # how far a node's wall clock, which a fault moves, is from ours
    "chaoskit/operator.py",  # the time of day, as a person is shown it
}
CHILDREN = {"probes", "load", "reference"}  # processes of their own, with clocks of their own
LOCUST_ONLY_IN = {"load"}
HEAVY = {"docker", "pandas", "numpy", "locust", "gevent", "toxiproxy", "jinja2"}
WORDS = {
    "cleanup": "heal",
    "reaper": "guardian",
    "embedded": "sandbox",
    "mutant": "planted defect",
}


def modules(folder: Path = PACKAGE) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def area(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def level(name: str) -> int | None:
    return next((i for i, names in enumerate(LEVELS) if name in names), None)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "chaoskit":
                yield from ((node.lineno, f"chaoskit.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


def layer_problems(path: Path, source: str) -> list[str]:
    mine = level(area(path))
    found = []
    for line, module in imports(ast.parse(source)):
        parts = module.split(".")
        if parts[0] != "chaoskit" or len(parts) < 2 or parts[1] == "__version__":
            continue
        theirs = level(parts[1])
        if area(path) in STAND_ALONE:
            if parts[1] not in STAND_ALONE:
                found.append(f"{name_of(path)}:{line}: {area(path)} must not import {module}")
        elif theirs is None or mine is None or theirs > mine:
            found.append(
                f"{name_of(path)}:{line}: {area(path)} must not import {module}; move what is "
                "shared to a lower level"
            )
    return found


def size_problems(path: Path, source: str) -> list[str]:
    found = []
    lines = source.count("\n")
    if lines > MAX_FILE:
        found.append(f"{name_of(path)}: {lines} lines; split it by concept ({MAX_FILE} at most)")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                found.append(f"{name_of(path)}:{node.lineno}: {node.name} is {length} lines; split")
    return found


def broad_except_problems(path: Path, source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = (
            {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else set()
        )
        broad = node.type is None or names & {"Exception", "BaseException"}
        reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        if broad and not reraises:
            found.append(f"{name_of(path)}:{node.lineno}: broad except; name what you expect")
    return found


def time_problems(path: Path, source: str) -> list[str]:
    if area(path) in SLEEPERS | CHILDREN:
        return []
    return [
        f"{name_of(path)}:{number}: sleep through chaoskit.clock, so that a test need not wait"
        for number, line in enumerate(source.splitlines(), 1)
        if re.search(r"\btime\.(sleep|time)\(", line)
    ]


def wall_clock_problems(path: Path, source: str) -> list[str]:
    """Wall time may be stepped while a run is under way: no duration may be taken from it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            what = f"{getattr(node.value, 'id', '')}.{node.attr}".lstrip(".")
            read = what in WALL or node.attr in WALL_NAMES
        elif isinstance(node, ast.ImportFrom):
            what = f"from {node.module} import {', '.join(a.name for a in node.names)}"
            read = node.module == "time" and any(f"time.{a.name}" in WALL for a in node.names)
        else:
            continue
        if read and name_of(path) not in WALL_LABELS:
            found.append(
                f"{name_of(path)}:{node.lineno}: {what} is wall time, which may be stepped; "
                "take durations from CLOCK_MONOTONIC, labels from clock.utc_label"
            )
    return found


def random_problems(path: Path, source: str) -> list[str]:
    return [
        f"{name_of(path)}:{number}: use a random.Random made from the run's seed"
        for number, line in enumerate(source.splitlines(), 1)
        if re.search(r"(?<![\w.])random\.(random|choice|randint|shuffle|uniform|sample)\(", line)
    ]


def word_problems(path: Path, source: str) -> list[str]:
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        for word, instead in WORDS.items():
            if re.search(rf"\b{word}s?\b", line, re.IGNORECASE):
                found.append(f"{name_of(path)}:{number}: '{word}': we say '{instead}'")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            found.append(f"{name_of(path)}:{number}: do it, or write it into an issue")
    return found


def shape_problems(path: Path, source: str) -> list[str]:
    tree = ast.parse(source)
    found = []
    if path.name == "__main__.py" or not source.strip():
        return found
    if ast.get_docstring(tree) is None:
        found.append(f"{name_of(path)}: say in a module docstring what is here, and why")
    has_all = any(
        isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
        for node in tree.body
    )
    public = any(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
        for node in tree.body
    )
    if public and not has_all:
        found.append(f"{name_of(path)}: list what is public in __all__")
    return found


CHECKS = [
    layer_problems,
    size_problems,
    broad_except_problems,
    time_problems,
    wall_clock_problems,
    random_problems,
    word_problems,
    shape_problems,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removesuffix("_problems"))
def test_the_package_keeps_the_house_rule(check):
    # cli is the edge of the program: the one place where everything is caught.
    skip = {"cli"} if check is broad_except_problems else set()
    found = [
        problem
        for path in modules()
        if area(path) not in skip
        for problem in check(path, path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


PLANTED = {
    layer_problems: ("measure/planted.py", "from chaoskit.lab import sandbox\n"),
    size_problems: ("measure/planted.py", "x = 1\n" * 401),
    broad_except_problems: ("lab/planted.py", "try:\n    x = 1\nexcept Exception:\n    pass\n"),
    time_problems: ("lab/planted.py", "import time\ntime.sleep(1)\n"),
    wall_clock_problems: ("load/planted.py", "import time\nbegan = time.time()\n"),
    random_problems: ("lab/planted.py", "import random\nrandom.choice([1])\n"),
    word_problems: ("lab/planted.py", "# does the cleanup\n"),
    shape_problems: ("lab/planted.py", "def f():\n    return 1\n"),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removesuffix("_problems"))
def test_each_rule_finds_a_planted_violation(check):
    where, source = PLANTED[check]
    assert check(PACKAGE / where, source)


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("import time\nx = time.time_ns()\n", True),
        ("from time import time\n", True),
        ("from datetime import datetime\nx = datetime.now()\n", True),
        ("import time\nx = time.clock_gettime(time.CLOCK_REALTIME)\n", True),
        ("import time\nx = time.monotonic_ns()\n", False),
        ("from time import monotonic_ns\n", False),
        ("import time\nx = time.clock_gettime(time.CLOCK_MONOTONIC)\n", False),
    ],
)
def test_every_way_to_read_the_wall_clock_is_found(source, read):
    assert bool(wall_clock_problems(PACKAGE / "measure/planted.py", source)) is read
    assert wall_clock_problems(PACKAGE / "clock.py", source) == []


def test_tests_are_small_files_too():
    long = [
        f"{name_of(p)}: {n} lines"
        for p in modules(ROOT / "tests")
        if (n := p.read_text(encoding="utf-8").count("\n")) > MAX_FILE
    ]
    assert not long, "\n".join(long)


def test_only_the_load_package_imports_locust():
    found = [
        f"{name_of(path)}:{line}: {module}"
        for path in modules()
        if area(path) not in LOCUST_ONLY_IN
        for line, module in imports(ast.parse(path.read_text(encoding="utf-8")))
        if module.split(".")[0] in {"locust", "gevent"}
    ]
    assert not found, "\n".join(found)


def test_every_markdown_file_has_one_title():
    found = []
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "compose").rglob("*.md"),
    ]:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        titles = len(re.findall(r"^# ", text, flags=re.MULTILINE))
        if titles != 1:
            found.append(f"{name_of(path)}: {titles} titles; one '# ' line each")
    assert not found, "\n".join(found)
