"""The oracle as fixtures: a test folder holds no package, so modules are loaded by their path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The module `gold_oracle`."""
    return _module("gold_oracle")


@pytest.fixture(scope="session")
def agreement() -> ModuleType:
    """The module `agreement`."""
    return _module("agreement")


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
