"""Every contract is one that a public tool accepts: datacontract-cli, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = sorted((ROOT / "spark" / "pipelines").glob("*/*/*.odcs.yaml"))
ENVIRONMENT = Path(
    os.environ.get("LAKEHOUSE_DATACONTRACT", "~/.cache/lakehouse/datacontract-venv")
).expanduser()  # fmt: skip
# What `datacontract lint` does for one file, for all in one process: its start costs more than its work.
LINT = """
import json, logging, sys
from datacontract.data_contract import DataContract
logging.disable(logging.CRITICAL)
runs = {path: DataContract(data_contract_file=path).lint() for path in sys.argv[1:]}
print(json.dumps({path: [run.result.value, [str(check.reason) for check in run.checks]] for path, run in runs.items()}))
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ENVIRONMENT / "bin" / "datacontract").exists(),
        reason=f"datacontract-cli is not installed in {ENVIRONMENT}; install it with: make datacontract",
    ),
]


def lint(*paths: Path) -> dict[str, tuple[str, list[str]]]:
    command = [ENVIRONMENT / "bin" / "python", "-c", LINT, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {Path(path).name: tuple(found) for path, found in json.loads(done.stdout.splitlines()[-1]).items()}


def test_every_contract_passes() -> None:
    assert len(CONTRACTS) >= 21
    found = lint(*CONTRACTS)
    assert {name: reasons for name, (result, reasons) in found.items() if result != "passed"} == {}
    assert len(found) == len(CONTRACTS)


def test_the_command_itself_says_so() -> None:
    command = [ENVIRONMENT / "bin" / "datacontract", "lint", CONTRACTS[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def test_a_contract_outside_the_standard_is_told(tmp_path: Path) -> None:
    path = tmp_path / "orders.odcs.yaml"
    text = (ROOT / "spark/pipelines/olist/silver/orders.odcs.yaml").read_text("utf-8")
    path.write_text(text.replace("domain: olist", "domian: olist"), "utf-8")
    result, reasons = lint(path)["orders.odcs.yaml"]
    assert result == "failed"
    assert any("domian" in reason for reason in reasons)
