"""Which faults are taken through ``check_fault``, and a lab of web servers to do it in.

A row is (fault, target, other selectors). Whoever adds a fault adds a row, here or in a test of
its own that says why it needs another stack.
"""

from net_cases import NET_CASES

from chaoskit.faults.kill import Kill
from chaoskit.faults.noop import Noop
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause

CASES = [
    (Kill(), ["a"], {}),
    (Noop(), [], {}),
    (Partition(), ["a"], {}),
    (Partition.model_validate({"from": ["b"], "action": "reject"}), ["a"], {"from": ["b"]}),
    (Pause(), ["a"], {}),
    *NET_CASES,
]
"""Nodes ``a`` and ``b`` serve HTTP on port 8080."""


def name_of(case):
    fault = case[0]
    said = fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return "-".join([fault.kind, *(f"{key}={value}" for key, value in said.items())])
