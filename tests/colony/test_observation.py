import numpy as np

from biomarl_tune.colony import observation


def test_columns_are_named_once_each():
    """Every one of the 12 columns has a name of its own and belongs to one part."""
    scent = list(range(observation.NUM_COLUMNS))[observation.SCENT]

    assert len(set(observation.COLUMN_NAMES)) == observation.NUM_COLUMNS
    assert sorted([*scent, *observation.NO_SCENT]) == list(range(observation.NUM_COLUMNS))
    assert observation.COLUMN_NAMES[observation.CARRYING] == "carrying"
    assert observation.COLUMN_NAMES[observation.CROWD] == "crowd"


def test_every_column_is_filled():
    """Of two agents in a row of three cells the second smells its own cell and the last one."""
    out = np.full((1, 3, observation.NUM_COLUMNS), np.nan, dtype=np.float32)
    position = np.array([[-1, 0, 0], [0, 0.5, 0], [1, 0, 0]], dtype=np.float32)
    moves = np.array([[0, 1, 0, 0, 0, 0, 0], [1, 2, 0, 1, 1, 1, 1], [2, 2, 1, 2, 2, 2, 2]])
    near = np.array([[0, 1, 3], [0, 1, 2], [1, 2, 3]])  # 3 is no cell

    observation.observe(
        out,
        np.array([[0, 1, 2]]),
        np.array([[False, True, False]]),
        np.array([[2, 4, 8]], dtype=np.float32),
        position,
        moves,
        near,
    )

    assert out[0].tolist() == [
        [-1, 0, 0, 2, 4, 2, 2, 2, 2, 2, 0, 0.5],
        [0, 0.5, 0, 4, 8, 2, 4, 4, 4, 4, 1, 1],
        [1, 0, 0, 8, 8, 4, 8, 8, 8, 8, 0, 0.5],
    ]
