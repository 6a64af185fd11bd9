"""The network faults in all their forms, as rows for ``fault_cases``.

Those that need what this machine's kernel lacks are skipped, with its own reason.
"""

from chaoskit.faults.arp import Arp
from chaoskit.faults.bandwidth import Bandwidth
from chaoskit.faults.corrupt import Corrupt
from chaoskit.faults.dns import Dns
from chaoskit.faults.duplicate import Duplicate
from chaoskit.faults.flap import Flap
from chaoskit.faults.latency import Latency
from chaoskit.faults.loss import Loss
from chaoskit.faults.partition import Partition
from chaoskit.faults.reorder import Reorder


def cut(**keys):
    return Partition.model_validate(keys)


FROM_B = {"from": ["b"]}
NET_CASES = [
    (cut(**FROM_B, direction="receive"), ["a"], FROM_B),
    (cut(**FROM_B, direction="send"), ["a"], FROM_B),
    (cut(**FROM_B, action="unreachable"), ["a"], FROM_B),
    (cut(**FROM_B, connections="new"), ["a"], FROM_B),
    (cut(**FROM_B, connections="established"), ["a"], FROM_B),
    (cut(**FROM_B, connections="established", direction="receive"), ["a"], FROM_B),
    (
        cut(groups=[["a"], ["b", "client"]]),
        ["a", "b"],
        {"groups[0]": ["a"], "groups[1]": ["b", "client"]},
    ),
    (cut(shape="bridge"), ["a", "client", "b"], {}),
    (cut(shape="majorities-ring"), ["a", "b", "client", "observer"], {}),
    (Loss.model_validate({"share": "20%"}), ["a"], {}),
    (Loss.model_validate({"share": "50%", "direction": "send", **FROM_B}), ["a"], FROM_B),
    (Flap.model_validate({"period": "600ms", **FROM_B}), ["a"], FROM_B),
    (
        Flap.model_validate({"period": "1s", "count": 1, "action": "reject", **FROM_B}),
        ["a"],
        FROM_B,
    ),
    (Bandwidth.model_validate({"rate": "1mbit/s"}), ["a"], {}),
    (Bandwidth.model_validate({"rate": "50mbit/s"}), ["a"], {}),
    (Arp(), ["a"], {"on": ["client"]}),
    (Arp.model_validate({"on": "b"}), ["a"], {"on": ["b"]}),
    (Dns(), ["a"], {}),
    (Dns.model_validate({"answer": "wrong"}), ["a"], {}),
    (
        Dns.model_validate({"answer": "wrong", "names": "b", "to": "a"}),
        ["a"],
        {"names": ["b"], "to": ["a"]},
    ),
    (Latency.model_validate({"delay": "75ms", "jitter": "50ms"}), ["a"], {}),
    (Duplicate.model_validate({"share": "50%"}), ["a"], {}),
    (Reorder.model_validate({"share": "50%"}), ["a"], {}),
    (Corrupt.model_validate({"share": "50%"}), ["a"], {}),
    (Loss.model_validate({"share": "20%", "direction": "send", "correlation": "75%"}), ["a"], {}),
]
