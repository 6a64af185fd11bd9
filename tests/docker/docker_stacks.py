"""Small stacks for the Docker tests, written to a folder and parsed as any other; labs of them."""

import itertools
import json
import os
import textwrap
from contextlib import contextmanager
from pathlib import Path

from chaoskit.lab.docker import DockerLab
from chaoskit.lab.docker_sweep import leftovers
from chaoskit.lab.journal import Journal
from chaoskit.stack.compose import load_stack

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count(1)
SERVE = "python3 -m http.server 8080 --directory /tmp"


def write_stack(folder, text):
    file = Path(folder) / "compose.yaml"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_stack(file)


@contextmanager
def docker_lab(folder, stack):
    """A lab that is up, under a run id of its own; nothing of it is left when this ends."""
    run_id = f"d{os.getpid()}_{next(_numbers)}"  # others may test on this machine at the same time
    (folder / "run").mkdir()
    with Journal.create(run_id, folder / "state") as journal:
        lab = DockerLab(stack, run_id, folder / "run", journal)
        try:
            lab.up()
            yield lab
        finally:
            lab.down()
        assert leftovers(run_id) == ()
        journal.close()  # raises if any undo were still open


def web_pair(folder, labels='chaoskit.endpoint: "http://:8080"'):
    """Two services that accept TCP connections on port 8080, one waiting for the other."""
    return write_stack(
        folder,
        f"""
        x-web: &web
          image: chaoskit/reference
          build:
            context: {ROOT}
            dockerfile: compose/images/reference/Dockerfile
          command: {SERVE}
          labels: {{{labels}}}
          healthcheck:
            test:
              - CMD
              - python3
              - -c
              - import socket; socket.create_connection(("127.0.0.1", 8080), 1)
            interval: 300ms
            timeout: 5s
            retries: 40
        services:
          a:
            <<: *web
            ports: ["8080:8080"]
          b:
            <<: *web
            volumes: ["kept:/kept"]
            depends_on: {{a: {{condition: service_healthy}}}}
        volumes:
          kept: {{}}
        """,
    )


def python_services(folder, names, code, labels, more="{}"):
    """Services that run a program of a few lines, which serves on port 8080. ``more``: keys of each."""
    labels = json.dumps({"chaoskit.endpoint": "http://:8080", **labels})
    one = f"""
    image: chaoskit/reference
    build:
      context: {ROOT}
      dockerfile: compose/images/reference/Dockerfile
    command: ["python3", "-c", {json.dumps(code)}]
    labels: {labels}
    <<: {more}
    healthcheck:
      test: [CMD, python3, -c, 'import socket; socket.create_connection(("127.0.0.1", 8080), 1)']
      interval: 300ms
      timeout: 5s
      retries: 40
"""
    return write_stack(folder, "services:\n" + "".join(f"  {name}:{one}" for name in names))


def sleepers(folder, tail="", **extra):
    """Services of the bare base image; ``extra`` is service → further lines of YAML."""
    names = extra or {"a": ""}
    lines = ["services:"]
    for name, more in names.items():
        lines += [f"  {name}:", "    image: debian:bookworm-slim"]
        if "command" not in more:
            lines.append("    command: sleep 3600")
        lines += [f"    {line}" for line in textwrap.dedent(more).strip().splitlines()]
    return write_stack(folder, "\n".join([*lines, tail]) + "\n")
