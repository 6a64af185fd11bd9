"""What is written into a hosts file can be taken out again to the last byte, and only that."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.errors import LabError
from chaoskit.lab.names import HostsFile, misled, restored
from chaoskit.lab.process import ProcessIdentity, boot_id

HOSTS = (
    "127.0.0.1 localhost\n198.18.0.2 a\n198.18.0.3 b backup # ours\n\n# a remark\n198.18.0.4 w\n"
)


def means(text, name):
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if name in words[1:]:
            return words[0]
    return None


def test_a_wrong_address_comes_before_the_right_one():
    text = misled(HOSTS, "t1", "a", ("b",), "198.19.255.254")
    assert means(text, "b") == "198.19.255.254"
    assert (means(text, "w"), means(text, "a")) == ("198.18.0.4", "198.18.0.2")
    assert restored(text, "t1") == HOSTS


def test_in_an_outage_only_the_nodes_own_name_is_known():
    text = misled(HOSTS, "t1", "a", (), None)
    assert [means(text, n) for n in ("b", "backup", "w")] == [None, None, None]
    assert (means(text, "a"), means(text, "localhost")) == ("198.18.0.2", "127.0.0.1")
    assert restored(text, "t1") == HOSTS


def test_what_another_run_or_person_wrote_is_left_alone():
    theirs = misled(HOSTS, "t2", "a", ("b",), "198.18.9.9")
    assert restored(theirs, "t1") == theirs


@given(st.lists(st.text("ab#. \t", max_size=12), max_size=6), st.sampled_from([None, "198.18.0.9"]))
def test_any_file_comes_back_as_it_was(lines, address):
    text = "".join(f"{line}\n" for line in lines)
    assert restored(misled(text, "t1", "a", ("b", "ab"), address), "t1") == text


def test_a_process_that_is_gone_has_no_file():
    with pytest.raises(LabError, match="cannot be changed"):
        HostsFile(ProcessIdentity(os.getpid(), 1, boot_id()))
