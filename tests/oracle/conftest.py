"""The oracle as a fixture: a test folder holds no package, so the module is loaded by its path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The module `gold_oracle`."""
    spec = importlib.util.spec_from_file_location("gold_oracle", Path(__file__).with_name("gold_oracle.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
