"""A recorded episode is the one that was evaluated, and its page holds all of it."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from PIL import Image

from biomarl_tune.analysis.animation import write_gif
from biomarl_tune.analysis.evaluation import Stage, replay_checkpoint
from biomarl_tune.analysis.replay import message_looks, record_checkpoint, replay_page
from biomarl_tune.errors import CheckpointError, InputError
from biomarl_tune.ppo.checkpoint import latest_checkpoint


@pytest.fixture(scope="module")
def checkpoint(finished):
    """The first trial's newest checkpoint."""
    return latest_checkpoint(finished / "trials" / "0" / "checkpoints")


@pytest.fixture(scope="module")
def recordings(checkpoint):
    """Two episodes of held-out seed 1."""
    return record_checkpoint(checkpoint, seed=1, episodes=2)


def test_recording_is_the_evaluated_episode(checkpoint, recordings):
    """Return, deliveries and breakthroughs are those of the evaluation stage."""
    table = replay_checkpoint(checkpoint, 0, Stage(top=1, seeds=2, episodes_per_seed=2))
    rows = table[table["seed"] == 1].sort_values("episode")

    assert [r.reward.sum() for r in recordings] == pytest.approx(list(rows["return"]), rel=1e-5)
    assert [r.delivered.sum() for r in recordings] == list(rows["deliveries"])
    assert [r.breakthrough[:, :-1].sum() for r in recordings] == list(rows["breakthroughs"])


def test_recording_shows_what_happens(recordings):
    """Agents start in the nest without loads, and move one cell at most."""
    first = recordings[0]

    assert first.steps == 20
    assert not first.cell[0].any()
    assert not first.carrying[0].any()
    place = np.array(np.unravel_index(first.cell, first.env.grid_size))
    assert np.abs(np.diff(place, axis=1)).sum(axis=0).max() <= 1
    assert first.scent[0].max() == 0.0
    assert first.message[:-1].any()


def test_page_holds_the_episode(recordings, pages):
    """The page needs nothing from outside, and its data read back are the recording."""
    text = replay_page(recordings, title="trial </script> 0")

    page = pages.assert_self_contained(text)
    start = text.index('type="application/json">') + len('type="application/json">')
    data = json.loads(text[start : text.index("</script>", start)])
    assert data["title"] == "trial </script> 0"
    assert len(data["episodes"]) == 2
    cells = np.frombuffer(base64.b64decode(data["episodes"][1]["cell"]), "<u4").reshape(21, 5)
    assert (cells == recordings[1].cell).all()
    assert {"world", "play", "scrub", "speed", "s-message"} <= page.ids


def test_page_plays_in_a_browser(recordings, pages, tmp_path):
    """A headless browser shows it without a word on the console."""
    if not pages.BROWSER:
        pytest.skip("no Chromium here")
    path = tmp_path / "replay.html"
    path.write_text(replay_page(recordings, title="trial 0"))

    assert pages.console_messages(path, tmp_path) == []


def test_gif_has_a_frame_a_stride(recordings, tmp_path):
    """Twenty steps in at most four frames are strides of five, and the end is shown."""
    write_gif(recordings, tmp_path / "colony.gif", frames=4)

    with Image.open(tmp_path / "colony.gif") as film:
        assert film.n_frames == 5
        assert film.info["loop"] == 0


def test_unwritable_gif_is_refused(recordings, tmp_path):
    """A folder that is not there is the user's to choose again."""
    with pytest.raises(InputError, match="cannot be written"):
        write_gif(recordings, tmp_path / "none" / "colony.gif", frames=1)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    """Only verified checkpoints are played."""
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        record_checkpoint(tmp_path)


def test_like_messages_look_alike():
    """Two groups of messages get two hues, the mean message is silent, nothing said is nothing."""
    message = np.zeros((3, 4, 5), np.float32)
    message[:2, :2, 0], message[:2, 2:, 0] = 1.0, -1.0
    message[:2, :, 1] = 0.001

    loud, hue = message_looks(message)

    assert hue[0, 0] == hue[1, 1]
    assert hue[0, 2] == hue[1, 3]
    assert abs(int(hue[0, 0]) - int(hue[0, 2])) in range(120, 136)
    assert (loud[:2] == 255).all()
    assert not loud[2].any()
    assert not message_looks(np.zeros((3, 4, 0), np.float32))[0].any()
