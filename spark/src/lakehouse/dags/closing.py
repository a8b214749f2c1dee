"""The tasks after the layers: the quality gate and the publication. They need no JVM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from lakehouse.audit.lease import hold
from lakehouse.dags.assets import tell_assets
from lakehouse.dags.part import Part, part_of_run
from lakehouse.log import get_logger
from lakehouse.publication import Published, covered_tables, make_public, pass_gate, published_tables
from lakehouse.specs import Layer, Table

log = get_logger(__name__)
# Another run of these tables, by hand, is waited for this long.
PATIENCE_SECONDS = 60


def quality_gate(pipeline: str) -> dict[str, int]:
    """Check what the run covers and differs from the published state; return the version of each table that was judged.

    After a dry run there is nothing to judge: it is skipped, and what follows with it.
    """
    with part_of_run(pipeline, get_current_context()) as part:
        if part.asked.dry_run:
            part.succeed()
            raise AirflowSkipException(
                "dry run: nothing was written, so there is nothing to judge, to publish or to export."
            )
        judged = pass_gate(part.settings, part.catalog, part.audit, part.run_id, _covered(part))
        for check in judged.checks:
            log.info(
                "checked", table=check.table, check=check.check, value=check.value, passed=check.passed,
                severity=check.severity,
            )  # fmt: skip
        log.info("gate passed", tables=len(judged.versions), checks=len(judged.checks))
        part.end()
        return judged.versions


def publish(pipeline: str, judged: Mapping[str, int] | None) -> dict[str, Any]:
    """Show what was judged to readers, all at once, and end the run; return the publication and whether it is new.

    Each Gold table that readers see anew is told as an asset's event, with its rows and what the run did to them.
    """
    context = get_current_context()
    with part_of_run(pipeline, context) as part:
        done = _publish(part, judged or {})  # none where a person has set the gate's state
        number = done.manifest.number if done.manifest else None
        log.info("published" if done.is_new else "nothing new to publish", publication=number, before=done.before)
        tell_assets(context, part, done.manifest)
        part.succeed()
        return {"publication": number, "new": done.is_new}


def export(pipeline: str) -> None:
    """Hand what was published to other systems; skipped while no target for it is configured."""
    raise AirflowSkipException(f"no export target is configured for {pipeline}: nothing leaves the lake.")


def _publish(part: Part, judged: Mapping[str, int]) -> Published:
    names = [part.catalog.pipeline.name, *(table.full_name for table in published_tables(part.catalog))]
    url = part.settings.need_audit_url()
    with hold(url, names, part.run_id, part.attempt, PATIENCE_SECONDS) as lease:
        return make_public(part.settings, part.catalog, part.audit, part.run_id, _covered(part), judged, lease.check)


def _covered(part: Part) -> list[Table]:
    return covered_tables(part.catalog, list(Layer), part.asked.tables)
