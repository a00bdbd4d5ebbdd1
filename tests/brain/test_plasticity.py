import pytest
import torch

from biomarl_tune.brain.plasticity import MemoryHead, Write, chunk_read, recurrent_step

WORLDS, STEPS, AGENTS, WIDTH = 2, 9, 3, 4


def random_write(*shape, dtype=torch.float32):
    """Return random queries, unit keys, values and gates of a leading shape."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(*shape, WIDTH, dtype=dtype) for _ in range(3))
    key = key / key.norm(dim=-1, keepdim=True)
    return Write(query, key, value.tanh(), torch.rand(*shape, 1, dtype=dtype))


def one_by_one(write, memory, first, *, eta):
    """Return what every step of a chunk reads, and the last memory, by the recurrence."""
    reads = []
    for t in range(first.shape[1]):
        memory = memory * ~first[:, t, None, None, None]
        now = Write(*(x[:, t].flatten(0, 1) for x in write))
        read, after = recurrent_step(memory.flatten(0, 1), now, eta=eta)
        memory = after.view_as(memory)
        reads.append(read.view(*memory.shape[:2], -1))
    return torch.stack(reads, dim=1), memory


def test_two_steps_by_hand():
    """With eta 0.5 the first write weighs 0.25 and 0.125 in the second step's memory.

    M_1 = 0.5 * 1.0 * k_1 v_1^T has 0.5 * (2, 0) in its first row; M_2 = 0.5 M_1 + 0.5 * 0.5 *
    k_2 v_2^T adds 0.25 * (0, 4) in its second.
    """
    memory = torch.zeros(1, 2, 2)
    writes = [
        Write(*(torch.tensor([x]) for x in ([1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0]))),
        Write(*(torch.tensor([x]) for x in ([1.0, 3.0], [0.0, 1.0], [0.0, 4.0], [0.5]))),
    ]

    first, memory = recurrent_step(memory, writes[0], eta=0.5)
    second, memory = recurrent_step(memory, writes[1], eta=0.5)

    assert first.tolist() == [[1.0, 0.0]]
    assert memory.tolist() == [[[0.5, 0.0], [0.0, 1.0]]]
    assert second.tolist() == [[0.5, 3.0]]


def test_the_same_two_steps_as_a_chunk():
    """The chunkwise form reads the same two vectors without building a memory."""
    columns = [[1.0, 0.0], [1.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 4.0]]
    write = Write(*(torch.tensor(c)[None, :, None] for c in (*columns, [[1.0], [0.5]])))
    first = torch.tensor([[True, False]])

    read = chunk_read(write, torch.zeros(1, 1, 2, 2), first, eta=0.5)

    assert read[0, :, 0].tolist() == [[1.0, 0.0], [0.5, 3.0]]


@pytest.mark.parametrize("eta", [0.0, 0.005, 0.3, 1.0])
@pytest.mark.parametrize("starts", [[], [(0, 0), (1, 0)], [(0, 4)], [(0, 2), (0, 3), (1, 8)]])
def test_recurrent_and_chunkwise_forms_agree(eta, starts):
    """They read alike with a memory from before and with episodes that begin inside the chunk."""
    write = random_write(WORLDS, STEPS, AGENTS)
    memory = torch.randn(WORLDS, AGENTS, WIDTH, WIDTH)
    first = torch.zeros(WORLDS, STEPS, dtype=torch.bool)
    for world, step in starts:
        first[world, step] = True

    chunk = chunk_read(write, memory, first, eta=eta)

    expected, _ = one_by_one(write, memory, first, eta=eta)
    torch.testing.assert_close(chunk, expected, rtol=1e-5, atol=1e-5)


def test_forms_agree_over_a_long_chunk():
    """Two hundred steps of slow decay still agree to 1e-5."""
    write = random_write(1, 200, 2)
    memory = torch.randn(1, 2, WIDTH, WIDTH)
    first = torch.zeros(1, 200, dtype=torch.bool)

    chunk = chunk_read(write, memory, first, eta=0.01)

    expected, _ = one_by_one(write, memory, first, eta=0.01)
    torch.testing.assert_close(chunk, expected, rtol=1e-5, atol=1e-5)


def test_gradients_of_both_forms_agree():
    """Queries, keys, values, gates and the memory before learn alike from both forms."""
    write = random_write(WORLDS, STEPS, AGENTS, dtype=torch.float64)
    memory = torch.randn(WORLDS, AGENTS, WIDTH, WIDTH, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (*write, memory)]
    first = torch.zeros(WORLDS, STEPS, dtype=torch.bool)
    first[1, 4] = True
    weights = torch.randn(WORLDS, STEPS, AGENTS, WIDTH, dtype=torch.float64)

    chunk = (chunk_read(write, memory, first, eta=0.25) * weights).sum()
    steps = (one_by_one(write, memory, first, eta=0.25)[0] * weights).sum()

    gradients = [torch.autograd.grad(loss, inputs) for loss in (chunk, steps)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_nothing_is_written_with_eta_0():
    """The memory stays what it was, and every step reads it."""
    write, memory = random_write(5), torch.randn(5, WIDTH, WIDTH)

    read, after = recurrent_step(memory, write, eta=0.0)

    torch.testing.assert_close(after, memory)
    torch.testing.assert_close(read, torch.einsum("bk,bkv->bv", write.query, memory))


def test_only_the_last_write_is_left_with_eta_1():
    """The memory is the outer product of the last key and value, times its gate."""
    write, memory = random_write(5), torch.randn(5, WIDTH, WIDTH)

    _, after = recurrent_step(memory, write, eta=1.0)

    expected = write.gate[:, :, None] * write.key[:, :, None] * write.value[:, None, :]
    torch.testing.assert_close(after, expected)


def test_head_keeps_its_ranges():
    """Keys have length 1, values lie in (-1, 1) and gates in (0, 1), whatever the features."""
    torch.manual_seed(0)
    head = MemoryHead(6, WIDTH)

    write = head(torch.randn(20, AGENTS, 6))

    assert [x.shape for x in write] == [(20, AGENTS, w) for w in (WIDTH, WIDTH, WIDTH, 1)]
    torch.testing.assert_close(write.key.norm(dim=-1), torch.ones(20, AGENTS))
    assert write.value.abs().max() < 1
    assert write.gate.min() > 0
    assert write.gate.max() < 1
