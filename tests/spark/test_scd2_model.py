"""SCD2 against a model in plain Python: thousands of small histories at a time, in any order, with repetitions."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import product

import pytest

from lakehouse.engine.scd2 import versions
from lakehouse.specs import Scd2

HISTORIES = 2_000
SCHEMA = "id string, at timestamp, tie int, a string, b int, u string, _deleted boolean"
WAYS = list(product(("close", "record", "ignore"), ("open", "at_change"), (True, False)))


def histories(models, seed: int):
    """Lists of changes; values come from few letters and NULL, so that equal neighbours are common."""
    model, made, chance = models("scd2_model"), models("histories"), random.Random(seed)

    def change(at: int):
        if chance.random() < 0.2:
            return model.Change(at, chance.randrange(2), (None, None), None, deleted=True)
        values = (chance.choice(("x", "y", "", None)), chance.choice((0, 1, None)))
        return model.Change(at, chance.randrange(2), values, chance.choice(("p", "q", None)))

    return [[change(at) for at in made.moments(chance)] for _ in range(HISTORIES)]


def engine(spark, cases, rules, *, untracked: bool, seed: int):
    """The engine's versions of every case, in one job: changes shuffled, some of them twice, over three partitions."""
    rows = [
        (f"case-{n}", c.at, c.tie, *c.tracked, c.untracked, c.deleted) for n, case in enumerate(cases) for c in case
    ]
    chance = random.Random(seed)
    rows += chance.sample(rows, len(rows) // 4)
    chance.shuffle(rows)
    frame = spark.createDataFrame(rows, SCHEMA.replace("at timestamp", "at bigint"))
    frame = frame.selectExpr("id", "timestamp_micros(at) AS at", "tie", "a", "b", "u", "_deleted").repartition(3)
    block = Scd2(
        kind="scd2", changes_of="t", key=["id"], sequence_by=["at", "tie"], untracked=["u"] if untracked else [],
        deletes=rules.deletes, first_version=rules.first_version, surrogate="t_key",
    )  # fmt: skip
    made = versions(frame, block)
    deleted = "is_deleted" if "is_deleted" in made.columns else "FALSE"
    made = made.selectExpr(
        "id", "unix_micros(valid_from)", "unix_micros(valid_to)", "is_current", "a", "b", "u", deleted, "t_key"
    )
    table = defaultdict(list)
    for case, *row in made.collect():
        table[case].append(tuple(row))
    return {case: sorted(rows, key=lambda row: row[0]) for case, rows in table.items()}


def expected(models, case, rules, key: str, *, untracked: bool):
    """Every table that the model admits for one case, in the engine's shape."""
    model = models("scd2_model")
    if not untracked:  # then the third value is tracked like the others
        case = [model.Change(c.at, c.tie, (*c.tracked, c.untracked), None, c.deleted) for c in case]
    shaped = []
    for table in model.admissible(case, rules):
        rows = []
        for v in table:
            values = (*v.tracked, v.untracked) if untracked else v.tracked
            rows.append((v.begin, v.end, v.end is None, *values, v.deleted, model.surrogate(key, v.begin)))
        shaped.append(rows)
    return shaped


def failing(spark, models, cases, rules, *, untracked: bool, seed: int = 1):
    """Numbers of the cases whose table the model does not admit, with the engine's table."""
    found = engine(spark, cases, rules, untracked=untracked, seed=seed)
    return {
        number: found.get(f"case-{number}", [])
        for number, case in enumerate(cases)
        if found.get(f"case-{number}", []) not in expected(models, case, rules, f"case-{number}", untracked=untracked)
    }


def smallest(spark, models, case, rules, *, untracked: bool):
    """Cut a failing case down while what is left still fails; each round is one job."""
    while True:
        cut = [each for each in models("histories").smaller(case) if each]
        left = failing(spark, models, cut, rules, untracked=untracked) if cut else {}
        if not left:
            return case
        case = cut[min(left)]


@pytest.mark.parametrize(("deletes", "first_version", "untracked"), WAYS)
def test_the_table_is_a_function_of_the_set_of_changes(spark, models, deletes, first_version, untracked):
    rules = models("scd2_model").Rules(deletes, first_version)
    cases = histories(models, seed=WAYS.index((deletes, first_version, untracked)))
    wrong = failing(spark, models, cases, rules, untracked=untracked)
    if wrong:
        case = smallest(spark, models, min((cases[n] for n in wrong), key=len), rules, untracked=untracked)
        (table,) = failing(spark, models, [case], rules, untracked=untracked).values()
        wanted = expected(models, case, rules, "case-0", untracked=untracked)
        told = [f"{len(wrong)} of {len(cases)} histories; the smallest:", *map(str, case)]
        pytest.fail("\n".join([*told, "engine:", *map(str, table), "model:", *map(str, wanted)]))


def test_order_and_repetition_decide_nothing_even_where_only_the_content_tells_changes_apart(spark, models):
    """Ties that the model leaves open end the same way each time, and a surrogate names one version."""
    rules, cases = models("scd2_model").Rules(), histories(models, seed=99)
    tables = [engine(spark, cases, rules, untracked=True, seed=seed) for seed in (1, 2)]
    assert tables[0] == tables[1]
    surrogates = [row[-1] for rows in tables[0].values() for row in rows]
    assert len(surrogates) == len(set(surrogates)) > HISTORIES
