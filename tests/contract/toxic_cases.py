"""The toxics that are taken through ``check_fault``, on a link to a small web server."""

from chaoskit.faults.link_down import LinkDown
from chaoskit.faults.toxic_bandwidth import ToxicBandwidth
from chaoskit.faults.toxic_latency import ToxicLatency
from chaoskit.faults.toxic_limit_data import ToxicLimitData
from chaoskit.faults.toxic_reset_peer import ToxicResetPeer
from chaoskit.faults.toxic_slicer import ToxicSlicer
from chaoskit.faults.toxic_slow_close import ToxicSlowClose
from chaoskit.faults.toxic_timeout import ToxicTimeout

CASES = [
    ToxicLatency.model_validate({"delay": "300ms"}),
    ToxicLatency.model_validate({"delay": "400ms", "jitter": "100ms", "stream": "upstream"}),
    ToxicBandwidth.model_validate({"rate": "1KB/s"}),
    ToxicSlowClose.model_validate({"delay": "500ms"}),
    ToxicTimeout(),
    ToxicTimeout.model_validate({"close_after": "100ms", "stream": "upstream"}),
    ToxicResetPeer(),
    ToxicSlicer.model_validate({"size": 20, "variation": 5, "delay": "30ms"}),
    ToxicLimitData.model_validate({"bytes": 100}),
    LinkDown(),
]
WEB = """
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("X-Filling", "x" * 400)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8080), Answers).serve_forever()
"""


def name_of(fault):
    said = fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return "-".join([fault.kind, *(f"{key}={value}" for key, value in said.items())])
