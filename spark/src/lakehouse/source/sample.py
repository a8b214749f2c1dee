"""Writes an Olist-shaped sample: made data with the real files' names, columns, distributions and awkward cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import TextIO

from lakehouse.errors import ParameterError, SourceError, StoreUnavailable
from lakehouse.source.made.catalog import Catalog, translations
from lakehouse.source.made.lots import Lot, drawing
from lakehouse.source.made.marker import Marker, digest, is_ours, read_marker
from lakehouse.source.made.orders import ORDERS, Orders
from lakehouse.source.made.places import places, readings
from lakehouse.source.olist import TABLES

_SCALES = (0.001, 100.0)
_PRODUCTS, _SELLERS = 32_951, 3_095  # at scale 1


def write_sample(raw: Path, *, scale: float, seed: int = 42, overwrite: bool = False) -> dict[str, int]:
    """Write the nine CSV files into `raw` and return the rows of each table; scale 1 is about the real size.

    The same scale and seed give the same bytes, and a sample that is there already is left alone. Files that this
    function did not make are a `SourceError` unless `overwrite` is set. Memory does not grow with the scale.
    """
    if not isfinite(scale) or not _SCALES[0] <= scale <= _SCALES[1]:
        raise ParameterError(f"scale is {scale}.", allowed=f"{_SCALES[0]} to {_SCALES[1]:.0f}")
    try:
        return _sample(raw, scale, seed, overwrite=overwrite)
    except OSError as error:
        raise StoreUnavailable(f"cannot be written: {error.strerror}.", where=str(error.filename or raw)) from error


def _sample(raw: Path, scale: float, seed: int, *, overwrite: bool) -> dict[str, int]:
    marker = read_marker(raw)
    there = _files_there(raw)
    foreign = [path for path in there if not is_ours(path, marker)]
    if foreign and not overwrite:
        raise SourceError(
            f"{', '.join(path.name for path in foreign)}: not made by `lakehouse sample`, or changed since.",
            where=str(raw),
            remedy="write the sample into another folder, or say that these may be overwritten.",
        )
    if marker and not foreign and len(there) == len(TABLES) and marker.is_of(scale, seed):
        return marker.rows
    return _write(raw, scale, seed, foreign)


def _files_there(raw: Path) -> list[Path]:
    """Return what has the name of one of the nine files, plain or packed."""
    paths = [raw / f"{table.file}{end}" for table in TABLES.values() for end in ("", ".gz")]
    return [path for path in paths if path.exists() or path.is_symlink()]


def _write(raw: Path, scale: float, seed: int, foreign: list[Path]) -> dict[str, int]:
    """Write all files beside their places and move them there once they are whole."""
    raw.mkdir(parents=True, exist_ok=True)
    parts = {name: raw / f"{table.file}.part" for name, table in TABLES.items()}
    try:
        rows = _write_parts(parts, scale, seed)
        made = Marker(scale, seed, rows, {TABLES[name].file: digest(path) for name, path in parts.items()})
        made.write(raw)
        for path in foreign:
            path.unlink()
        for path in parts.values():
            path.rename(path.with_suffix(""))
    finally:
        for path in parts.values():
            path.unlink(missing_ok=True)
    return rows


def _write_parts(parts: dict[str, Path], scale: float, seed: int) -> dict[str, int]:
    where = places(scale, drawing(seed, "places"))
    seat = Lot([(place, place.sold) for place in where], drawing(seed, "sellers").random)
    catalog = Catalog(_scaled(_PRODUCTS, scale), [seat() for _ in range(_scaled(_SELLERS, scale))], seed)
    orders = Orders(_scaled(ORDERS, scale), catalog, where, drawing(seed, "orders"))
    single = {
        "geolocation": readings(where, scale, drawing(seed, "geolocation")),
        "products": catalog.product_lines(drawing(seed, "products")),
        "sellers": catalog.seller_lines(),
        "product_category_name_translation": translations(),
    }
    with ExitStack() as stack:
        out = {name: stack.enter_context(_begin(name, path)) for name, path in parts.items()}
        rows = {name: _drain(out[name], lines) for name, lines in single.items()}
        rows |= _write_orders(out, orders)
    return {name: rows[name] for name in parts}


def _begin(name: str, path: Path) -> TextIO:
    """Open a file with its header; the translation file has the byte-order mark and the line ends of the real one."""
    strange = name == "product_category_name_translation"
    file = path.open("w", encoding="utf-8-sig" if strange else "utf-8", newline="", buffering=1 << 16)
    file.write(",".join(TABLES[name].columns) + ("\r\n" if strange else "\n"))
    return file


def _drain(file: TextIO, lines: Iterator[str]) -> int:
    count = 0
    for line in lines:
        file.write(line)
        count += 1
    return count


def _write_orders(out: dict[str, TextIO], orders: Orders) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for files in orders.lines():
        for name, lines in files.items():
            out[name].writelines(lines)
            rows[name] += len(lines)
    return dict(rows)


def _scaled(count: int, scale: float) -> int:
    return max(round(count * scale), 1)
