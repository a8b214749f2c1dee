"""Every line of bad values, cast by the engine in one Spark job: exact, or NULL beside its raw value (quarantined).

What is expected stands here, from what good platforms do; Python's zoneinfo is the other road for times.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from lakehouse.engine.cast import exact_cast, is_lossless

QUARANTINED = None
SAO_PAULO = "America/Sao_Paulo"


def text(target: str, *cases: tuple[str, object]) -> list[tuple[str, str, object, object, str]]:
    return [("string", target, raw, expected, "UTC") for raw, expected in cases]


def refused(target: str, *raws: str) -> list[tuple[str, str, object, object, str]]:
    return text(target, *[(raw, QUARANTINED) for raw in raws])


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


NO_NUMBERS = (
    "1.234,56",
    "1,000",
    "1e3",
    "NaN",
    "Infinity",
    "-Infinity",
    "",
    " ",
    "NA",
    "null",
    "0x1F",
    "٣",
    "--5",
    "5-",
)
NO_NUMBERS += ("5 ", " 5", "5\n", "5\t", "1_000", "9" * 40, "5​")
NO_DATES = ("0000-00-00", "2018-02-30", "2018-13-01", "1514764800000", "20018-01-01", "2018-1-5", "2018", "18-01-05")
NO_DATES += ("01/05/2018", "", " ", "NA", "today", "epoch", "2018-01-05 ", "2018-01-05\n", "+2018-01-05")
NO_MOMENTS = (*NO_DATES, "2018-02-30 10:00:00", "2018-01-05 25:00:00", "2018-01-05 10:00:60", "10:00:00", "1514764800")
NO_MOMENTS += (
    "2018-01-05 10:00:00 ",
    "2018-01-05 10:00:00+25:00",
    "20018-01-05T10:00:00Z",
    "2018-01-05 10:00:00.1234567",
)

TIMES = [("timestamp_ntz", "timestamp"), ("date", "timestamp"), ("timestamp_ntz", "date"), ("date", "date")]
TIMES += [("timestamp", "timestamp")]
CASES = [
    # Text stays as it is: zeros in front, NULL, NA, empty and blanks are five different things.
    *text("string", ("00501", "00501"), ("NA", "NA"), ("", ""), (" ", " "), ("é", "é"), ("é", "é")),
    # Whole numbers.
    *text("int", ("51.0", 51), ("51", 51), ("+7", 7), ("-7", -7), ("0051", 51), ("-0", 0), ("2147483647", 2147483647)),
    *refused("int", "51.5", "2147483648", "-2147483649", "0.0000000000000000001", *NO_NUMBERS),
    *refused("smallint", "32768", "-32769", "1.5"),
    *text("tinyint", ("127", 127), ("128", QUARANTINED)),
    *text("bigint", ("9223372036854775807", 2**63 - 1), ("9007199254740993", 2**53 + 1)),
    *refused("bigint", "9223372036854775808", "92233720368547758070", *NO_NUMBERS),
    # Money.
    *text("decimal(12,2)", ("1234.56", Decimal("1234.56")), ("7", Decimal(7)), ("0.10", Decimal("0.1"))),
    *text("decimal(12,2)", ("1.500", Decimal("1.5")), ("9999999999.99", Decimal("9999999999.99"))),
    *refused("decimal(12,2)", "1234.567", "0.001", "10000000000.00", *NO_NUMBERS),
    # Approximate numbers: an exponent is their own notation, NaN and Infinity are none.
    *text("double", ("1e3", 1000.0), ("0.5", 0.5), ("-2.5E-3", -0.0025)),
    *refused("double", "NaN", "Infinity", "1.234,56", "", " 1", "1e999", "1d", "1f", "9e", "1\n"),
    *text("boolean", ("true", True), ("f", False), ("TRUE", True), ("yes", QUARANTINED), ("1", QUARANTINED)),
    # Days and moments.
    *text("date", ("2018-02-28", date(2018, 2, 28)), ("2016-02-29", date(2016, 2, 29)), ("0001-01-01", date(1, 1, 1))),
    *refused("date", "2017-02-29", "2018-01-05T00:00:00", *NO_DATES),
    *text("timestamp", ("2018-01-05T10:00:00Z", utc(2018, 1, 5, 10)), ("2018-01-05 10:00", utc(2018, 1, 5, 10))),
    *text("timestamp", ("2018-01-05 10:00:00.123456-03:00", utc(2018, 1, 5, 13, 0, 0, 123456))),
    *text("timestamp", ("2018-01-05", utc(2018, 1, 5)), ("2018-01-05T10:00:00+0530", utc(2018, 1, 5, 4, 30))),
    *refused("timestamp", *NO_MOMENTS),
    # A wall time is read in the table's zone, an offset in the text wins over it.
    ("string", "timestamp", "2018-01-05 10:00:00", utc(2018, 1, 5, 12), SAO_PAULO),
    ("string", "timestamp", "2018-01-05 10:00:00Z", utc(2018, 1, 5, 10), SAO_PAULO),
    ("string", "timestamp", "2018-01-05 10:00:00-05", utc(2018, 1, 5, 15), SAO_PAULO),
    ("string", "timestamp", "2018-07-05", utc(2018, 7, 5, 3), SAO_PAULO),
    ("string", "timestamp", "2018-02-30 10:00:00", QUARANTINED, SAO_PAULO),
    ("date", "timestamp", date(2018, 1, 5), utc(2018, 1, 5, 2), SAO_PAULO),
    # From numbers: there and back must be the same number, and nothing may raise.
    ("int", "smallint", 32767, 32767, "UTC"),
    ("int", "smallint", 32768, QUARANTINED, "UTC"),
    ("bigint", "int", -(2**31) - 1, QUARANTINED, "UTC"),
    ("bigint", "double", 2**53, float(2**53), "UTC"),
    ("bigint", "double", 2**53 + 1, QUARANTINED, "UTC"),
    ("bigint", "double", 2**63 - 1, QUARANTINED, "UTC"),
    ("int", "float", 2**31 - 1, QUARANTINED, "UTC"),
    ("int", "float", 2**24, float(2**24), "UTC"),
    ("double", "int", 51.0, 51, "UTC"),
    ("double", "int", 51.5, QUARANTINED, "UTC"),
    ("double", "bigint", 2.0**63, QUARANTINED, "UTC"),
    ("double", "int", float("nan"), QUARANTINED, "UTC"),
    ("double", "decimal(12,2)", float("inf"), QUARANTINED, "UTC"),
    ("double", "decimal(12,2)", 0.125, QUARANTINED, "UTC"),
    ("double", "decimal(12,2)", 0.5, Decimal("0.5"), "UTC"),
    ("double", "float", 0.1, QUARANTINED, "UTC"),
    ("decimal(12,4)", "decimal(12,2)", Decimal("1.2300"), Decimal("1.23"), "UTC"),
    ("decimal(12,4)", "decimal(12,2)", Decimal("1.2345"), QUARANTINED, "UTC"),
    ("decimal(14,2)", "decimal(12,2)", Decimal("99999999999.00"), QUARANTINED, "UTC"),
    ("decimal(12,2)", "decimal(14,2)", Decimal("9999999999.99"), Decimal("9999999999.99"), "UTC"),
    ("decimal(12,2)", "int", Decimal("51.00"), 51, "UTC"),
    ("decimal(12,2)", "int", Decimal("51.01"), QUARANTINED, "UTC"),
    ("decimal(12,2)", "int", Decimal("9999999999.00"), QUARANTINED, "UTC"),
    ("decimal(38,0)", "double", Decimal(2**53 + 1), QUARANTINED, "UTC"),
    ("int", "decimal(12,2)", 7, Decimal(7), "UTC"),
    ("bigint", "decimal(12,2)", 10**11, QUARANTINED, "UTC"),
    # What is of another kind altogether is no value of the type.
    ("bigint", "timestamp", 1514764800000, QUARANTINED, "UTC"),
    ("bigint", "date", 1514764800000, QUARANTINED, "UTC"),
    ("int", "date", 20180105, QUARANTINED, "UTC"),
    ("boolean", "date", True, QUARANTINED, "UTC"),
    ("date", "int", date(2018, 1, 5), QUARANTINED, "UTC"),
    ("boolean", "timestamp", True, QUARANTINED, "UTC"),
    ("timestamp_ntz", "date", datetime(2018, 1, 5), date(2018, 1, 5), "UTC"),
    ("timestamp_ntz", "date", datetime(2018, 1, 5, 1), QUARANTINED, "UTC"),
    ("date", "int", None, None, "UTC"),
    # Postgres has years that no reader of the lake can say.
    ("date", "date", date(1, 1, 1), date(1, 1, 1), "UTC"),
    ("timestamp_ntz", "date", date(9999, 12, 31), date(9999, 12, 31), "UTC"),
    ("timestamp", "timestamp", "9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59), "UTC"),
    *[
        (source, target, year, QUARANTINED, zone)
        for source, target in TIMES
        for year in ("+20018-01-05", "-0044-03-15", "0000-12-31")
        for zone in ("UTC", SAO_PAULO)
    ],
]


def cast_all(spark, cases) -> list[str | None]:
    """Return what the engine makes of each case, as text (moments with their zone), by one job over one column."""
    kinds = sorted({(source, target, zone) for source, target, _, _, zone in cases})
    rows = [(n, kinds.index((s, t, z)), None if raw is None else str(raw)) for n, (s, t, raw, _, z) in enumerate(cases)]
    branches = []
    for kind, (source, target, zone) in enumerate(kinds):
        made = exact_cast(f"CAST(raw AS {source})", source, target, zone)
        as_text = f"date_format({made}, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSSX\")" if target == "timestamp" else made
        branches.append(f"WHEN {kind} THEN CAST({as_text} AS string)")
    frame = spark.createDataFrame(rows, "number int, kind int, raw string").repartition(1)
    made = frame.selectExpr("number", f"CASE kind {' '.join(branches)} END AS result").collect()
    return [row.result for row in sorted(made, key=lambda row: row.number)]


def shown(expected: object) -> str | None:
    """The expected value as Spark writes it."""
    if isinstance(expected, datetime):
        return expected.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(expected, bool):
        return str(expected).lower()
    return None if expected is None else str(expected)


def equal(target: str, result: str | None, expected: object) -> bool:
    if result is None or expected is None:
        return result is None and expected is None
    if target.startswith("decimal"):
        return Decimal(result) == expected
    return float(result) == expected if target in ("double", "float") else result == shown(expected)


def test_every_bad_value_is_exact_or_quarantined(spark):
    results = cast_all(spark, CASES)
    wrong = [
        f"{raw!r} ({source} → {target}, {zone}): {result!r} instead of {shown(expected)!r}"
        for (source, target, raw, expected, zone), result in zip(CASES, results, strict=True)
        if not equal(target, result, expected)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("source", ["string", "timestamp_ntz"])
def test_the_summer_time_changes_of_2018_in_sao_paulo(spark, source):
    """Every quarter of an hour around 18 February and 4 November; zoneinfo says what is right, gap and fold too."""
    walls = [
        datetime(2018, month, day) - timedelta(days=2) + timedelta(minutes=15 * step)
        for month, day in ((2, 18), (11, 4))
        for step in range(4 * 24 * 4)
    ]
    frame = spark.createDataFrame([(str(wall),) for wall in walls], "text string")
    frame = frame.selectExpr("text", f"CAST(text AS {source}) AS value")
    made = frame.selectExpr("text", f"unix_micros({exact_cast('value', source, 'timestamp', SAO_PAULO)}) AS micros")
    found = {row.text: row.micros for row in made.collect()}
    expected = {str(wall): round(wall.replace(tzinfo=ZoneInfo(SAO_PAULO)).timestamp() * 1e6) for wall in walls}
    assert {text: found[text] - expected[text] for text in expected if found[text] != expected[text]} == {}
    assert len(set(expected.values())) < len(walls)  # the gap of November: two wall times are one instant


def test_the_session_and_its_jvm_read_times_in_utc_whatever_the_machine_says(spark):
    """The fixture starts the JVM on a machine that says it is in São Paulo."""
    assert spark._jvm.java.lang.System.getenv("TZ") == SAO_PAULO
    assert spark._jvm.java.util.TimeZone.getDefault().getID() == "UTC"
    assert spark.newSession().conf.get("spark.sql.session.timeZone") == "UTC"


LOSSLESS = [
    ("int", "bigint"),
    ("decimal(12,2)", "decimal(14,2)"),
    ("decimal(12,2)", "decimal(13,3)"),
    ("float", "double"),
]
LOSSY = [
    ("int", "smallint"),
    ("bigint", "double"),
    ("int", "float"),
    ("string", "int"),
    ("decimal(12,2)", "decimal(12,3)"),
]


@pytest.mark.parametrize(("source", "target"), LOSSLESS)
def test_widening_is_lossless(source, target):
    assert is_lossless(source, target)
    assert not is_lossless(target, source)


@pytest.mark.parametrize(("source", "target"), LOSSY)
def test_what_can_lose_is_not_called_lossless(source, target):
    assert not is_lossless(source, target)
