from __future__ import annotations

import os

from biomarl_tune.steady import SteadyStream


def test_a_stream_outlives_its_reader():
    """What is written after the reader has gone is dropped, as often as one likes."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        stream = SteadyStream(file)
        stream.write("first\n")
        stream.flush()
        assert os.read(reading, 100) == b"first\n"
        os.close(reading)

        for _ in range(3):
            assert stream.write("nobody reads this\n" * 1000) == 18000
            stream.flush()

        assert not stream.isatty()
