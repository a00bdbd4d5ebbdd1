import torch

from biomarl_tune.brain.attention import PheromoneAttention

SCENTS, REST, WIDTH = 7, 5, 4


def attention(seed=0):
    """Return an attention whose weights are all random."""
    torch.manual_seed(seed)
    return PheromoneAttention(REST, WIDTH)


def naive(module, scents, rest):
    """Attend with seven tokens that are built one by one."""
    logits, values = [], []
    query = rest @ module.query.weight.T + module.query.bias
    for j in range(SCENTS):
        smell = scents[:, j : j + 1]
        key = smell * module.keys[0] + module.keys[1 + j]
        values.append(smell * module.values[0] + module.values[1 + j])
        logits.append((query * key).sum(dim=1) / WIDTH**0.5)
    weights = torch.softmax(torch.stack(logits, dim=1), dim=1)
    attended = (weights[:, :, None] * torch.stack(values, dim=1)).sum(dim=1)
    return torch.stack(logits, dim=1), weights, attended


def test_equals_seven_tokens_built_one_by_one():
    """Logits, weights and attended values are those of plain dot-product attention."""
    module, scents, rest = attention(), torch.rand(9, SCENTS), torch.randn(9, REST)

    found, expected = module(scents, rest), naive(module, scents, rest)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_gradients_equal_those_of_the_naive_form():
    """Every parameter learns what it would learn from the naive form."""
    module, scents, rest = attention(), torch.rand(9, SCENTS), torch.randn(9, REST)
    gradients = []
    for form in (module, lambda *inputs: naive(module, *inputs)):
        logits, weights, attended = form(scents, rest)
        loss = logits.square().sum() + weights[:, 2].sum() + attended.sum()
        gradients.append(torch.autograd.grad(loss, list(module.parameters())))

    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_huge_logits_do_not_overflow():
    """Where one logit is far above the others the weights are 0 and 1, not NaN."""
    module = attention()
    with torch.no_grad():
        module.query.weight.zero_()
        module.query.bias.fill_(1.0)
        module.keys.zero_()
        module.keys[3] = 1e4

    _, weights, attended = module(torch.zeros(1, SCENTS), torch.zeros(1, REST))

    assert weights.tolist() == [[0, 0, 1, 0, 0, 0, 0]]
    torch.testing.assert_close(attended[0], module.values[3])
