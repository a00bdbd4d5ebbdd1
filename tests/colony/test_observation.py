import numpy as np

from biomarl_tune.colony import observation


def test_columns_are_named_once_each():
    """Every one of the 12 columns has a name of its own and belongs to one part."""
    scent = list(range(observation.NUM_COLUMNS))[observation.SCENT]

    assert len(set(observation.COLUMN_NAMES)) == observation.NUM_COLUMNS
    assert sorted([*scent, *observation.NO_SCENT]) == list(range(observation.NUM_COLUMNS))
    assert observation.COLUMN_NAMES[observation.CARRYING] == "carrying"
    assert observation.COLUMN_NAMES[observation.CROWD] == "crowd"


def test_write_observation_fills_every_column():
    """Position, scents, load and crowd land in their columns."""
    out = np.full((1, 2, observation.NUM_COLUMNS), np.nan, dtype=np.float32)

    observation.write_observation(
        out,
        position=np.array([[[-1, 0, 1], [1, 1, 1]]], dtype=np.float32),
        scents=np.arange(14, dtype=np.float32).reshape(1, 2, 7),
        carrying=np.array([[True, False]]),
        crowd=np.array([[0.5, 0.25]], dtype=np.float32),
    )

    assert out[0].tolist() == [
        [-1, 0, 1, 0, 1, 2, 3, 4, 5, 6, 1, 0.5],
        [1, 1, 1, 7, 8, 9, 10, 11, 12, 13, 0, 0.25],
    ]
