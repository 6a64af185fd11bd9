"""PID 1 of a sandbox lab, started by file path with ``python -I -S``. It only hands over.

Its arguments are the run id (so that a person sees in ``ps`` whose it is) and the number of a
descriptor of the host's ``/proc``; its standard input is the harness, at the other end of a
socket. When that end closes, however it comes about, this process ends, and the kernel ends
every other process of the lab, stopped ones and nested PID namespaces included.
"""

from __future__ import annotations

import sys

__all__: list[str] = []

if __name__ == "__main__":
    # Isolated mode knows neither site-packages nor a source tree: say where the package lies.
    # Appended, so that nothing of it can stand in for the standard library.
    sys.path.append(__file__.rsplit("/", 3)[0])

    from chaoskit.lab.sandbox_server import serve

    serve(int(sys.argv[2]))
