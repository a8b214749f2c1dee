"""A table's contract as its file says it: where the docs of DAGs and tasks lead."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from lakehouse.errors import SpecError
from lakehouse.settings import Settings

router = APIRouter()
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Bronze is derived from the Silver table's contract.
_FOLDERS = {"bronze": "silver", "silver": "silver", "gold": "gold"}


@router.get("/contracts/{pipeline}/{layer}/{table}", response_class=PlainTextResponse)
def contract(request: Request, pipeline: str, layer: str, table: str) -> str:
    """The contract's file, as it stands now; a broken one too."""
    return contract_text(request.app.state.reader.settings, pipeline, layer, table)


def contract_text(settings: Settings, pipeline: str, layer: str, table: str) -> str:
    """Return a contract's text; raises SpecError where there is none of these names."""
    name = f"{pipeline}.{layer}.{table}"
    if layer in _FOLDERS and _NAME.fullmatch(pipeline) and _NAME.fullmatch(table):
        file = settings.path(settings.pipelines) / pipeline / _FOLDERS[layer] / f"{table}.odcs.yaml"
        if file.is_file():
            return file.read_text("utf-8")
    raise SpecError(f"no contract is named {name}.", remedy="`lakehouse validate` lists what there is.")
