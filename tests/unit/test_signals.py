"""Signals ask a run to end; they never interrupt an undo."""

import os
import signal

import pytest

from chaoskit.errors import Interrupted
from chaoskit.signals import Signals


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_raised_at_once_with_its_exit_code(number):
    signals = Signals()
    with signals.installed(), pytest.raises(Interrupted) as raised:
        send(number)
        pytest.fail("it was not raised")
    assert raised.value.exit_code == 128 + number


def test_inside_a_shield_nothing_is_raised_until_it_is_lifted():
    signals = Signals()
    healed = []
    with signals.installed():
        with pytest.raises(Interrupted), signals.shield():
            with signals.shield():
                send(signal.SIGTERM)
                healed.append("inner")
            healed.append("outer")
        assert healed == ["inner", "outer"]


def test_it_is_raised_once_so_that_unwinding_is_not_interrupted():
    signals = Signals()
    with signals.installed():
        with pytest.raises(Interrupted):
            send(signal.SIGINT)
        send(signal.SIGINT)  # would break the undo that is under way now
        with signals.shield():
            send(signal.SIGTERM)
        signals.check()
    assert signals.skip_report
    assert signals.first == signal.SIGINT


def test_the_third_signal_names_the_command_that_heals(capsys):
    signals = Signals()
    with signals.installed(), pytest.raises(Interrupted):
        send(signal.SIGINT)
    with signals.installed():
        send(signal.SIGINT)
        assert "chaoskit heal" not in capsys.readouterr().err
        send(signal.SIGINT)
        assert "chaoskit heal" in capsys.readouterr().err


def test_the_handlers_that_were_there_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Signals().installed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
