"""The part of an Open Data Contract Standard 3.1 document that the platform takes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lakehouse.specs.model import Name, Severity


class _Odcs(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Relationship(_Odcs):
    """A foreign key, `to: table.column`."""

    type: Literal["foreignKey"] = "foreignKey"
    to: str = Field(pattern=r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$")


class Quality(_Odcs):
    """One rule: a predicate of our engine (`custom`) or a metric of the standard (`library`)."""

    name: Name | None = None
    description: str | None = None
    dimension: str | None = None
    type: Literal["custom", "library"] = "library"
    engine: Literal["lakehouse"] | None = None
    implementation: str | None = None
    metric: Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"] | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
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
        if self.type == "custom" and (not self.implementation or not self.name or self.engine is None):
            raise ValueError("a custom rule needs name, engine: lakehouse and implementation (an SQL predicate)")
        if self.type == "library" and (self.metric is None or self.comparison is None):
            raise ValueError("a library rule needs a metric and one of mustBe, mustBeGreaterThan, …")
        return self

    @property
    def comparison(self) -> str | None:
        """Return the SQL predicate over `value` that the must… fields state."""
        operators = {
            "mustBe": "=", "mustNotBe": "<>", "mustBeGreaterThan": ">", "mustBeGreaterOrEqualTo": ">=",
            "mustBeLessThan": "<", "mustBeLessOrEqualTo": "<=",
        }  # fmt: skip
        stated = [
            f"value {sign} {getattr(self, name):g}"
            for name, sign in operators.items()
            if getattr(self, name) is not None
        ]
        if self.mustBeBetween is not None:
            stated.append(f"value BETWEEN {self.mustBeBetween[0]:g} AND {self.mustBeBetween[1]:g}")
        return " AND ".join(stated) or None


class Property(_Odcs):
    """A column."""

    name: Name
    logicalType: str
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
    logicalTypeOptions: dict[str, Any] = Field(default_factory=dict)
    relationships: list[Relationship] = Field(default_factory=list)
    quality: list[Quality] = Field(default_factory=list)


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
    quality: list[Quality] = Field(default_factory=list)


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
