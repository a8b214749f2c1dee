"""A table as its contract says it: columns, rules, and how the platform brings it up to date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lakehouse.errors import SpecError
from lakehouse.specs.fields import Duration, Name, Share, SourceTable, Topic, Zone


class Layer(StrEnum):
    """Where a table stands between the source and its readers."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


Severity = Literal["error", "warning"]
# A Silver table's own columns beside the contract's: fields of events that the contract does not name, as JSON.
RESCUED = "_rescued"
# Between pipeline and table in the name of a stream's run.
STREAM = ".stream."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reference(_Strict):
    """Columns taken over from another Silver table by a key: `on` is here, `key` there."""

    table: Name
    on: Name
    key: Name
    columns: dict[Name, Name] = Field(min_length=1, description="Column here: column there.")


class Stream(_Strict):
    """A topic whose events a Silver table takes in beside its source: JSON objects with the contract's columns."""

    topic: Topic
    key: Name = Field(description="Column that the message key holds; a tombstone has the key's others as headers.")
    tombstones: Literal["delete", "ignore"] = Field(default="ignore", description="What an event without value means.")


class Silver(_Strict):
    """How a Silver table is fed; each field's default is the careful choice."""

    source: SourceTable = Field(description="schema.table in the pipeline's source database.")
    watermark: Name = Field(description="Source column that says when a row last changed.")
    lag: Duration = Field(default=timedelta(), description="Stretch before the last horizon that is read again.")
    on_null_watermark: Literal["quarantine", "include", "fail"] = "quarantine"
    on_future_watermark: Literal["hold", "fail"] = Field(
        default="hold", description="hold: a row stamped after the horizon waits until the horizon passes it, counted."
    )
    latest_by: list[Name] = Field(min_length=1, description="Columns that order versions of one key, newest last.")
    deletes: Literal["none", "soft", "key-scan"] = "none"
    deleted_flag: Name | None = Field(default=None, description="Boolean source column, for deletes: soft.")
    schema_change: Literal["evolve", "freeze"] = "evolve"
    quarantine_limit: Share = Field(default=0.05, description="Share of a run's rows that may be rejected.")
    quarantine_floor: int = Field(default=0, ge=0, description="Rejects up to this many never stop a run.")
    orphans: dict[Name, Severity] = Field(default_factory=dict, description="Severity by column; error unless said.")
    history: bool = Field(default=False, description="Keep every valid change, for SCD2 tables to be made from.")
    references: list[Reference] = Field(default_factory=list)
    stream: Stream | None = Field(default=None, description="A topic that feeds the table too.")
    timezone: Zone = Field(default="UTC", description="Zone of the source's timestamps that carry none.")
    fetch_size: int = Field(default=10_000, ge=1, le=1_000_000)
    rows_per_partition: int = Field(default=250_000, ge=1_000, description="A larger read is split.")


class Lookup(_Strict):
    """A dimension's surrogate key at the fact's own time."""

    dimension: Name
    on: dict[Name, Name] = Field(min_length=1, description="Dimension column: fact column.")
    at: Name | None = Field(default=None, description="Fact column with the event's time, for SCD2 dimensions.")
    surrogate: Name = Field(description="Name of the key, in the dimension and in the fact.")


class Input(_Strict):
    """How a changed row of an input finds the keys to rebuild."""

    column: Name = Field(description="Column of the input that holds the key, or that `through` is joined by.")
    through: Name | None = Field(default=None, description="Input whose rows lead from `column` to the key.")


class Scd2(_Strict):
    """A slowly changing dimension of type 2, as a function of the set of changes."""

    kind: Literal["scd2"]
    changes_of: Name = Field(description="Silver table with history: true.")
    key: list[Name] = Field(min_length=1)
    sequence_by: list[Name] = Field(min_length=1, description="Change time first, then tie-breakers.")
    untracked: list[Name] = Field(default_factory=list, description="Columns whose change makes no version.")
    deletes: Literal["close", "record", "ignore"] = "close"
    first_version: Literal["open", "at_change"] = "open"
    surrogate: Name


