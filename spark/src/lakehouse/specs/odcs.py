"""The part of an Open Data Contract Standard 3.1 document that the platform takes."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakehouse.specs.kinds import Name
from lakehouse.specs.model import Severity

Scalar = bool | int | float | str


def _pattern(value: str | None) -> str | None:
    try:
        # Java's \p{…} classes are unknown to Python; all else that both refuse is a slip of the pen.
        re.compile(re.sub(r"\\[pP]\{\^?\w+\}", "x", value or ""))
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return value


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


class _Odcs(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Relationship(_Odcs):
    """A foreign key, `to: table.column`."""

    type: Literal["foreignKey"] = "foreignKey"
    to: str = Field(pattern=r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$")


class Arguments(_Odcs):
    """What a metric is told."""

    validValues: list[Scalar] = Field(default_factory=list)
    pattern: str | None = None
    missingValues: list[Scalar | None] = Field(default_factory=list)
    properties: list[Name] = Field(default_factory=list)

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        return _pattern(value)


class Quality(_Odcs):
    """One rule: a predicate of our engine (`custom`) or a metric of the standard (`library`)."""

    name: Name | None = None
    description: str | None = None
    dimension: str | None = None
    type: Literal["custom", "library"] = "library"
    engine: Literal["lakehouse"] | None = None
    implementation: str | None = None
    metric: Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"] | None = None
    arguments: Arguments = Arguments()
    unit: Literal["rows", "percent"] = "rows"
    severity: Severity = "error"
    mustBe: float | None = None
    mustNotBe: float | None = None
    mustBeGreaterThan: float | None = None
    mustBeGreaterOrEqualTo: float | None = None
    mustBeLessThan: float | None = None
    mustBeLessOrEqualTo: float | None = None
    mustBeBetween: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Quality:
        if self.type == "custom":
            if not self.implementation or not self.name or self.engine is None:
                raise ValueError("a custom rule needs name, engine: lakehouse and implementation (an SQL predicate)")
            if self.metric is not None or self.comparison is not None:
                raise ValueError("a custom rule is its implementation; metric and must… belong to type: library")
        elif self.metric is None or self.comparison is None:
            raise ValueError("a library rule needs a metric and one of mustBe, mustBeGreaterThan, …")
        elif self.implementation is not None or self.engine is not None:
            raise ValueError("engine and implementation belong to type: custom")
        if self.metric == "invalidValues" and not self.arguments.validValues and self.arguments.pattern is None:
            raise ValueError("invalidValues needs arguments: {validValues: […]} or {pattern: …}")
        return self

    @property
    def comparison(self) -> str | None:
        """Return the SQL predicate over `value` that the must… fields state."""
        operators = {
            "mustBe": "=", "mustNotBe": "<>", "mustBeGreaterThan": ">", "mustBeGreaterOrEqualTo": ">=",
            "mustBeLessThan": "<", "mustBeLessOrEqualTo": "<=",
        }  # fmt: skip
        stated = [
            f"value {sign} {_number(getattr(self, name))}"
            for name, sign in operators.items()
            if getattr(self, name) is not None
        ]
        if self.mustBeBetween is not None:
            low, high = self.mustBeBetween
            stated.append(f"value BETWEEN {_number(low)} AND {_number(high)}")
        return " AND ".join(stated) or None


class TableQuality(Quality):
    """A rule of the whole table or of several columns of a row."""

    @model_validator(mode="after")
    def _is_of_a_table(self) -> TableQuality:
        if self.metric in ("nullValues", "missingValues", "invalidValues"):
            raise ValueError(f"{self.metric} belongs under a column's quality")
        if self.metric == "duplicateValues" and not self.arguments.properties:
            raise ValueError("duplicateValues of a table needs arguments: {properties: [columns]}")
        return self


class ColumnQuality(Quality):
    """A rule of one column."""

    @model_validator(mode="after")
    def _is_of_a_column(self) -> ColumnQuality:
        if self.metric == "rowCount" or self.arguments.properties:
            raise ValueError("rowCount and arguments.properties belong under the table's quality")
        return self


class TypeOptions(_Odcs):
    """Bounds of a column's values."""

    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    exclusiveMinimum: int | float | str | None = None
    exclusiveMaximum: int | float | str | None = None
    minLength: int | None = Field(default=None, ge=0)
    maxLength: int | None = Field(default=None, ge=0)
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        return _pattern(value)


class Property(_Odcs):
    """A column."""

    name: Name
    logicalType: Literal["string", "integer", "number", "boolean", "date", "timestamp"]
    physicalType: str
    id: str | None = None
    businessName: str | None = None
    description: str | None = None
    primaryKey: bool = False
    primaryKeyPosition: int | None = None
    required: bool = False
    unique: bool = False
    classification: str | None = None
    criticalDataElement: bool = False
    examples: list[Any] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    transformLogic: str | None = None
    transformDescription: str | None = None
    transformSourceObjects: list[str] = Field(default_factory=list)
    logicalTypeOptions: TypeOptions = TypeOptions()
    relationships: list[Relationship] = Field(default_factory=list)
    quality: list[ColumnQuality] = Field(default_factory=list)


class Schema(_Odcs):
    """The one table of a contract."""

    name: Name
    logicalType: Literal["object"] = "object"
    physicalType: Literal["table"] = "table"
    physicalName: str | None = None
    businessName: str | None = None
    description: str | None = None
    dataGranularityDescription: str | None = None
    tags: list[str] = Field(default_factory=list)
    properties: list[Property] = Field(min_length=1)
    quality: list[TableQuality] = Field(default_factory=list)


class SlaProperty(_Odcs):
    """Retention, freshness and the like."""

    property: str
    value: float | str
    unit: str | None = None
    element: str | None = None
    description: str | None = None


class CustomProperty(_Odcs):
    """A property outside the standard; ours is named `lakehouse`."""

    property: str
    value: Any


class Contract(_Odcs):
    """A whole contract file."""

    apiVersion: Literal["v3.1.0"]
    kind: Literal["DataContract"]
    id: str
    name: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    status: Literal["proposed", "draft", "active", "deprecated", "retired"]
    domain: str | None = None
    dataProduct: str | None = None
    tenant: str | None = None
    tags: list[str] = Field(default_factory=list)
    description: dict[str, Any] = Field(default_factory=dict)
    team: dict[str, Any] = Field(default_factory=dict)
    roles: list[dict[str, Any]] = Field(default_factory=list)
    slaProperties: list[SlaProperty] = Field(default_factory=list)
    schema_: list[Schema] = Field(alias="schema", min_length=1, max_length=1)
    customProperties: list[CustomProperty] = Field(default_factory=list)
