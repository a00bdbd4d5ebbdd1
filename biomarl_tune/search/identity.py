"""What a study remembers of itself: its schema, its search space as given, the versions used."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import platform
from dataclasses import asdict, dataclass, field
from typing import Any

from biomarl_tune.errors import UnsafeError
from biomarl_tune.search.directory import RunDirectory
from biomarl_tune.search.spec import SearchSpec, parse_spec

SCHEMA = 1
ATTRIBUTE = "biomarl_tune"
PACKAGES = ("biomarl-tune", "gymnasium", "numba", "numpy", "optuna", "ray", "torch")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """Kept as one attribute of the Optuna study.

    Attributes:
        spec_text: the YAML as given.
        name: of the run, which need not be the YAML's.
        seed: of the search, which need not be the YAML's.
        spec_sha256: of the YAML.
        schema: of the record.
        versions: of Python and the packages that results depend on.
        trials: asked for in all, once the search was extended.
        minutes: of the budget, once the search was extended.
    """

    spec_text: str
    name: str
    seed: int
    spec_sha256: str
    schema: int = SCHEMA
    versions: dict[str, str] = field(default_factory=dict)
    trials: int | None = None
    minutes: float | None = None

    def spec(self) -> SearchSpec:
        """Return the search space, as far as it was extended."""
        spec = parse_spec(self.spec_text, "spec.yaml", name=self.name, seed=self.seed)
        if self.trials is None:
            return spec
        search = spec.search.model_copy(update={"trials": self.trials})
        budget = spec.budget.model_copy(update={"minutes": self.minutes})
        return spec.model_copy(update={"search": search, "budget": budget})


def identity_of(spec: SearchSpec, text: str) -> dict[str, Any]:
    """Return the attribute of a new study."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return asdict(Identity(text, spec.name, spec.seed, sha256, versions=_versions()))


def identity_from(attributes: dict[str, Any], directory: RunDirectory) -> Identity:
    """Read a study's attribute.

    Raises:
        UnsafeError: the study is not ours, or was written by a newer version.
    """
    found = attributes.get(ATTRIBUTE)
    if not isinstance(found, dict):
        msg = f"{directory.database}: is no study of biomarl-tune; give another run directory"
        raise UnsafeError(msg)
    if found["schema"] > SCHEMA:
        msg = (
            f"{directory.database}: has schema {found['schema']}, this version knows {SCHEMA}; "
            "install the newer biomarl-tune"
        )
        raise UnsafeError(msg)
    return Identity(**found)


def check_unchanged(identity: Identity, directory: RunDirectory) -> None:
    """Refuse to go on with another search space than the study's; warn of other versions.

    Raises:
        UnsafeError: spec.yaml is not what the search began with.
    """
    try:
        sha256 = hashlib.sha256(directory.spec.read_bytes()).hexdigest()
    except OSError as error:
        msg = f"{directory.spec}: cannot be read ({error.strerror}); restore it from a copy"
        raise UnsafeError(msg) from None
    if sha256 != identity.spec_sha256:
        msg = (
            f"{directory.spec}: was changed since the search began; restore it, take the change "
            f"over with `biomarl-tune extend {directory.path}`, or start another search"
        )
        raise UnsafeError(msg)
    for name, version in _versions().items():
        before = identity.versions.get(name, version)
        if before != version:
            _log.warning("the search began with %s %s and goes on with %s", name, before, version)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
