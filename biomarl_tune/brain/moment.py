"""One step of the brain in whole worlds, without gradients, as sampling and replay take it.

``BioPolicy.step`` says what is computed. With so few rows a call of torch costs more than its
arithmetic, so torch is left the products and the hyperbolic tangents, and the rest is compiled.
Letters: E worlds, N agents, B = E N rows, H hidden, M message, K = V memory width, C cells.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.activation import tanh_
from biomarl_tune.brain.joined import Joined
from biomarl_tune.brain.policy import BioPolicy, PolicyOutput
from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import NUM_COLUMNS, SCENT
from biomarl_tune.compiled import compiled

_OBSERVED = NUM_COLUMNS + 1  # the observation and a one, whose weights are the biases


def act(
    policy: BioPolicy, weights: Joined, obs: Tensor, cell: NDArray[np.int64], memory: Tensor
) -> PolicyOutput:
    """Answer one step of whole worlds, as ``policy.step`` does, without gradients.

    Args:
        policy: the brain.
        weights: what ``joined`` makes of it, which is worth keeping from step to step.
        obs: [E, N, 12].
        cell: [E, N] in which every agent stands.
        memory: [E, N, K, V] before the step; overwritten by that after it.
    """
    shape, hidden = obs.shape[:2], weights.critic.shape[0]
    attention = weights.scent is not None
    inputs = torch.empty(_OBSERVED + (1 + NUM_MOVES if attention else 0), shape.numel())
    inputs[:NUM_COLUMNS] = obs.permute(2, 0, 1).flatten(1)
    inputs[NUM_COLUMNS] = 1.0
    looked = _look(weights, inputs) if attention else None
    first = tanh_(weights.enter @ inputs)  # [2H + 1, B]
    first[hidden] = 1.0
    second = torch.empty(hidden + weights.think.shape[0], shape.numel())
    torch.mm(weights.critic, first[: hidden + 1], out=second[:hidden])
    torch.mm(weights.think, first[hidden:], out=second[hidden:])
    gate = _remember(weights, second, memory, policy.model.neural_plasticity_rate)
    message = _listen(weights, second, cell, policy.neighbours)
    layers = tanh_(second[: 2 * hidden])
    moves = torch.addmm(weights.act_bias, weights.act, layers[hidden:]).view(-1, *shape)
    value = torch.addmm(weights.value_bias, weights.value, layers[:hidden])
    logits = moves[:NUM_MOVES]
    if looked is not None:
        logits += looked[:NUM_MOVES].view(-1, *shape)
    return PolicyOutput(
        logits=logits.permute(1, 2, 0),
        value=value.view(shape),
        detector=moves[NUM_MOVES],
        memory=memory,
        message=None if message is None else message.view(-1, *shape).permute(1, 2, 0),
        gate=None if gate is None else gate.view(shape),
        attention=None if looked is None else looked[NUM_MOVES:].view(-1, *shape).permute(1, 2, 0),
    )


def _look(weights: Joined, inputs: Tensor) -> Tensor:
    """Fill in what smells; return the attention's logits and its weights, one below the other."""
    assert weights.scent is not None
    projected = weights.scent @ inputs[:_OBSERVED]
    looked = torch.empty(2 * NUM_MOVES, inputs.shape[1])
    _attend(projected.numpy(), inputs[SCENT].numpy(), inputs[_OBSERVED:].numpy(), *_halves(looked))
    return looked


