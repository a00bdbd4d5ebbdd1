"""How the objective depends on each setting, and which of its values are as good as the best.

A Gaussian process with one length scale a setting and a noise term is fitted to trials of equal
budget (Rasmussen and Williams 2006, ch. 2 and 5). Partial dependence (Friedman 2001) is the mean of
its prediction over the trials' other settings: a linear functional, so its posterior is Gaussian
with a covariance in closed form, and so is the difference between any two values of a setting.

Letters: n trials, G values of a setting on a grid, D settings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from biomarl_tune.analysis.sensitivity import Sample
from biomarl_tune.analysis.statistics import Floats
from biomarl_tune.search.space import Dimension, plain

_GRID = 41
_MOST_TRIALS = 400  # a fit is cubic in them; the newest are taken
_Z = 1.96


@dataclass(frozen=True)
class Dependence:
    """Partial dependence of the objective on one setting."""

    setting: str
    values: list[Any]  # [G] of the setting: a grid over its range, or its choices
    mean: Floats  # [G] the objective, averaged over the other settings of the trials
    low: Floats  # [G] 95 % interval
    high: Floats  # [G]
    best: int  # index of the best value
    as_good: NDArray[np.bool_]  # [G] cannot be told from the best value
    is_range: bool

    @property
    def band(self) -> str:
        """Name the values within noise of the best, e.g. ``0.42-0.71``."""
        if not self.is_range:
            return ", ".join(
                _shown(v) for v, good in zip(self.values, self.as_good, strict=True) if good
            )
        parts = []
        for run in _runs(self.as_good):
            ends = dict.fromkeys(_shown(self.values[i]) for i in (run[0], run[-1]))
            parts.append("-".join(ends))
        return ", ".join(parts)

    @property
    def is_flat(self) -> bool:
        """Whether no value can be told from the best."""
        return bool(self.as_good.all())


@dataclass(frozen=True)
class _Surrogate:
    """A fitted process; inputs are scaled to [0, 1], a choice is one column an option."""

    inputs: list[Floats]  # for each setting [n, 1] or [n, options]
    factor: Any  # Cholesky factor of the covariance of the observations
    weights: Floats  # [n] its inverse times the scaled observations
    scales: list[float]  # length scale of each setting
    signal: float  # prior variance
    centre: float  # of the objective
    spread: float


def dependences(sample: Sample) -> list[Dependence]:
    """Return the partial dependence on each setting, for trials of equal budget.

    Args:
        sample: enough trials.
    """
    names = list(sample.space)
    settings = sample.settings.iloc[-_MOST_TRIALS:]
    inputs = [encode(sample.space[name], list(settings[name])) for name in names]
    surrogate = _fit(inputs, sample.values.to_numpy(dtype=np.float64)[-_MOST_TRIALS:])
    return [
        _dependence(
            surrogate, index, name, sample.space[name], sign=1.0 if sample.mode == "max" else -1.0
        )
        for index, name in enumerate(names)
    ]


def dependence_lines(found: list[Dependence], sample: Sample) -> list[str]:
    """Say in words which values of each setting are as good as the best.

    Args:
        found: as ``dependences`` returns them.
        sample: the trials they were fitted to.
    """
    when = "" if sample.is_final else f"at iteration {sample.iterations}, "
    lines = []
    for dependence in found:
        best = _shown(dependence.values[dependence.best])
        if dependence.is_flat:
            lines.append(
                f"{dependence.setting}: {when}no value can be told from the best ({best})."
            )
        elif dependence.as_good.sum() == 1:
            lines.append(f"{dependence.setting}: {when}{best} is better than every other value.")
        else:
            lines.append(
                f"{dependence.setting}: {when}{dependence.band} is as good as the best value, "
                f"{best}."
            )
    return lines


def encode(dimension: Dimension, values: list[Any]) -> Floats:
    """Scale values of a setting for the process: [n, 1] for a range, [n, options] for a choice."""
    if dimension.kind == "choice":
        options = [plain(choice) for choice in dimension.choices]
        return np.array([[float(v == option) for option in options] for v in values])
    bend = np.log if dimension.log else np.asarray
    low, high = bend(float(dimension.low)), bend(float(dimension.high))
    scaled = (bend(np.asarray(values, dtype=np.float64)) - low) / (high - low)
    return np.asarray(scaled)[:, None]


def _fit(inputs: list[Floats], values: Floats) -> _Surrogate:
    """Choose the length scales and the noise by maximum likelihood."""
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    scaled = (values - centre) / spread
    columns = np.hstack(inputs)
    owner = np.repeat(np.arange(len(inputs)), [x.shape[1] for x in inputs])
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * RBF(
        np.full(len(owner), 0.5), (0.08, 20.0)
    ) + WhiteKernel(0.1, (0.02, 2.0))
    process = GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(columns, scaled)
    fitted = process.kernel_
    lengths = np.asarray(fitted.k1.k2.length_scale).reshape(-1)
    # the options of a choice share one scale, so that none stands nearer to another
    scales = [float(np.exp(np.log(lengths[owner == i]).mean())) for i in range(len(inputs))]
    signal, noise = float(fitted.k1.k1.constant_value), float(fitted.k2.noise_level)
    covariance = signal * np.prod(
        [_kernel(x, x, s) for x, s in zip(inputs, scales, strict=True)], axis=0
    )
    factor = linalg.cho_factor(covariance + noise * np.eye(len(scaled)), lower=True)
    weights = linalg.cho_solve(factor, scaled)
    return _Surrogate(inputs, factor, weights, scales, signal, centre, spread)


def _dependence(
    surrogate: _Surrogate, index: int, name: str, dimension: Dimension, *, sign: float
) -> Dependence:
    values = _grid(dimension)
    mean, covariance = _partial(surrogate, index, encode(dimension, values))
    best = int(np.argmax(sign * mean))
    variance = np.diag(covariance)
    apart = np.maximum(variance + variance[best] - 2 * covariance[best], 0.0)
    half = _Z * np.sqrt(np.maximum(variance, 0.0))
    return Dependence(
        setting=name,
        values=values,
        mean=mean,
        low=mean - half,
        high=mean + half,
        best=best,
        as_good=np.abs(mean[best] - mean) <= _Z * np.sqrt(apart) + 1e-9,
        is_range=dimension.kind != "choice",
    )


def _partial(surrogate: _Surrogate, index: int, grid: Floats) -> tuple[Floats, Floats]:
    """Return the mean [G] and covariance [G, G] of the partial dependence on one setting.

    The kernel is a product over settings, so averages over the trials' other settings factor out.
    """
    own, scale = surrogate.inputs[index], surrogate.scales[index]
    others = [
        _kernel(x, x, s)
        for i, (x, s) in enumerate(zip(surrogate.inputs, surrogate.scales, strict=True))
        if i != index
    ]
    rest = np.prod(others, axis=0) if others else np.ones((len(own), len(own)))  # [n, n]
    to_trials = surrogate.signal * _kernel(grid, own, scale) * rest.mean(axis=0)  # [G, n]
    prior = surrogate.signal * _kernel(grid, grid, scale) * rest.mean()  # [G, G]
    mean = surrogate.centre + surrogate.spread * (to_trials @ surrogate.weights)
    explained = to_trials @ linalg.cho_solve(surrogate.factor, to_trials.T)
    return mean, surrogate.spread**2 * (prior - explained)


def _kernel(x: Floats, y: Floats, scale: float) -> Floats:
    """Return the squared-exponential kernel of [n, k] and [m, k]: [n, m]."""
    squared = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
    return np.asarray(np.exp(-0.5 * squared / scale**2))


def _grid(dimension: Dimension) -> list[Any]:
    if dimension.kind == "choice":
        return [plain(choice) for choice in dimension.choices]
    space = np.geomspace if dimension.log else np.linspace
    values = space(dimension.low, dimension.high, _GRID)
    if dimension.kind in {"int", "logint"}:
        return sorted({round(float(v)) for v in values})
    return [float(v) for v in values]


def _runs(flags: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the indices of each unbroken stretch of true flags."""
    indices = np.flatnonzero(flags)
    return [run for run in np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1) if run.size]


def _shown(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
