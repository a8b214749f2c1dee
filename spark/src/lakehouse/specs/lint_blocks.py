"""What is wrong with a table's `lakehouse` block and its SQL, taken by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from lakehouse.errors import did_you_mean
from lakehouse.specs.expressions import SqlProblem, columns_of_expression, output_of_select, tables_of_select
from lakehouse.specs.finding import found, no_column
from lakehouse.specs.model import Full, Incremental, Scd2, Silver, Table
from lakehouse.specs.problem import Problem

VALIDITY = ("valid_from", "valid_to", "is_current")


def lint_silver(table: Table, block: Silver) -> Iterator[Problem]:
    """Yield what a Silver block says of columns that are not there."""
    for column in table.columns:
        if column.expression:
            try:
                columns_of_expression(column.expression)
            except SqlProblem as problem:
                yield found(table, column.name, f"{column.name}: transformLogic {column.expression!r} {problem}.")
    yield from _latest_by(table, block)
    yield from _reads_itself(table, block)
    if block.deletes == "key-scan" and block.latest_by[0] != block.watermark:
        told = (
            f"deletes: key-scan gives a tombstone no other time than {block.watermark}; latest_by must begin with it."
        )
        yield found(table, ":block.latest_by", told)
    referring = [key.column for key in table.foreign_keys]
    for name in block.orphans:
        if name not in referring:
            yield no_column(table, f":block.orphans.{name}", "orphans", name, referring, "relationships")
    for index, reference in enumerate(block.references):
        for name in (reference.on, *reference.columns):
            if name not in table.column_names:
                yield no_column(
                    table, f":block.references.{index}", f"references.{reference.table}", name, table.column_names
                )
    if (block.deletes == "soft") != (block.deleted_flag is not None):
        yield found(table, ":block.deletes", "deletes: soft and deleted_flag belong together.")


def _reads_itself(table: Table, block: Silver) -> Iterator[Problem]:
    """Rows are judged before they are in the table: it could never be loaded for the first time."""
    told = "a table's rows cannot be checked against the table itself; name another table, or leave it out."
    for key in table.foreign_keys:
        if key.table == table.name:
            yield found(table, key.column, f'relationships of {key.column} is "{key.table}.{key.key}": {told}')
    for index, reference in enumerate(block.references):
        if reference.table == table.name:
            yield found(table, f":block.references.{index}", f"references.{reference.table}: {told}")


def _latest_by(table: Table, block: Silver) -> Iterator[Problem]:
    """Versions are told apart by what Silver stores of the source; a tombstone has nothing of other tables."""
    taken_over = {name: reference.table for reference in block.references for name in reference.columns}
    for name in block.latest_by:
        if name not in table.column_names:
            yield no_column(table, ":block.latest_by", "latest_by", name, table.column_names, "the contract")
        elif name in taken_over:
            told = f'latest_by is "{name}", taken over from {taken_over[name]}; it takes columns of the source alone.'
            yield found(table, ":block.latest_by", told)


def lint_stream(table: Table, block: Silver) -> Iterator[Problem]:
    """Yield what a Silver table that a topic feeds cannot have."""
    if block.stream is None:
        return
    if block.stream.key not in table.key:
        yield no_column(table, ":block.stream", "stream.key", block.stream.key, table.key, "the primary key")
    if block.latest_by[0] != block.watermark:
        told = f"an event without value has no other time than {block.watermark}; latest_by must begin with it."
        yield found(table, ":block.latest_by", told)
    if block.history:
        yield found(table, ":block.history", "history: true, for SCD2 tables, and stream do not go together yet.")
    for column in table.columns:
        if column.expression:
            told = f"{column.name} has transformLogic; the columns of a table with a stream are fields of its events."
            yield found(table, column.name, told)


def lint_gold(table: Table) -> Iterator[Problem]:
    """Yield where contract, block and SQL of a Gold table do not agree."""
    if table.sql is None:
        yield found(table, ":block", f"{table.name}.sql is missing beside the contract.")
        return
    sql_path = table.path.with_name(f"{table.name}.sql")
    try:
        read, output = tables_of_select(table.sql), output_of_select(table.sql)
    except SqlProblem as problem:
        yield Problem(sql_path, problem.line, f"{problem}.")
        return
    yield from _inputs(table, read)
    yield from _output(table, output)
    yield from _own_columns(table)


def _inputs(table: Table, read: set[str]) -> Iterator[Problem]:
    seeds = list(getattr(table.block, "seeds", []))
    lookups = {lookup.dimension for lookup in getattr(table.block, "lookups", [])}
    declared = getattr(table.block, "inputs", ())
    allowed = [name for name in table.inputs if name not in lookups or name in declared] + seeds
    for name in sorted(read - set(allowed)):
        yield found(
            table, ":block",
            f'{table.name}.sql reads "{name}", which is no declared input ({", ".join(sorted(allowed)) or "none is"}).'
            f"{did_you_mean(name, allowed)}",
        )  # fmt: skip
    for seed in seeds:
        path = table.path.parent.parent / "seeds" / f"{seed}.csv"
        if not path.is_file():
            there = sorted(each.stem for each in path.parent.glob("*.csv"))
            yield found(
                table, ":block.seeds", f'there is no seeds/{seed}.csv. Seeds: {", ".join(there) or "none"}.'
            )  # fmt: skip


def _output(table: Table, output: list[str]) -> Iterator[Problem]:
    for name in sorted({name for name in output if output.count(name) > 1}):
        yield found(table, ":block", f'{table.name}.sql makes "{name}" twice.')
    known, sql = set(table.column_names), f"{table.name}.sql"
    for name in sorted(known - set(output) - _added(table)):
        yield found(table, name, f'"{name}" is in the contract, but {sql} does not make it ({", ".join(output)}).')
    for name in sorted(set(output) - known - _consumed(table)):
        yield found(table, ":schema", f'{sql} makes "{name}", which is not in the contract.{did_you_mean(name, known)}')
    for name in sorted(_added(table) & set(output)):
        yield found(table, name, f'{sql} makes "{name}", which the platform adds itself.')
    for anchor, name in _needed(table):
        if name not in output:
            yield no_column(table, f":block.{anchor}", anchor.partition(".")[0], name, output, sql)


def _added(table: Table) -> set[str]:
    """Return the columns that the platform puts beside those of the SQL."""
    match table.block:
        case Scd2(surrogate=surrogate, deletes=deletes):
            return {surrogate, *VALIDITY, *(["is_deleted"] if deletes == "record" else [])}
        case Incremental(lookups=lookups):
            return {lookup.surrogate for lookup in lookups}
        case Full(surrogate=surrogate) if surrogate:
            return {surrogate}
    return set()


def _consumed(table: Table) -> set[str]:
    """Return the columns of the SQL that the platform needs and does not store."""
    return {*table.block.sequence_by, "_deleted"} if isinstance(table.block, Scd2) else set()


def _needed(table: Table) -> Iterator[tuple[str, str]]:
    """Yield (field of the block, column that the SQL must make for it)."""
    match table.block:
        case Scd2() as block:
            for field in ("key", "sequence_by", "untracked"):
                yield from ((field, name) for name in getattr(block, field))
            yield "changes_of", "_deleted"
        case Incremental() as block:
            yield "rebuild_by", block.rebuild_by
            for index, lookup in enumerate(block.lookups):
                at = [lookup.at] if lookup.at else []
                yield from ((f"lookups.{index}", name) for name in (*lookup.on.values(), *at))


def _own_columns(table: Table) -> Iterator[Problem]:
    """Columns that the platform adds, or finds stored rows by, stand in the contract."""
    for name in sorted(_added(table) - set(table.column_names)):
        yield no_column(table, ":schema", "a column that the platform adds", name, table.column_names)
    for anchor, name in _needed(table):
        if name not in (*table.column_names, *_consumed(table)):
            yield no_column(table, f":block.{anchor}", anchor.partition(".")[0], name, table.column_names)
    if isinstance(table.block, Scd2):
        if table.key != (table.block.surrogate,):
            surrogate = table.block.surrogate
            yield found(table, ":schema", f'the primaryKey of an scd2 table is its surrogate, "{surrogate}" alone.')
        # A sequence column orders the changes and is not stored.
        for name in sorted(set(table.block.sequence_by) & set(table.column_names) - set(table.block.key)):
            yield found(table, name, f'"{name}" orders the changes (sequence_by) and is not stored; drop the column.')
    if isinstance(table.block, Incremental):
        yield from _ways(table, table.block)


def _ways(table: Table, block: Incremental) -> Iterator[Problem]:
    """A changed row leads to the key by itself or in one step."""
    direct = [name for name, each in block.inputs.items() if each.through is None]
    for name, source in block.inputs.items():
        if source.through is not None and source.through not in direct:
            yield found(
                table, f":block.inputs.{name}",
                f'inputs.{name}.through is "{source.through}", which is no input that has the key itself'
                f"{did_you_mean(source.through, direct)} ({', '.join(direct) or 'there is none'}).",
            )  # fmt: skip
