"""The plain twin of the colony."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def plain_colony():
    """The class of plain.py, beside this file."""
    path = Path(__file__).with_name("plain.py")
    spec = importlib.util.spec_from_file_location("plain", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PlainColony
