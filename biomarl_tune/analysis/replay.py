"""One episode of a trained colony, recorded step by step, and the page that plays it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from biomarl_tune.analysis.evaluation import HELD_OUT, brain
from biomarl_tune.colony import lattice
from biomarl_tune.colony.pheromone import scent
from biomarl_tune.experiment import EnvSettings
from biomarl_tune.ppo.checkpoint import load_weights
from biomarl_tune.ppo.rollout import ActingColony

_BYTE = 255


@dataclass(frozen=True)
class Recording:
    """An episode as it was seen: T steps of N agents, so T + 1 states.

    Row t is the state before step t; what step t brought stands in row t + 1.
    """

    env: EnvSettings
    seed: int  # held-out seed, counted from 0
    episode: int
    cell: NDArray[np.int64]  # [T + 1, N]
    carrying: NDArray[np.bool_]  # [T + 1, N]
    scent: NDArray[np.float32]  # [T + 1, C] log(1 + pheromone) / 3
    food_cell: NDArray[np.int64]  # [T + 1, P]
    food_units: NDArray[np.int64]  # [T + 1, P]
    delivered: NDArray[np.int64]  # [T + 1] in the step before
    reward: NDArray[np.float64]  # [T + 1] of the colony, in the step before
    breakthrough: NDArray[np.bool_]  # [T + 1, N + 1] the last is the colony's
    message: NDArray[np.float32]  # [T + 1, N, M] said in this state; M is 0 when messages are off

    @property
    def steps(self) -> int:
        """Steps of the episode (T)."""
        return len(self.cell) - 1


def record_checkpoint(
    checkpoint: Path, *, seed: int = 0, episodes: int = 1, greedy: bool = False
) -> list[Recording]:
    """Record whole episodes of a checkpoint; they are those that the evaluation stage plays.

    Args:
        checkpoint: the brain and its world.
        seed: held-out seed, counted from 0.
        episodes: how many of that seed.
        greedy: take the likeliest moves instead of sampling as in training.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    experiment, weights = load_weights(checkpoint)
    policy = brain(experiment, weights)
    return [
        record(ActingColony(experiment.env, policy, [(HELD_OUT + seed, e)]), seed, e, greedy=greedy)
        for e in range(episodes)
    ]


@torch.no_grad()
def record(acting: ActingColony, seed: int, episode: int, *, greedy: bool = False) -> Recording:
    """Play one world to the end of its episode and keep all that can be seen."""
    env, state = acting.colony.env, acting.colony.state
    steps, agents = env.max_episode_steps, env.num_agents
    width = acting.policy.model.message_dim if acting.policy.model.messages else 0
    recording = Recording(
        env=env,
        seed=seed,
        episode=episode,
        cell=np.zeros((steps + 1, agents), np.int64),
        carrying=np.zeros((steps + 1, agents), np.bool_),
        scent=np.zeros((steps + 1, env.num_cells), np.float32),
        food_cell=np.zeros((steps + 1, env.food_patches), np.int64),
        food_units=np.zeros((steps + 1, env.food_patches), np.int64),
        delivered=np.zeros(steps + 1, np.int64),
        reward=np.zeros(steps + 1),
        breakthrough=np.zeros((steps + 1, agents + 1), np.bool_),
        message=np.zeros((steps + 1, agents, width), np.float32),
    )
    chance = acting.draw(steps)
    for t in range(steps + 1):
        recording.cell[t], recording.carrying[t] = state.cell[0], state.carrying[0]
        recording.scent[t] = scent(state.pheromone[0])
        recording.food_cell[t], recording.food_units[t] = state.food_cell[0], state.food_units[0]
        if t == steps:
            break
        step = acting.advance(chance[t], greedy=greedy)
        if step.output.message is not None:
            recording.message[t] = step.output.message[0].numpy()
        recording.delivered[t + 1] = step.transition.delivered.sum()
        recording.reward[t + 1] = step.transition.reward.sum()
        recording.breakthrough[t + 1] = step.transition.breakthrough[0] > 0
    return recording


def replay_page(recordings: Sequence[Recording], *, title: str) -> str:
    """Return a self-contained HTML page that plays recorded episodes of one world.

    Args:
        recordings: at least one.
        title: what the page is called.
    """
    first = recordings[0]
    data = {
        "title": title,
        "grid": first.env.grid_size,
        "coordinates": lattice.coordinates(first.env.grid_size).tolist(),
        "agents": first.env.num_agents,
        "patch_units": first.env.patch_units,
        "decay": first.env.pheromone_decay,
        "episodes": [_episode_data(recording) for recording in recordings],
    }
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return page_template("replay.html").replace("__DATA__", text)


def page_template(name: str) -> str:
    """Return the text of a page that lies in this package."""
    return files("biomarl_tune.analysis").joinpath("pages", name).read_text(encoding="utf-8")


def _episode_data(recording: Recording) -> dict[str, Any]:
    loud, hue = message_looks(recording.message)
    top = float(recording.scent.max()) or 1.0
    return {
        "seed": recording.seed,
        "episode": recording.episode,
        "steps": recording.steps,
        "cell": _packed(recording.cell.astype("<u4")),
        "carrying": _packed(recording.carrying.astype(np.uint8)),
        "scent": _packed(np.round(recording.scent / top * _BYTE).astype(np.uint8)),
        "food_cell": _packed(recording.food_cell.astype("<u4")),
        "food_units": _packed(recording.food_units.astype("<u4")),
        "delivered": recording.delivered.tolist(),
        "reward": [round(float(value), 4) for value in recording.reward],
        "breakthroughs": np.argwhere(recording.breakthrough).tolist(),
        "loud": _packed(loud),
        "hue": _packed(hue),
    }


def message_looks(messages: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Turn messages [T, N, M] into a loudness and a hue, 0 to 255 each, [T, N].

    Loudness is how far a message lies from the episode's mean message; the hue is its direction
    in the plane of the first two principal components, so like messages look alike.
    """
    shape = messages.shape[:2]
    if messages.shape[2] == 0 or not messages.any():
        return np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    spoken = messages[:-1] if len(messages) > 1 else messages  # nothing is said in the last state
    flat = spoken.reshape(-1, messages.shape[2]) - spoken.mean(axis=(0, 1))
    covariance = flat.T @ flat
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :2]
    plane = flat @ axes
    angle = np.arctan2(plane[:, -1], plane[:, 0]) if plane.shape[1] > 1 else np.sign(plane[:, 0])
    distance = np.linalg.norm(flat, axis=1)
    loud = np.clip(distance / (np.quantile(distance, 0.99) or 1.0), 0.0, 1.0)
    full = np.zeros((2, *shape))
    full[0, : len(spoken)] = loud.reshape(spoken.shape[:2])
    full[1, : len(spoken)] = ((angle / (2 * np.pi)) % 1.0).reshape(spoken.shape[:2])
    loud_bytes, hue_bytes = np.round(full * _BYTE).astype(np.uint8)
    return loud_bytes, hue_bytes


def _packed(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
