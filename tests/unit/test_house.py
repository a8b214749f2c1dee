"""The rules of the house that no other tool holds."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "spark" / "src" / "lakehouse"
MODULES = sorted(PACKAGE.rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEAVY = {"pyspark", "delta", "pandas", "airflow"}


@pytest.mark.parametrize("folder", ["airflow", "kafka", "spark", "tests", "bench", "warehouse"])
def test_no_top_level_folder_is_a_package(folder):
    found = [p for p in (ROOT / folder).rglob("__init__.py") if not p.is_relative_to(PACKAGE)]
    assert [p for p in found if p.parent == ROOT / folder] == []


def test_tests_are_no_packages_and_none_is_configured_from_the_root():
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert not (ROOT / "conftest.py").exists()


def test_pytest_imports_by_file_and_what_it_adds_to_the_path_hides_no_package():
    options = PYPROJECT["tool"]["pytest"]["ini_options"]
    assert "--import-mode=importlib" in options["addopts"]
    added = {module.stem for folder in options["pythonpath"] for module in (ROOT / folder).glob("*.py")}
    assert "modules" in added
    assert not added & (set(sys.stdlib_module_names) | set(packages_distributions()))


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", ".ci/daily"])
def test_python_is_started_without_the_current_folder(path):
    assert re.search(r"^export PYTHONSAFEPATH ?:?= ?1$", (ROOT / path).read_text(), re.MULTILINE)


def test_from_the_root_the_packages_win_over_the_folders_of_the_same_name():
    """`airflow/` and `kafka/` lie in the current folder; what is imported must be what is installed."""
    code = "import json, importlib.util as u; print(json.dumps([u.find_spec(n).origin for n in ('airflow', 'kafka')]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all("site-packages" in origin for origin in json.loads(done.stdout))


def test_every_test_is_in_one_of_the_parts_that_run_side_by_side():
    """`make test-stack` looks for its mark in two folders alone: to collect all the others takes seconds."""
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if re.search(r"\bmark\.stack\b", path.read_text())]
    assert {path.parent.name for path in marked} == {"stack", "compose"}


def imports(module: Path) -> set[str]:
    """Top names of all imports of a module, also of those inside functions."""
    tree = ast.walk(ast.parse(module.read_text()))
    names = [
        name
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    ]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_only_the_engine_imports_spark(module):
    allowed = {"pyspark", "delta"} if module.is_relative_to(PACKAGE / "engine") else set()
    assert imports(module) & {"pyspark", "delta"} <= allowed


@pytest.mark.parametrize(
    "name",
    [
        "errors",
        "settings",
        "settings_example",
        "specs",
        "audit",
        "alerts.courier",
        "source",
        "publish",
        "serving.app",
        "serving.mount",
        "stack.up",
        "stack.doctor",
    ],
)
def test_what_is_light_stays_light(name):
    """In a fresh interpreter, importing a light part brings none of the heavy packages with it."""
    code = f"import sys, lakehouse.{name}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_modules_and_functions_stay_short(module):
    text = module.read_text()
    assert len(text.splitlines()) <= 300
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= 50] == []


def test_no_module_is_named_for_nothing():
    assert [m for m in MODULES if re.fullmatch(r"(utils?|helpers?|common|misc)", m.stem)] == []
