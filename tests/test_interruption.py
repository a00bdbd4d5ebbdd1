"""Signals: the first asks, the second or the end of the grace period stops."""

from __future__ import annotations

import os
import signal

import pytest

from biomarl_tune import interruption
from biomarl_tune.interruption import Interruption


@pytest.fixture
def asked():
    """What was asked for."""
    return []


@pytest.fixture
def listening(asked):
    """An interruption that notes that it was asked."""
    return Interruption(lambda: asked.append("stop"))


def test_the_first_signal_asks_and_the_work_goes_on(listening, asked):
    """Until it comes to a good end."""
    with listening:
        os.kill(os.getpid(), signal.SIGTERM)
        asked.append("still here")

    assert asked == ["stop", "still here"]
    assert (listening.signal, listening.exit_signal) == (signal.SIGTERM, signal.SIGTERM)


def test_the_second_signal_stops_where_it_stands(listening, asked):
    """And what follows the block runs; the first signal counts."""
    with listening:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        asked.append("not reached")

    assert asked == ["stop"]
    assert listening.exit_signal == signal.SIGINT


def test_the_end_of_the_grace_period_stops_too(listening, asked, monkeypatch):
    """Where nobody presses a second time."""
    monkeypatch.setattr(interruption, "GRACE_SECONDS", 1)

    with listening:
        os.kill(os.getpid(), signal.SIGHUP)
        signal.pause()
        asked.append("not reached")

    assert asked == ["stop"]
    assert listening.exit_signal == signal.SIGTERM


def test_with_nothing_under_way_the_first_signal_stops(listening, asked):
    """There is nothing to wait for."""
    with listening:
        listening.at_once()
        os.kill(os.getpid(), signal.SIGINT)
        asked.append("not reached")

    assert asked == []
    assert listening.signal == signal.SIGINT


def test_compiled_code_that_swallows_the_stop_is_understood(listening):
    """Ray's makes a SystemError of it."""

    def compiled():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except interruption.StopNow:
            raise SystemError from None

    with listening:
        listening.at_once()
        compiled()

    assert listening.signal == signal.SIGINT


def test_an_error_of_another_kind_goes_through(listening):
    """A signal does not hide it."""

    def work():
        with listening:
            os.kill(os.getpid(), signal.SIGINT)
            msg = "a fault"
            raise SystemError(msg)

    with pytest.raises(SystemError, match="a fault"):
        work()


def test_the_handlers_of_before_are_put_back(listening):
    """As they were."""
    before = signal.getsignal(signal.SIGINT)

    with listening:
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before
