from __future__ import annotations

from biomarl_tune.experiment import Experiment
from biomarl_tune.search.corners import corners
from biomarl_tune.search.space import Dimension

BASE = Experiment().flat()
SWITCHED = {
    "model.memory_dim": Dimension("choice", choices=(8, 16), when={"model.plasticity": True}),
    "model.plasticity": Dimension("choice", choices=(True, False)),
}


def test_corners_of_a_small_space_are_all_combinations():
    """Two choices, of which one has a condition, give three different points."""
    points = {tuple(sorted(point.items())) for point in corners(SWITCHED, BASE)}

    assert points == {
        (("model.plasticity", False),),
        (("model.memory_dim", 8), ("model.plasticity", True)),
        (("model.memory_dim", 16), ("model.plasticity", True)),
    }


def test_corners_of_a_large_space_hold_every_pair():
    """Where combinations are too many, each pair of extremes still appears in some point."""
    names = [name for name, value in BASE.items() if type(value) is float][:12]
    space = {name: Dimension("uniform", 0.25, 0.75) for name in names}

    points = list(corners(space, BASE))

    assert len(points) < 400
    for first in names:
        for second in names:
            if first != second:
                assert {(p[first], p[second]) for p in points} >= {(0.25, 0.75), (0.75, 0.75)}


def test_corners_reach_what_a_condition_hides():
    """In a large space too, a setting is looked at where it is searched."""
    names = [name for name, value in BASE.items() if type(value) is float][:12]
    space = {name: Dimension("uniform", 0.25, 0.75) for name in names} | SWITCHED

    seen = {point.get("model.memory_dim") for point in corners(space, BASE)}

    assert seen == {None, 8, 16}