class Incremental(_Strict):
    """A table rebuilt for the keys that changed: facts and features."""

    kind: Literal["incremental"]
    rebuild_by: Name = Field(description="Output column that says which rows are made anew together.")
    inputs: dict[Name, Input] = Field(min_length=1)
    reads: list[Name] = Field(default_factory=list, description="Tables read whole, whose changes rebuild nothing.")
    whole_by: list[Name] = Field(default_factory=list, description="Tables read whole, whose changes rebuild all rows.")
    lookups: list[Lookup] = Field(default_factory=list)

    @property
    def read_whole(self) -> list[str]:
        """Return the tables that the SQL reads whole, whatever keys are rebuilt."""
        return [*self.reads, *self.whole_by]


class Full(_Strict):
    """A table computed whole when an input has changed; only rows that differ are written."""

    kind: Literal["full"]
    inputs: list[Name] = Field(default_factory=list)
    seeds: list[Name] = Field(default_factory=list, description="Names of CSV files in the pipeline's seeds folder.")
    surrogate: Name | None = None


Gold = Annotated[Scd2 | Incremental | Full, Field(discriminator="kind")]


@dataclass(frozen=True)
class Column:
    """One column: Spark SQL type, place in the key, and the expression it is derived by, if any."""

    name: str
    type: str
    required: bool = False
    key_position: int | None = None
    expression: str | None = None
    classification: str | None = None
    description: str = ""


@dataclass(frozen=True)
class RowRule:
    """A predicate that a row must make true; NULL is not true."""

    name: str
    column: str | None
    predicate: str
    severity: Severity


@dataclass(frozen=True)
class ForeignKey:
    """A column whose value must exist as a key of another Silver table."""

    column: str
    table: str
    key: str
    severity: Severity

    @property
    def name(self) -> str:
        """Return the rule's name, such as `orphan_customer_id`."""
        return f"orphan_{self.column}"


@dataclass(frozen=True)
class Check:
    """A table-level check: an aggregate expression and the predicate on its value, called `value`."""

    name: str
    expression: str
    predicate: str
    severity: Severity


@dataclass(frozen=True)
class Table:
    """A table of the lake: its contract, and how it is brought up to date."""

    pipeline: str
    layer: Layer
    name: str
    version: str
    owner: str
    path: Path
    columns: tuple[Column, ...]
    block: Silver | Scd2 | Incremental | Full
    rules: tuple[RowRule, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    sql: str | None = None
    retention: timedelta | None = None
    freshness: timedelta | None = None
    description: str = ""
    lines: dict[str, int] = field(default_factory=dict, compare=False)

    @property
    def full_name(self) -> str:
        """Return the one name of the table, such as `olist.silver.orders`."""
        return f"{self.pipeline}.{self.layer}.{self.name}"

    @property
    def stream_name(self) -> str:
        """Return what a run of the table's stream is called in the audit, such as `olist.stream.orders`."""
        return f"{self.pipeline}{STREAM}{self.name}"

    @property
    def key(self) -> tuple[str, ...]:
        """Return the key columns in their declared order."""
        keyed = [column for column in self.columns if column.key_position is not None]
        return tuple(column.name for column in sorted(keyed, key=lambda column: column.key_position or 0))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the contract's column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def technical_columns(self) -> tuple[str, ...]:
        """Return the columns that a Silver table has beside the contract's."""
        if not isinstance(self.block, Silver):
            return ()
        return ("_ingested_at", "_run_id", "_hash", *((RESCUED,) if self.block.stream else ()))

    def need_stream(self) -> tuple[Silver, Stream]:
        """Return a Silver table's block and its stream; raises SpecError for a table that no topic feeds."""
        if isinstance(self.block, Silver) and self.block.stream is not None:
            return self.block, self.block.stream
        raise SpecError("no topic feeds this table.", where=self.full_name, remedy="say `stream:` in its contract.")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the tables that must be up to date before this one."""
        match self.block:
            case Silver():
                return _distinct(
                    [key.table for key in self.foreign_keys] + [ref.table for ref in self.block.references], self.name
                )
            case Scd2():
                return (self.block.changes_of,)
            case Incremental():
                dimensions = [lookup.dimension for lookup in self.block.lookups]
                return _distinct([*self.block.inputs, *self.block.read_whole, *dimensions])
            case Full():
                return _distinct(self.block.inputs)


def _distinct(names: Iterable[str], but: str = "") -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name != but)
