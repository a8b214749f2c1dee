"""Modules of test folders: those hold no package and, but for this one and `compose`, are not on pytest's path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    """Return the module of a file, the same one for everybody."""
    name = f"tests_{path.parent.name}_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)  # before it runs: dataclasses look it up there
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
