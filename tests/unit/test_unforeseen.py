"""An error of no known kind is one line for people; its trace is kept, without secrets."""

from __future__ import annotations

import json
import sys

import pytest

from lakehouse import cli
from lakehouse.engine import job
from lakehouse.errors import Unforeseen
from lakehouse.specs import Layer
from lakehouse.unforeseen import keep_trace

SECRET = "hunter2-and-more"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_STATE", str(tmp_path / "run"))
    monkeypatch.setenv("LAKEHOUSE_AUDIT_URL", f"postgresql://audit:{SECRET}@127.0.0.1:1/audit")
    return tmp_path / "run"


def fail(*_):
    raise RuntimeError(f"the moon, {SECRET}, is away\nand more")


def test_the_command_line_says_one_line_and_where_the_trace_is(state, monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 75
    error = capsys.readouterr().err
    kept = state / "logs" / "errors.log"
    assert "error: unforeseen RuntimeError: the moon, ***, is away." in error
    assert str(kept) in error
    assert "Traceback" not in error
    assert "Traceback" in kept.read_text()
    assert SECRET not in kept.read_text() + error


def test_a_job_says_so_to_its_scheduler_which_may_try_again(state, tmp_path, monkeypatch, capsys):
    result = tmp_path / "result.json"
    monkeypatch.setattr(job, "catalog_of", fail)
    monkeypatch.setattr(sys, "argv", ["bronze.py", "--pipeline", "p", "--run-id", "r", "--result", str(result)])
    with pytest.raises(SystemExit) as ended:
        job.main(Layer.BRONZE)
    assert ended.value.code == 75
    failure = json.loads(result.read_text())["failures"]["p"]
    assert failure["error"].startswith("unforeseen RuntimeError: the moon")
    assert failure["heals"]
    assert "Traceback" not in capsys.readouterr().err
    assert "catalog_of" in (state / "logs" / "errors.log").read_text()


def test_where_no_file_can_be_written_the_trace_is_not_lost(capsys):
    try:
        fail()
    except RuntimeError as error:
        told = keep_trace(error, None, [SECRET])
    assert isinstance(told, Unforeseen)
    assert "the log above" in str(told)
    said = capsys.readouterr()
    assert "unforeseen error" in said.out + said.err