def _halves(looked: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    array = looked.numpy()
    return array[:NUM_MOVES], array[NUM_MOVES:]


@compiled
def _attend(
    projected: NDArray[np.float32],  # [8, B]
    scents: NDArray[np.float32],  # [7, B]
    attended: NDArray[np.float32],  # [8, B] takes the scent that is smelled, and the weights
    logits: NDArray[np.float32],  # [7, B] takes the logits
    weights: NDArray[np.float32],  # [7, B] takes the weights
) -> None:
    moves, rows = logits.shape
    for row in range(rows):
        greatest = np.float32(-np.inf)
        for move in range(moves):
            logits[move, row] = projected[1 + move, row] + scents[move, row] * projected[0, row]
            greatest = max(greatest, logits[move, row])
        total = np.float32(0.0)
        for move in range(moves):
            weights[move, row] = np.exp(logits[move, row] - greatest)
            total += weights[move, row]
        smelled = np.float32(0.0)
        for move in range(moves):
            weights[move, row] /= total
            smelled += weights[move, row] * scents[move, row]
            attended[1 + move, row] = weights[move, row]
        attended[0, row] = smelled


def _remember(weights: Joined, second: Tensor, memory: Tensor, eta: float) -> Tensor | None:
    """Write, read, take what was read into networks and message; return the gates [B]."""
    if weights.read is None:
        return None
    columns, width = weights.read.shape
    projected = second[columns:]
    tanh_(projected[2 * width : 3 * width])
    gate = projected[3 * width].sigmoid_()
    read = torch.empty(width, second.shape[1])
    _write_and_read(
        projected.numpy(), memory.view(-1, width, width).numpy(), np.float32(eta), read.numpy()
    )
    second[:columns].addmm_(weights.read, read)
    return gate


@compiled
def _write_and_read(
    written: NDArray[np.float32],  # [3K + 1, B] queries, keys, values and gates
    memory: NDArray[np.float32],  # [B, K, V]
    eta: np.float32,
    read: NDArray[np.float32],  # [V, B] takes what is read
) -> None:
    rows, width, _ = memory.shape
    keep = np.float32(1.0) - eta
    value, found = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(rows):
        square = np.float32(0.0)
        for i in range(width):
            square += written[width + i, row] * written[width + i, row]
            value[i] = written[2 * width + i, row]
            found[i] = 0.0
        length = max(np.sqrt(square), np.float32(1e-12))
        strength = eta * written[3 * width, row] / length
        for i in range(width):
            push, query = strength * written[width + i, row], written[i, row]
            for j in range(width):
                after = keep * memory[row, i, j] + push * value[j]
                memory[row, i, j] = after
                found[j] += query * after
        for j in range(width):
            read[j, row] = found[j]


def _listen(
    weights: Joined, second: Tensor, cell: NDArray[np.int64], near: NDArray[np.int64]
) -> Tensor | None:
    """Speak, listen, take what was heard into both networks; return what was said [M, B]."""
    if weights.heard is None:
        return None
    columns, width = weights.heard.shape
    said = second[columns : columns + width]
    heard = torch.empty(width, second.shape[1])
    _hear(said.numpy(), cell, near, heard.numpy())
    second[:columns].addmm_(weights.heard, heard)
    return said


@compiled
def _hear(  # noqa: C901 - loops over loops are what is fast here
    said: NDArray[np.float32],  # [M, B]
    cell: NDArray[np.int64],  # [E, N]
    near: NDArray[np.int64],  # [C, .] cells in range of each, padded with C
    heard: NDArray[np.float32],  # [M, B] takes the mean of the others in range
) -> None:
    width = said.shape[0]
    worlds, agents = cell.shape
    cells = near.shape[0]
    sums = np.zeros((cells, width), np.float32)
    count = np.zeros(cells + 1, np.int64)
    total = np.empty(width, np.float32)
    for world in range(worlds):
        first = world * agents
        for agent in range(agents):
            here = cell[world, agent]
            count[here] += 1
            for i in range(width):
                sums[here, i] += said[i, first + agent]
        for agent in range(agents):
            total[:] = 0.0
            others = -1
            for place in near[cell[world, agent]]:
                if count[place] > 0:
                    others += count[place]
                    for i in range(width):
                        total[i] += sums[place, i]
            share = np.float32(1.0) / np.float32(max(others, 1))
            for i in range(width):
                heard[i, first + agent] = (total[i] - said[i, first + agent]) * share
        for here in cell[world]:
            count[here] = 0
            sums[here] = 0.0
