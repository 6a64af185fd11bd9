"""A real PostgreSQL on loopback, started by a test as a user that is not root."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def programs():
    """The folder with initdb and postgres: the newest version that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def missing():
    folder = programs()
    if folder is None or not (folder / "postgres").exists():
        return "PostgreSQL's initdb and postgres are not installed"
    if os.geteuid() == 0 and user() is None:
        return "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
    return None


def user():
    """Whom to run it as; None: as ourselves, or nobody can."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Postgres:
    """One server with trust authentication. ``settings`` are lines of postgresql.conf."""

    def __init__(self, **settings):
        self.port = free_port()
        self.base = Path(tempfile.mkdtemp(prefix="chaoskit-pg-"))
        self.data = self.base / "data"
        self.process = None
        self.settings = {
            "fsync": "off",
            "max_connections": 200,
            "shared_buffers": "16MB",
            "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": f"'{self.base}'",
            "port": self.port,
            **settings,
        }
        self.as_user = {}
        if (someone := user()) is not None:
            os.chown(self.base, someone.pw_uid, someone.pw_gid)
            self.as_user = {
                "user": someone.pw_uid,
                "group": someone.pw_gid,
                "extra_groups": [],
            }

    def run(self, *argv):
        told = subprocess.run(
            [str(a) for a in argv],
            **self.as_user,
            cwd=self.base,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.base)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        return told.stdout

    def __enter__(self):
        try:
            self.run(
                *(programs() / "initdb", "-D", self.data, "-U", "postgres"),
                *("-A", "trust", "--no-sync", "--no-instructions"),
            )
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        options = [f"--{name}={str(value).strip(chr(39))}" for name, value in self.settings.items()]
        with (self.base / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(self.data), *options],
                **self.as_user,
                cwd=self.base,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 30
        while True:
            try:
                return self.sql("SELECT 1")
            except OSError:
                assert self.process.poll() is None, (self.base / "log").read_text()
                assert time.monotonic() < until, (self.base / "log").read_text()
                time.sleep(0.05)

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(3)  # SIGQUIT: immediate, takes its children along
            self.process.wait(20)
        shutil.rmtree(self.base, ignore_errors=True)

    def stop(self, signal):
        """SIGTERM waits for clients (smart), SIGINT ends them (fast), SIGQUIT is a crash."""
        self.process.send_signal(signal)
        self.process.wait(20)

    def sql(self, text):
        """The first column of what comes back. Raises ``OSError`` while it cannot be reached."""
        import psycopg

        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self.port,
                user="postgres",
                dbname="postgres",
                autocommit=True,
                connect_timeout=5,
            ) as connection:
                cursor = connection.execute(text)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []
        except psycopg.OperationalError as error:
            raise OSError(str(error)) from error

    @property
    def place(self):
        return {"node": "pg", "url": f"postgres://127.0.0.1:{self.port}"}
