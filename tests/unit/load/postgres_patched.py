"""Which node the PostgreSQL client says has answered, where Locust has patched everything."""

from types import SimpleNamespace

import pytest

pytest.importorskip("psycopg")

from locust.env import Environment

from chaoskit.history.history import Stream
from chaoskit.history.records import Op
from chaoskit.load.config import Endpoint, LoadConfig
from chaoskit.load.doors import door_of
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.user import Party, Shared
from chaoskit.load.users.postgres import Postgres

NODES = (
    Endpoint.of("a", "postgres://198.18.0.2:5432", addresses=("198.18.0.2", "198.18.1.2")),
    Endpoint.of("b", "postgres://198.18.0.3:6432", addresses=("198.18.0.3",)),
)
DOOR = Endpoint.of("haproxy", "postgres://198.18.0.9:5432", frontdoor=True)


class Answer:
    good, doubtful = True, ""

    def __init__(self, *rows):
        self.rows = list(rows)


class Session:
    """One whose server says ``who`` when it is asked who it is; ``standby``: it takes no writes."""

    def __init__(self, who, pid=77, *, standby=False):
        self.server, self.pid, self._who, self.asked = None, pid, who, 0
        self._standby = standby

    def told(self, _name):
        return "on" if self._standby else "off"

    def ask(self, statement, _values, operation=None):
        if operation is None and b"inet_server_addr" in statement:
            self.asked += 1
            return Answer(self._who)
        return Answer(b"on") if operation is None else Answer()

    def close(self):
        pass


class Sessions:
    def __init__(self, session):
        self.session = session

    def borrow(self, _endpoint, _operation):
        return self.session

    def give_back(self, *_):
        pass

    def flush(self, _endpoint):
        pass


def answered(session, endpoint=DOOR, times=2):
    """Verdicts and servers of some appends by way of an endpoint."""
    stream = Stream("write", "write", 10.0, "kept", 1, 10**9)
    config = LoadConfig("postgres", (endpoint,), NODES, (stream,), "r", "s", "f")
    environment = Environment()
    environment.chaoskit_party = Party([Shared(config, door_of(config))])
    user = Postgres(environment)
    user.sessions = Sessions(session)
    found = set()
    for slot in range(times):
        operation = Operation(Op.APPEND, slot, slot + 1, 0, fresh=False)
        found.add((user.perform(operation), operation.server))
    return found


@pytest.mark.parametrize(
    ("who", "server"),
    [
        (b"198.18.0.2 5432 77", "a"),
        (b"198.18.1.2 5432 77", "a"),  # its address on another network
        (b"198.18.0.3 5432 77", "b"),  # its endpoint is a pooler beside it, on 6432
        (b"198.18.0.9 5432 77", ""),  # nobody's
        (b"127.0.0.1 5432 77", ""),
        (b"198.18.0.2 5432 78", ""),  # a pooler's session: the next statement may go elsewhere
        (None, ""),  # by a unix socket
        (b"what?", ""),
        (b"198.18.0.2 port 77", ""),
    ],
)
def test_behind_a_front_door_only_an_address_that_is_a_nodes_names_it(who, server):
    session = Session(who)
    assert answered(session) == {(Verdict.ACKNOWLEDGED, server)}
    assert session.asked == 1, "once a session, whatever comes of it"


def test_a_node_that_is_asked_itself_is_not_asked_who_it_is():
    session = Session(b"198.18.0.3 5432 77")
    assert answered(session, NODES[0]) == {(Verdict.ACKNOWLEDGED, "a")}
    assert session.asked == 0


@pytest.mark.parametrize(("endpoint", "server"), [(DOOR, ""), (NODES[0], "a")])
def test_a_standby_behind_a_front_door_refuses_in_nobodys_name(endpoint, server):
    session = Session(b"198.18.0.2 5432 77", standby=True)
    assert answered(session, endpoint) == {(Verdict.REFUSED, server)}


@pytest.mark.parametrize(("value", "seen"), [(None, 5), (b"17", 17), (b"seventeen", 5)])
def test_a_null_or_what_is_no_token_is_an_answer_that_shows_nothing(value, seen):
    user = object.__new__(Postgres)  # a verdict needs nothing of a user
    operation = SimpleNamespace(op=Op.GET, seen=5, error="")
    answer = SimpleNamespace(good=True, doubtful="", rows=[value])
    assert user._verdict(None, operation, answer) is Verdict.ACKNOWLEDGED
    assert operation.seen == seen
