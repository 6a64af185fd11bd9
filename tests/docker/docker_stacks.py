"""Small stacks for the Docker tests, written to a folder and parsed as any other."""

import textwrap
from pathlib import Path

from chaoskit.stack.compose import load_stack

ROOT = Path(__file__).resolve().parents[2]
SERVE = "python3 -m http.server 8080 --directory /tmp"


def write_stack(folder, text):
    file = Path(folder) / "compose.yaml"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_stack(file)


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
