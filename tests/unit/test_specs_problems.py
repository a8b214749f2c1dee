"""What is wrong with a spec is said with file, line, what was read and what is allowed; good tables stay."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lakehouse.errors import SpecError
from lakehouse.specs import load_catalog

OLIST = Path(__file__).parents[2] / "spark" / "pipelines" / "olist"
WHOLE = load_catalog(OLIST)


@dataclass(frozen=True)
class Case:
    """An edit of one file of the Olist pipeline, and what loading then says of it.

    `at` is text that stands once in the edited file, on the line that the problem names; empty: line 1.
    """

    file: str
    old: str
    new: str
    at: str
    says: tuple[str, ...]
    where: str = ""


def below(file: str) -> set[str]:
    """Return the files of a table, as `<layer>/<table>`, and of all that it is made from."""
    tables, found, ahead = WHOLE.tables, set(), {file.partition(".")[0]}
    while ahead:
        found |= ahead
        names = {name for each in ahead for name in tables[f"olist.{each.replace('/', '.')}"].inputs}
        ahead = {f"{each.layer}/{each.name}" for each in tables.values() if each.name in names} - found
    return found


def edited(folder: Path, case: Case, kept: set[str] | None = None) -> tuple[Path, int]:
    """Apply the case to a copy of the pipeline (or of `kept` alone); return the problem's file and its line."""

    def unneeded(at: str, names: list[str]) -> list[str]:
        layer = Path(at).name
        if kept is None or layer not in ("silver", "gold"):
            return []
        return [name for name in names if f"{layer}/{name.partition('.')[0]}" not in kept]

    shutil.copytree(OLIST, folder / "olist", ignore=unneeded)
    path = folder / "olist" / case.file
    text = path.read_text("utf-8")
    assert text.count(case.old) == 1, f"{case.old!r} stands {text.count(case.old)} times"
    path.write_text(text.replace(case.old, case.new), "utf-8")
    place = folder / "olist" / (case.where or case.file)
    text = place.read_text("utf-8")
    assert not case.at or text.count(case.at) == 1, f"{case.at!r} stands {text.count(case.at)} times"
    return place, text.count("\n", 0, text.index(case.at)) + 1 if case.at else 1


CASES = {
    name: Case(
        case["file"], case["replace"], case["by"], case.get("at", ""), tuple(case["says"]), case.get("where", "")
    )
    for name, case in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")).items()
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path, line = edited(tmp_path, case, below(case.where or case.file))
    catalog = load_catalog(tmp_path / "olist")
    here = [problem for problem in catalog.problems if (problem.path, problem.line) == (path, line)]
    told = "\n".join(str(problem) for problem in catalog.problems)
    assert any(all(word in problem.message for word in case.says) for problem in here), f"line {line}:\n{told}"
    assert "pydantic" not in told
    assert "Input should" not in told
    broken = f"olist.{path.parent.name}.{path.name.partition('.')[0]}"
    assert broken not in catalog.tables
    with pytest.raises(SpecError, match="lakehouse validate"):
        catalog.need_sound()


@pytest.mark.parametrize("name", ["deletes_on", "unknown_type", "rule_that_runs_ddl", "sql_that_is_cut"])
def test_a_broken_spec_hides_no_good_one(name: str, tmp_path: Path) -> None:
    """All tables stay but the broken one and those that read it, directly or not; each of these says why."""
    path, _ = edited(tmp_path, CASES[name])
    catalog = load_catalog(tmp_path / "olist")
    lost = {f"olist.{path.parent.name}.{path.name.partition('.')[0]}"}
    while more := {
        table.full_name
        for table in WHOLE.tables.values()
        if table.full_name not in lost and {full.rpartition(".")[2] for full in lost} & set(table.inputs)
    }:
        lost |= more
    assert set(catalog.tables) == set(WHOLE.tables) - lost
    assert {problem.path.name.partition(".")[0] for problem in catalog.problems} == {
        full.rpartition(".")[2] for full in lost
    }


@pytest.mark.parametrize(
    ("file", "content", "line", "says"),
    [
        ("silver/orders.yaml", b"a: 1\n", 1, "named <table>.odcs.yaml"),
        ("silver/orders.odcs.yml", b"a: 1\n", 1, "named <table>.odcs.yaml"),
        ("gold/dim_none.sql", b"SELECT 1 AS a", 1, "dim_none.odcs.yaml is missing"),
        ("silver/new.odcs.yaml", b"", 1, "mapping"),
        ("silver/new.odcs.yaml", b"- a\n- b\n", 1, "mapping"),
        ("silver/new.odcs.yaml", b"kind: DataContract\nkind: X\n", 2, "twice"),
        ("silver/new.odcs.yaml", b"id: 1\nname: \xff\n", 2, "UTF-8"),
        ("gold/dim_sellers.sql", b"SELECT 1 AS a\n-- S\xe3o\n", 2, "UTF-8"),
    ],
)
def test_files_that_are_no_specs(file: str, content: bytes, line: int, says: str, tmp_path: Path) -> None:
    shutil.copytree(OLIST, tmp_path / "olist")
    path = tmp_path / "olist" / file
    path.write_bytes(content)
    catalog = load_catalog(tmp_path / "olist")
    found = [problem for problem in catalog.problems if problem.path == path]
    assert [(problem.line, says in problem.message) for problem in found][:1] == [(line, True)], found
    assert "olist.silver.customers" in catalog.tables


def test_gold_without_its_sql(tmp_path: Path) -> None:
    shutil.copytree(OLIST, tmp_path / "olist")
    (tmp_path / "olist/gold/dim_sellers.sql").unlink()
    told = [str(problem) for problem in load_catalog(tmp_path / "olist").problems]
    assert any("dim_sellers.sql is missing" in text for text in told)


def test_a_link_to_nowhere_is_one_problem(tmp_path: Path) -> None:
    shutil.copytree(OLIST, tmp_path / "olist")
    (tmp_path / "olist/silver/gone.odcs.yaml").symlink_to(tmp_path / "nowhere")
    catalog = load_catalog(tmp_path / "olist")
    assert [problem.message for problem in catalog.problems] == ["cannot be read: No such file or directory."]
    assert len(catalog.tables) == 23


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("owner: commerce-data", "ownr: commerce-data", 3, 'Did you mean "owner"'),
        ("retry_delay: 30s", "retry_delay: soon", 7, "such as 30s"),
        ("retries: 2", "retries: 99", 6, "less than or equal to 10"),
        ("name: olist", "name: shop", 1, 'named "shop" in the folder "olist"'),
        ("timeout: 2h", "timeout: &t 2h", 8, "anchors"),
    ],
)
def test_a_broken_pipeline_file(old: str, new: str, line: int, says: str, tmp_path: Path) -> None:
    case = Case("pipeline.yaml", old, new, "", ())
    path, _ = edited(tmp_path, case)
    with pytest.raises(SpecError) as refused:
        load_catalog(tmp_path / "olist")
    assert f"{path}:{line}: " in str(refused.value)
    assert says in str(refused.value)


def test_no_pipeline_here(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no pipeline\.yaml"):
        load_catalog(tmp_path)


def test_a_table_by_name() -> None:
    catalog = load_catalog(OLIST)
    assert catalog.table("orders") is catalog.table("silver.orders") is catalog.table("olist.silver.orders")
    with pytest.raises(SpecError, match=r'Did you mean "olist\.gold\.fact_sales"'):
        catalog.table("olist.gold.fact_sale")
