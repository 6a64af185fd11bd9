"""Which node the Redis client says has answered, where Locust has patched everything."""

import pytest

pytest.importorskip("redis")

from locust.env import Environment

from chaoskit.history.history import Stream
from chaoskit.history.records import Op
from chaoskit.load.config import Endpoint, LoadConfig
from chaoskit.load.doors import door_of
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.user import Party, Shared
from chaoskit.load.users.redis_sentinel import RedisSentinel

NODE = Endpoint.of("a", "redis://198.18.0.2", addresses=("198.18.0.2", "198.18.1.2", "redis-a"))
SENTINEL = Endpoint.of("s", "redis-sentinel://198.18.0.9:26379", frontdoor=True)


class Connection:
    """One that takes every command."""

    def pack_command(self, *words):
        return words

    def send_packed_command(self, *_, **__):
        pass

    def read_response(self):
        return 1


@pytest.mark.parametrize(
    ("address", "server"),
    [
        (("198.18.0.2", 6379), "a"),
        (("198.18.1.2", 6379), "a"),  # the sentinels know it by another network
        (("redis-a", 6379), "a"),  # or by name
        (("198.18.0.7", 6379), ""),  # nobody's: no server of its own
    ],
)
def test_an_address_that_the_sentinels_name_is_a_nodes_or_nobodys(address, server):
    stream = Stream("write", "write", 10.0, "kept", 1, 10**9)
    config = LoadConfig("redis-sentinel", (SENTINEL,), (NODE,), (stream,), "r", "s", "f")
    environment = Environment()
    environment.chaoskit_party = Party([Shared(config, door_of(config))])
    user, operation = RedisSentinel(environment), Operation(Op.APPEND, 0, 1, 0, fresh=False)
    assert user._exchange(Connection(), address, operation) is Verdict.ACKNOWLEDGED
    assert operation.server == server
