"""Loading a folder of specs: every good table, and every problem with file, line, what was read and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lakehouse.errors import SpecError, did_you_mean
from lakehouse.specs.explain import explained
from lakehouse.specs.lint import find_input, lint_catalog, lint_table
from lakehouse.specs.model import Gold, Layer, Silver, Table
from lakehouse.specs.odcs import Contract
from lakehouse.specs.pipeline import Pipeline
from lakehouse.specs.problem import Problem
from lakehouse.specs.table import build_table
from lakehouse.specs.yaml_source import Location, YamlProblem, read_text, read_yaml

_GOLD: TypeAdapter[Gold] = TypeAdapter(Gold)
CONTRACT = ".odcs.yaml"


@dataclass
class Catalog:
    """A pipeline's good tables by layer and name, and what is wrong with the others."""

    pipeline: Pipeline
    folder: Path
    tables: dict[str, Table] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def layer(self, layer: Layer) -> list[Table]:
        """Return a layer's tables, each after the tables it reads."""
        return [table for table in in_order(self.tables) if table.layer is layer]

    def table(self, name: str) -> Table:
        """Return a table by its full or short name; raises SpecError with the nearest known name."""
        for table in self.tables.values():
            if name in (table.full_name, f"{table.layer}.{table.name}", table.name):
                return table
        raise SpecError(
            f'No table is named "{name}".{did_you_mean(name, self.tables)}', allowed=", ".join(sorted(self.tables))
        )

    def need_sound(self) -> None:
        """Raise SpecError naming every problem, if there is any."""
        if self.problems:
            raise SpecError(
                "\n".join(str(problem) for problem in self.problems), remedy="`lakehouse validate` lists them."
            )


def load_catalog(folder: Path) -> Catalog:
    """Load one pipeline folder; a broken table never hides a good one. A broken pipeline.yaml raises SpecError.

    A table that reads a broken one is broken too: it cannot be brought up to date.
    """
    catalog = Catalog(load_pipeline(folder), folder)
    broken: set[str] = set()
    for layer in (Layer.SILVER, Layer.GOLD):
        catalog.problems += _strays(folder / layer)
        for path in sorted((folder / layer).glob(f"*{CONTRACT}")):
            table, problems = load_table(path, catalog.pipeline.name, layer)
            catalog.problems += problems
            if table is not None and not problems:
                catalog.tables[table.full_name] = table
            else:
                broken.add(f"{catalog.pipeline.name}.{layer}.{path.name.removesuffix(CONTRACT)}")
    while found := lint_catalog(catalog.tables, broken):
        catalog.problems += [problem for _, problem in found]
        for name, _ in found:
            catalog.tables.pop(name, None)
            broken.add(name)
    return catalog


def load_pipeline(folder: Path) -> Pipeline:
    """Load `pipeline.yaml` of a folder."""
    path = folder / "pipeline.yaml"
    try:
        document = read_yaml(path)
        pipeline = Pipeline.model_validate(document.data)
    except FileNotFoundError:
        raise SpecError("there is no pipeline.yaml here.", where=str(folder)) from None
    except YamlProblem as problem:
        raise SpecError(problem.message, where=f"{path}:{problem.line}") from None
    except ValidationError as error:
        problems = [str(problem) for problem in explained(error, path, document, (), Pipeline)]
        raise SpecError("\n".join(problems)) from None
    if pipeline.name != folder.name:
        raise SpecError(f'the pipeline is named "{pipeline.name}" in the folder "{folder.name}".', where=f"{path}:1")
    return pipeline


def load_table(path: Path, pipeline: str, layer: Layer) -> tuple[Table | None, list[Problem]]:
    """Load one contract; returns the table if it can be built, and every problem found."""
    try:
        document = read_yaml(path)
        contract = Contract.model_validate(document.data)
    except YamlProblem as problem:
        return None, [Problem(path, problem.line, problem.message)]
    except OSError as error:
        return None, [Problem(path, 1, f"cannot be read: {error.strerror}.")]
    except ValidationError as error:
        return None, list(explained(error, path, document, (), Contract))
    at, value = _own_block(contract)
    try:
        block = Silver.model_validate(value) if layer is Layer.SILVER else _GOLD.validate_python(value)
    except ValidationError as error:
        return None, list(explained(error, path, document, at, Silver if layer is Layer.SILVER else None))
    sql_path = path.with_name(path.name.removesuffix(CONTRACT) + ".sql")
    try:
        sql = read_text(sql_path) if layer is Layer.GOLD and sql_path.is_file() else None
    except YamlProblem as problem:
        return None, [Problem(sql_path, problem.line, problem.message)]
    table = build_table(contract, block, document, path, pipeline, layer, at, sql)
    return table, lint_table(table, contract)


def _own_block(contract: Contract) -> tuple[Location, object]:
    for index, item in enumerate(contract.customProperties):
        if item.property == "lakehouse":
            return ("customProperties", index, "value"), item.value
    return ("customProperties",), {}


def _strays(folder: Path) -> Iterator[Problem]:
    """Yield files that look like specs and would be passed over in silence."""
    for path in sorted(folder.glob("*")):
        if path.suffix in (".yaml", ".yml") and not path.name.endswith(CONTRACT):
            yield Problem(path, 1, f"is not read; a contract's file is named <table>{CONTRACT}.")
        if path.suffix == ".sql" and not path.with_name(path.stem + CONTRACT).exists():
            yield Problem(path, 1, f"has no contract beside it; {path.stem}{CONTRACT} is missing.")


def in_order(tables: dict[str, Table]) -> list[Table]:
    """Return the tables so that each stands after those it reads; cycles have been refused by the lint."""
    ordered: dict[str, Table] = {}

    def visit(table: Table, above: frozenset[str]) -> None:
        if table.full_name in ordered or table.full_name in above:
            return
        for name in table.inputs:
            other = find_input(tables, table, name)
            if other is not None:
                visit(other, above | {table.full_name})
        ordered[table.full_name] = table

    for table in sorted(tables.values(), key=lambda table: (table.layer != Layer.SILVER, table.name)):
        visit(table, frozenset())
    return list(ordered.values())
