"""A server that closes on every tenth request without an answer: who shows it, and who hides it."""

import json
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from chaoskit.history.records import Outcome
from live import rig

pytestmark = pytest.mark.loopback


@pytest.mark.timeout(90)
def test_every_request_that_was_dropped_without_an_answer_is_recorded_as_failed(tmp_path):
    facts = {}
    history, (began, ended) = rig.record_outage(tmp_path, "tenth", for_s=2.0, rate=100, facts=facts)
    requests = history.requests
    inside = requests[(requests["done_ns"] >= began) & (requests["sent_ns"] <= ended)]
    sent = inside[inside["outcome"] != Outcome.NOT_SENT]
    closed = np.isin(sent["outcome"], (Outcome.AMBIGUOUS, Outcome.FAIL_DEFINITE))
    timed_out = [
        "timeout" in history.errors[e] for e in sent["error"][closed]
    ]  # a machine that was too busy, not the stub
    shown = int(closed.sum()) - sum(timed_out)
    assert facts["dropped"] > 20
    assert shown == facts["dropped"]
    assert (sent["attempt"] <= 1).all(), "nothing was asked again behind the back"


STOCK = """
from gevent import monkey; monkey.patch_all()
import json, sys
from locust import FastHttpUser
from locust.env import Environment
class Stock(FastHttpUser):
    host = sys.argv[1]
environment = Environment(user_classes=[Stock])
environment.create_local_runner()
user = Stock(environment)
for _ in range(200):
    user.client.get("/")
total = environment.stats.total
print(json.dumps({"recorded": total.num_requests, "failed": total.num_failures}))
"""


def dropping_server(counts):
    """On loopback; closes each tenth request of all without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while data := connection.recv(65536):
                if not data.endswith(b"\r\n\r\n"):
                    continue
                counts["asked"] += 1
                if counts["asked"] % 10 == 0:
                    counts["dropped"] += 1
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


@pytest.mark.timeout(90)
def test_the_stock_client_hides_them_which_is_why_ours_is_another():
    counts = {"asked": 0, "dropped": 0}
    listener = dropping_server(counts)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ran = subprocess.run(
        [sys.executable, "-c", STOCK, url], capture_output=True, text=True, check=False
    )
    listener.close()
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["recorded"] == 200
    assert counts["dropped"] >= 20
    assert said["failed"] == 0, "the stock client shows them by now: say so in the documents"
