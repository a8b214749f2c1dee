"""The form that Airflow shows before a run: what may be asked, with types that Airflow itself holds people to."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Param

# Without "null" among its types Airflow's form calls a param required, although it has a default.
DRY_RUN = Param(
    False,
    "Only say what would be done: nothing is written.",
    type=["null", "boolean"],
    title="Dry run",
)


def form(tables: Sequence[str]) -> dict[str, Param]:
    """Return the params of a pipeline's DAG; `tables` are the names that may be chosen."""
    return {
        "tables": Param(
            [],
            "Only these tables; all if none is chosen. Bronze follows its Silver table.",
            type=["null", "array"],
            items={"type": "string", "enum": list(tables)},
            examples=list(tables),
            uniqueItems=True,
            title="Tables",
        ),
        "full_refresh": Param(
            False, "Read and judge everything again.", type=["null", "boolean"], title="Full refresh"
        ),
        "window_from": _moment("Read again what the source changed from this moment on.", "Window from"),
        "window_to": _moment("… up to this moment, not included.", "Window to"),
        "quarantine_limit": Param(
            None,
            "Share of a table's rows that may be rejected in this run, 0 to 1, in place of every contract's own; "
            "their quarantine_floor stands.",
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Quarantine limit",
        ),
        "dry_run": DRY_RUN,
    }


def _moment(description: str, title: str) -> Param:
    return Param(None, description, type=["null", "string"], format="date-time", title=title)
