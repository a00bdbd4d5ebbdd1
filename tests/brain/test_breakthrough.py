import torch

from biomarl_tune.brain.breakthrough import BreakthroughHead, upcoming


def flags(text):
    """Return a [1, T] tensor that is true where the text has an x."""
    return torch.tensor([[c == "x" for c in text]])


def labelled(events, first, horizon):
    """Return labels and masks of one world with one agent as texts of digits."""
    found = upcoming(flags(events)[..., None], flags(first), horizon=horizon)
    return ["".join(str(int(v)) for v in column.flatten()) for column in found]


def test_labels_by_hand():
    """The two steps before an event are labelled, the event's own step is not.

    The last two steps cannot be known: the horizon of 2 reaches past the chunk.
    """
    assert labelled("....x...", "x.......", 2) == ["00110000", "11111100"]


def test_events_in_a_row():
    """An event is labelled where another one follows it within the horizon."""
    assert labelled("..xx....", "x.......", 1) == ["01100000", "11111110"]


def test_no_label_reaches_over_the_end_of_an_episode():
    """An event of the next episode is none of this one's, and that much is known."""
    assert labelled("....x...", "x...x...", 2) == ["00000000", "11111100"]


def test_a_seen_event_is_known_at_the_end_of_the_chunk():
    """The step before an event in the last step is labelled though its horizon is cut."""
    assert labelled(".....x", "x.....", 4) == ["011110", "111110"]


def test_a_horizon_longer_than_the_chunk():
    """Without an event nothing is known of a chunk that is shorter than the horizon."""
    assert labelled("....", "x...", 9) == ["0000", "0000"]


def test_labels_equal_brute_force():
    """Every label and mask is what looking ahead step by step finds."""
    generator, horizon = torch.Generator().manual_seed(0), 4
    events = torch.rand(3, 30, 2, generator=generator) < 0.1
    first = torch.rand(3, 30, generator=generator) < 0.1
    expected, known = torch.zeros(3, 30, 2), torch.zeros(3, 30, 2)
    for e, t, n in torch.cartesian_prod(torch.arange(3), torch.arange(30), torch.arange(2)):
        ends = [s for s in range(t + 1, 30) if first[e, s]]
        stop = min([t + horizon + 1, *ends])
        expected[e, t, n] = events[e, t + 1 : stop, n].any()
        known[e, t, n] = expected[e, t, n] or bool(ends) or t + horizon <= 29

    labels, mask = upcoming(events, first, horizon=horizon)

    assert labels.sum() > 10
    assert torch.equal(labels, expected)
    assert torch.equal(mask, known)


def test_head_gives_one_logit_an_agent():
    """The head is linear in the features and drops the last axis."""
    torch.manual_seed(0)
    head, features = BreakthroughHead(4), torch.randn(2, 3, 4)

    logit = head(features)

    expected = (features * head.project.weight[0]).sum(dim=-1) + head.project.bias
    torch.testing.assert_close(logit, expected)
