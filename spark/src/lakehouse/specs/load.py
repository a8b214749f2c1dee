"""Loading a folder of specs: every good table, and every problem with file, line, what was read and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from lakehouse.errors import SpecError, did_you_mean
from lakehouse.specs.lint import lint_catalog, lint_table
from lakehouse.specs.model import Gold, Layer, Silver, Table
from lakehouse.specs.odcs import Contract
from lakehouse.specs.pipeline import Pipeline
from lakehouse.specs.problem import Problem
from lakehouse.specs.table import build_table
from lakehouse.specs.yaml_source import Location, YamlDocument, YamlProblem, read_yaml

_GOLD: TypeAdapter[Gold] = TypeAdapter(Gold)


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
    """Load one pipeline folder; a broken table never hides a good one. A broken pipeline.yaml raises SpecError."""
    catalog = Catalog(load_pipeline(folder), folder)
    for layer in (Layer.SILVER, Layer.GOLD):
        for path in sorted((folder / layer).glob("*.odcs.yaml")):
            table, problems = load_table(path, catalog.pipeline.name, layer)
            catalog.problems += problems
            if table is not None and not problems:
                catalog.tables[table.full_name] = table
    for name, problem in lint_catalog(catalog.tables):
        catalog.problems.append(problem)
        catalog.tables.pop(name, None)
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
        problems = [str(problem) for problem in _explained(error, path, document, (), Pipeline)]
        raise SpecError("\n".join(problems)) from None
    if pipeline.name != folder.name:
        raise SpecError(f'the pipeline is named "{pipeline.name}" in the folder "{folder.name}".', where=f"{path}:1")
    return pipeline


def load_table(path: Path, pipeline: str, layer: Layer) -> tuple[Table | None, list[Problem]]:
    """Load one contract; returns the table if it can be built, and every problem found."""
    try:
        document = read_yaml(path)
    except YamlProblem as problem:
        return None, [Problem(path, problem.line, problem.message)]
    try:
        contract = Contract.model_validate(document.data)
    except ValidationError as error:
        return None, list(_explained(error, path, document, (), Contract))
    at, value = _own_block(contract)
    try:
        block = Silver.model_validate(value) if layer is Layer.SILVER else _GOLD.validate_python(value)
    except ValidationError as error:
        return None, list(_explained(error, path, document, at, Silver if layer is Layer.SILVER else None))
    table = build_table(contract, block, document, path, pipeline, layer, at)
    return table, lint_table(table, contract)


def _own_block(contract: Contract) -> tuple[Location, object]:
    for index, item in enumerate(contract.customProperties):
        if item.property == "lakehouse":
            return ("customProperties", index, "value"), item.value
    return ("customProperties",), {}


def _explained(
    error: ValidationError, path: Path, document: YamlDocument, prefix: Location, model: type[BaseModel] | None
) -> Iterator[Problem]:
    for item in error.errors(include_url=False):
        # A discriminated union puts the chosen kind into the location; the file has no such level.
        location = tuple(part for part in item["loc"] if part not in ("scd2", "incremental", "full"))
        read = "" if isinstance(item["input"], dict | list) else f' Read: "{item["input"]}".'
        name, hint = ".".join(str(part) for part in location), ""
        if item["type"] == "extra_forbidden":
            read, hint = "", did_you_mean(str(location[-1]), _fields(model, location))
        message = item["msg"].removeprefix("Value error, ")
        yield Problem(path, document.line((*prefix, *location)), f"{name}: {message}.{read}{hint}".replace("..", "."))


def _fields(model: type[BaseModel] | None, location: Location) -> list[str]:
    """Return the names allowed where `location` ends, as far as the model tells."""
    if model is None:
        from lakehouse.specs.model import Full, Incremental, Scd2

        return [name for kind in (Scd2, Incremental, Full) for name in kind.model_fields]
    for part in location[:-1]:
        field_ = (
            next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
            if isinstance(part, str)
            else None
        )
        if field_ is not None:
            nested = [
                arg for arg in (field_.annotation, *getattr(field_.annotation, "__args__", ())) if isinstance(arg, type)
            ]
            model = next((arg for arg in nested if issubclass(arg, BaseModel)), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def in_order(tables: dict[str, Table]) -> list[Table]:
    """Return the tables so that each stands after those it reads; cycles have been refused by the lint."""
    ordered: dict[str, Table] = {}

    def visit(table: Table, above: frozenset[str]) -> None:
        if table.full_name in ordered or table.full_name in above:
            return
        for name in table.inputs:
            for layer in (table.layer, Layer.SILVER):
                found = tables.get(f"{table.pipeline}.{layer}.{name}")
                if found is not None:
                    visit(found, above | {table.full_name})
                    break
        ordered[table.full_name] = table

    for table in sorted(tables.values(), key=lambda table: (table.layer != Layer.SILVER, table.name)):
        visit(table, frozenset())
    return list(ordered.values())
