"""The network faults in all their forms, as rows for ``fault_cases``."""

from chaoskit.faults.partition import Partition


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
]
