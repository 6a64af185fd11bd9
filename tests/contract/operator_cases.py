"""Commands and requests through ``check_fault``, and what a caller's observer sees of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from chaoskit.contracts import OBSERVER
from chaoskit.errors import LabError
from chaoskit.faults.exec import Exec
from chaoskit.faults.http import Http
from chaoskit.faults.kill import Kill

# A web server that has a switch: PUT /switch puts a file into the folder that it serves, DELETE
# takes it away; and a worker of it that serves nobody and is started again when it dies.
SWITCH = """
import http.server, os, subprocess, sys, threading, time
os.chdir("/tmp")
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_PUT(self):
        open("switched", "w").close()
        self.send_response(201); self.end_headers()
    def do_DELETE(self):
        os.unlink("switched")
        self.send_response(204); self.end_headers()
def work():
    while True:
        subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(999)", "the-worker"])
        time.sleep(0.3)
threading.Thread(target=work, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
READ = """
import json, sys, urllib.error, urllib.request
for line in sys.stdin:
    try:
        status = urllib.request.urlopen(json.loads(line)["url"], timeout=1).status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        status = 0
    print(json.dumps({"status": status}), flush=True)
"""
UNDO = {"method": "DELETE", "path": "/switch", "status": 204}
CASES = [
    Exec(argv=("touch", "/tmp/switched"), undo=("rm", "/tmp/switched")),
    Http.model_validate({"method": "PUT", "path": "/switch", "status": 201, "undo": UNDO}),
    Kill(process="*the-worker"),
]


def observer_of(lab, fault):
    """Whether the observer sees the effect: a file served that was not, a process that is new."""
    child = lab.spawn(lab.node(OBSERVER), ["python", "-c", READ])

    def served():
        child.send({"url": f"http://{lab.node('a').address}:8080/switched"})
        return child.receive(10)["status"] == 200

    before = {}

    def dead():
        """The worker of the first look is gone; forgotten again once there is another."""
        try:
            now = {p.pid for p in lab.processes(lab.node("a")) if p.line.endswith("the-worker")}
        except LabError:
            return True
        before.setdefault("was", now)
        changed = before["was"] != now
        if now and changed:
            before["was"] = now
        return changed

    return child, dead if fault.kind == "kill" else served
