"""Finds the CSV files of the nine tables in a folder and binds their headers to the tables' columns by name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lakehouse.errors import SourceError, did_you_mean
from lakehouse.source.csvfile import open_csv
from lakehouse.source.olist import TABLES, Table


def find_files(raw: Path) -> dict[str, Path]:
    """Return the files in `raw` by table name; a table without a file is left out, none at all is a `SourceError`."""
    found = {table.name: path for table in TABLES.values() if (path := _file_of(raw, table))}
    if not found:
        raise SourceError(
            "holds none of the source's CSV files.",
            where=str(raw),
            allowed=", ".join(f"{table.file}[.gz]" for table in TABLES.values()),
            remedy=f"put the files there, or make some: lakehouse sample --scale 0.1 --out {raw}",
        )
    return found


def _file_of(raw: Path, table: Table) -> Path | None:
    spellings = [raw / table.file, raw / f"{table.file}.gz"]
    there = [path for path in spellings if path.exists() or path.is_symlink()]
    if len(there) == 2:
        raise SourceError("stands there twice, plain and packed.", where=str(there[0]), remedy="remove one of the two.")
    for path in there:
        if not path.is_file():
            what = "is a link to something that is no regular file" if path.is_symlink() else "is no regular file"
            raise SourceError(f"{what}.", where=str(path), remedy="put the CSV file itself there.")
    return there[0] if there else None


def check_headers(files: dict[str, Path]) -> None:
    """Raise one `SourceError` that names every file whose header does not fit its table."""
    problems = []
    for name, path in files.items():
        try:
            with open_csv(path) as stream:
                bind(path, TABLES[name], stream.columns())
        except SourceError as problem:
            problems.append(problem)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SourceError(" | ".join(str(problem) for problem in problems))


def bind(path: Path, table: Table, header: list[str]) -> tuple[str, ...]:
    """Return the table's column for each field of a header: any order and any case, but each column exactly once."""
    fields = [field.lower() for field in header]
    doubled = [field for field, times in Counter(fields).items() if times > 1]
    missing = [column for column in table.columns if column not in fields]
    unexpected = [field for field in header if field.lower() not in table.columns]
    if doubled or missing or unexpected:
        lists = {"missing": missing, "unexpected": unexpected, "doubled": doubled}
        diff = "; ".join(f"{word}: {', '.join(map(_short, columns))}" for word, columns in lists.items() if columns)
        hint = did_you_mean(unexpected[0], missing) if unexpected else ""
        raise SourceError(
            f"its header does not fit olist.{table.name} ({diff}).{hint}",
            where=str(path),
            allowed=", ".join(table.columns),
            remedy="correct the header line; columns are separated by commas.",
        )
    return tuple(fields)


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}…")
