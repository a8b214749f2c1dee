"""The oracle as fixtures."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from modules import load


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The module `gold_oracle`."""
    return load(Path(__file__).with_name("gold_oracle.py"))


@pytest.fixture(scope="session")
def agreement() -> ModuleType:
    """The module `agreement`."""
    return load(Path(__file__).with_name("agreement.py"))
