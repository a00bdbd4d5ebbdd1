from __future__ import annotations

import signal
import threading
import time

import pytest

from biomarl_tune.errors import TrialError
from biomarl_tune.search.deadline import time_limit


def test_what_takes_too_long_is_stopped_where_it_stands():
    """Sleeping or computing, the main thread leaves it with the name of the setting."""
    with (
        pytest.raises(TrialError, match=r"longer than 0.05 seconds \(stopping.iteration_seconds\)"),
        time_limit(0.05),
    ):
        time.sleep(30)


def test_what_is_in_time_is_left_alone():
    """And the signal's handler is what it was."""
    before = signal.getsignal(signal.SIGUSR2)

    with time_limit(30):
        answer = 1

    assert answer == 1
    assert signal.getsignal(signal.SIGUSR2) is before


def test_other_threads_have_no_limit():
    """They cannot be interrupted."""
    done = []

    def work():
        with time_limit(0.01):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == [True]
