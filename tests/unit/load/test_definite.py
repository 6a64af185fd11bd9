"""What proves that nothing was executed: the tables, and the page that shows them."""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit.load import sqlstate

PAGE = Path(__file__).resolve().parents[3] / "docs" / "writing-a-load.md"

# Importing a client patches the process that does it.
TABLES = """
import json
from chaoskit.load.users import http_kv, redis_sentinel
print(json.dumps({
    "HTTP": [
        sorted([*map(str, http_kv.DEFINITE), *(f"{s}†" for s in http_kv.DEFINITE_OF_NODES)]),
        sorted(f"{s}†" if s in http_kv.DEFINITE_OF_NODES else str(s) for s in http_kv.MOVE_ON),
    ],
    "Redis": [sorted(redis_sentinel.DEFINITE), sorted(redis_sentinel.NOT_MASTER)],
}))
"""


@functools.cache
def code():
    pytest.importorskip("redis")
    ran = subprocess.run([sys.executable, "-c", TABLES], capture_output=True, text=True, check=True)
    classes = [f"{two}*" for two in sqlstate.DEFINITE_CLASSES]
    ours = {"PostgreSQL": [sorted([*sqlstate.DEFINITE, *classes]), sorted(sqlstate.MOVE_ON)]}
    return json.loads(ran.stdout.splitlines()[-1]) | ours


def page(text):
    """Protocol → definite words, words of ambiguous ones, words after which others are asked."""
    section = text.split("## What an error proves", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (\w+) \| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    return {
        name: [sorted(cell.replace("\\*", "*").split()) for cell in cells]
        for name, *cells in rows
        if name != "protocol"
    }


def differences(text):
    shown, found = page(text), code()
    wrong = [name for name in found if [shown[name][0], shown[name][2]] != found[name]]
    both = [name for name in shown if set(shown[name][0]) & set(shown[name][1])]
    return wrong + both


def test_the_page_and_the_code_say_the_same():
    assert set(page(PAGE.read_text())) == {"HTTP", "Redis", "PostgreSQL"}
    assert differences(PAGE.read_text()) == []


@pytest.mark.parametrize(
    ("right", "planted", "protocol"),
    [
        ("| HTTP | 400 ", "| HTTP | 400 500 ", "HTTP"),
        ("431 503† |", "431 503 |", "HTTP"),
        ("READONLY LOADING MASTERDOWN CLUSTERDOWN", "READONLY LOADING CLUSTERDOWN", "Redis"),
        ("25006 40001 ", "25006 40001 57P01 ", "PostgreSQL"),
        ("| 25006 53300 57P03 |", "| 25006 57P03 |", "PostgreSQL"),
    ],
)
def test_a_wrong_row_on_the_page_is_found(right, planted, protocol):
    text = PAGE.read_text()
    assert right in text
    assert protocol in differences(text.replace(right, planted))


# By the manual's appendix A and what each message is raised for; independent of the table's words.
CASES = {
    ("ERROR", "25006"): True,  # cannot execute INSERT in a read-only transaction
    ("ERROR", "40001"): True,  # could not serialize access
    ("ERROR", "40P01"): True,  # deadlock detected
    ("ERROR", "23505"): True,  # duplicate key
    ("ERROR", "42P01"): True,  # relation does not exist
    ("ERROR", "22003"): True,  # out of range
    ("ERROR", "53100"): True,  # could not extend file: no space
    ("PANIC", "53100"): False,  # could not write to the log: no space, in the middle of a commit
    ("ERROR", "40003"): False,  # statement completion unknown
    ("ERROR", "57014"): False,  # cancelled: perhaps while it waited for a standby
    ("FATAL", "57P01"): False,  # terminated by an administrator, perhaps in the commit
    ("ERROR", "57P01"): False,
    ("FATAL", "57P02"): False,  # another process crashed
    ("FATAL", "57P03"): False,  # a proxy's, after sending: whose transaction was it?
    ("ERROR", "57P03"): True,
    ("FATAL", "25006"): False,
    ("ERROR", "08006"): False,  # connection failure, a proxy's word
    ("ERROR", "08007"): False,  # transaction resolution unknown
    ("ERROR", "XX000"): False,  # internal error
    ("ERROR", "58030"): False,  # I/O error
    ("ERROR", ""): False,
    ("", "25006"): False,  # a server too old to send the severity
    ("FEHLER", "25006"): False,  # translated severities are not read
}


@pytest.mark.parametrize(("severity", "sqlstate_"), CASES)
def test_an_error_proves_what_it_should(severity, sqlstate_):
    assert sqlstate.is_definite(severity, sqlstate_) is CASES[severity, sqlstate_]


@pytest.mark.parametrize("planted", ["57P01", "57014", "40003", "08006"])
def test_a_row_that_should_not_be_in_the_table_fails_the_cases(planted, monkeypatch):
    monkeypatch.setattr(sqlstate, "DEFINITE", {**sqlstate.DEFINITE, planted: "planted"})
    assert any(sqlstate.is_definite(*case) is not truth for case, truth in CASES.items())


def test_only_a_warning_about_the_wait_takes_an_acknowledgement_back():
    assert sqlstate.is_doubtful("WARNING", "01000", "SyncRepWaitForLSN")
    assert sqlstate.is_doubtful("WARNING", "57P01", "SyncRepWaitForLSN")
    assert sqlstate.is_doubtful("WARNING", "57P01", "")  # a pooler that leaves the function out
    assert sqlstate.is_doubtful("", "01000", "SyncRepWaitForLSN")  # too old to send the severity
    assert not sqlstate.is_doubtful("WARNING", "01000", "exec_stmt_raise")  # somebody's trigger
    assert not sqlstate.is_doubtful("NOTICE", "00000", "DefineRelation")
    # The server shuts down, and says so behind an answer that stands.
    assert not sqlstate.is_doubtful("FATAL", "57P01", "ProcessInterrupts")
    assert not sqlstate.is_doubtful("FATAL", "57P01", "")
    assert not sqlstate.is_doubtful("WARNING", "57P01", "quickdie")


@pytest.mark.parametrize(
    ("message", "phrase"),
    [
        (
            (
                'connection to server at "198.18.0.2", port 5432 failed: Connection refused\n'
                "\tIs the server running on that host and accepting TCP/IP connections?\n"
            ),
            "connection refused",
        ),
        (
            (
                'connection to server at "198.18.0.9", port 5432 failed: '
                "FATAL:  the database system is starting up\n"
            ),
            "postgres: the database system is starting up",
        ),
        (
            (
                'connection to server at "h" (198.18.0.9), port 5432 failed: '
                'FATAL:  no pg_hba.conf entry for host "198.18.0.4", user "u", database "d"\n'
            ),
            'postgres: no pg_hba.conf entry for host an address, user "u", database "d"',
        ),
        (
            "server closed the connection unexpectedly\n\tThis probably means the server\n",
            "closed without an answer",
        ),
        ("", "postgres: no answer"),
    ],
)
def test_equal_causes_are_equal_phrases_without_addresses(message, phrase):
    assert sqlstate.phrase_of(message) == phrase
