"""Which faults are taken through ``check_fault``, and a lab of web servers to do it in.

A row is (fault, target, other selectors). Whoever adds a fault adds a row, here or in a test of
its own that says why it needs another stack.
"""

from net_cases import NET_CASES

from chaoskit.faults.crash_loop import CrashLoop
from chaoskit.faults.hang import Hang
from chaoskit.faults.kill import Kill
from chaoskit.faults.noop import Noop
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause
from chaoskit.faults.remove import Remove
from chaoskit.faults.restart import Restart
from chaoskit.faults.stop import Stop

CASES = [
    (Kill(), ["a"], {}),
    (Noop(), [], {}),
    (Partition(), ["a"], {}),
    (Partition.model_validate({"from": ["b"], "action": "reject"}), ["a"], {"from": ["b"]}),
    (Pause(), ["a"], {}),
    (Hang(), ["a"], {}),
    (Hang.model_validate({"process": "pyth*", "felt_at": 8080}), ["a", "b"], {}),
    (Stop.model_validate({"grace": "300ms"}), ["a"], {}),
    (Restart.model_validate({"grace": 0, "signal": "INT", "down": "1s"}), ["a"], {}),
    (CrashLoop(), ["a", "b"], {}),
    (Remove(), ["a"], {}),
    *NET_CASES,
]
"""Nodes ``a`` and ``b`` serve HTTP on port 8080."""


def name_of(case):
    fault = case[0]
    said = fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return "-".join([fault.kind, *(f"{key}={value}" for key, value in said.items())])
