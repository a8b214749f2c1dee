"""From the source's types to the contract's, without loss: what does not fit becomes NULL beside its raw value."""

from __future__ import annotations

import re

INTEGERS = ("tinyint", "smallint", "int", "bigint")
_APPROXIMATE = ("float", "double")
TIMES = ("date", "timestamp", "timestamp_ntz")
_DECIMAL = re.compile(r"decimal\((\d+),\s?(\d+)\)")
# Fixed forms only: Spark's own casts also take '2018', '1e3', ' 7 ' and round what has too many digits.
# `$` alone also stands before a last line break; nothing at all may follow.
_END = "$(?![^x]|x)"
_NUMBER = rf"^[+-]?[0-9]{{1,20}}([.][0-9]{{1,18}})?{_END}"
_FLOAT = rf"^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?{_END}"
_DATE = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_END}"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_MOMENT = (
    rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,6}})?)?)?{_ZONE}?{_END}"
)


def is_lossless(source: str, target: str) -> bool:
    """Whether every value of the source type is a value of the target type."""
    if source == target:
        return True
    if source in INTEGERS and target in INTEGERS:
        return INTEGERS.index(source) < INTEGERS.index(target)
    narrow, wide = _DECIMAL.fullmatch(source), _DECIMAL.fullmatch(target)
    if narrow and wide:
        return int(wide[2]) >= int(narrow[2]) and int(wide[1]) - int(wide[2]) >= int(narrow[1]) - int(narrow[2])
    return (source, target) in {("float", "double"), ("date", "timestamp_ntz")}


def exact_cast(value: str, source: str, target: str, timezone: str) -> str:
    """Return SQL that gives `value` in the target type, or NULL where that would change it.

    `value` is an SQL expression of the Spark type `source`; a timestamp without zone is a wall time in `timezone`.
    A day or a moment is one of the years 1 to 9999, as it is in text: readers of the lake know no others.
    """
    made = _cast(value, source, target, timezone)
    if source in TIMES and target in TIMES:
        return f"IF(year({value}) BETWEEN 1 AND 9999, {made}, NULL)"
    return made


def _cast(value: str, source: str, target: str, timezone: str) -> str:
    if is_lossless(source, target):
        return value if source == target else f"CAST({value} AS {target})"
    if target == "timestamp":
        return _moment(value, source, timezone)
    if source == "string":
        return _from_text(value, target)
    if target == "string":
        return f"CAST({value} AS string)"
    if (source in TIMES) != (target in TIMES):
        return f"CAST(NULL AS {target})"
    return _there_and_back(value, source, target)


def _there_and_back(value: str, source: str, target: str) -> str:
    made = f"try_cast({value} AS {target})"
    same = f"try_cast({made} AS {source}) = {value}"
    if {source, target} & {*INTEGERS} and {source, target} & {*_APPROXIMATE}:
        # The greatest integers and the doubles next to them saturate into each other.
        same += f" AND try_cast({made} AS decimal(38,18)) = try_cast({value} AS decimal(38,18))"
    return f"IF({same}, {made}, NULL)"


def _from_text(value: str, target: str) -> str:
    if target in INTEGERS or _DECIMAL.fullmatch(target):
        number = f"IF({value} RLIKE '{_NUMBER}', try_cast({value} AS decimal(38,18)), NULL)"
        return f"IF(try_cast({number} AS {target}) = {number}, try_cast({number} AS {target}), NULL)"
    if target in _APPROXIMATE:
        made = f"try_cast({value} AS {target})"
        return f"IF({value} RLIKE '{_FLOAT}' AND abs({made}) < {target}('Infinity'), {made}, NULL)"
    if target == "date":
        return f"IF({value} RLIKE '{_DATE}', try_cast({value} AS date), NULL)"
    if target == "boolean":
        word = f"lower({value})"
        return f"CASE WHEN {word} IN ('true', 't') THEN TRUE WHEN {word} IN ('false', 'f') THEN FALSE END"
    return f"try_cast({value} AS {target})"


def _moment(value: str, source: str, timezone: str) -> str:
    """A text with an offset is an instant; a wall time is read in the table's zone (the session's own is UTC)."""
    if source == "string":
        wall = f"try_cast({value} AS timestamp)"
        zoned = f"{value} RLIKE '{_ZONE}$' AND length({value}) > 10"
        shifted = wall if timezone == "UTC" else f"IF({zoned}, {wall}, to_utc_timestamp({wall}, '{timezone}'))"
        return f"IF({value} RLIKE '{_MOMENT}', {shifted}, NULL)"
    if source in ("timestamp_ntz", "date"):
        wall = f"CAST({value} AS timestamp)"
        return wall if timezone == "UTC" else f"to_utc_timestamp({wall}, '{timezone}')"
    return "CAST(NULL AS timestamp)"
