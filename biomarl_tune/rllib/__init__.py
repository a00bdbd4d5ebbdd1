"""Adapters to Ray RLlib.

Importing RLlib makes more than a million objects that all stay; looking for garbage among them
takes a third of the time, so it waits until they are there, and leaves them out from then on.
"""

import gc

gc.disable()
try:
    import ray.rllib.algorithms.ppo.torch.ppo_torch_learner
    import ray.tune  # noqa: F401
finally:
    gc.enable()
    gc.freeze()
