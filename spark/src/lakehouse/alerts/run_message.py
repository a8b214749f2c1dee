"""The message of a run: how it stands, by layer, what failed and why, what was rejected by which rule, drift, links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from lakehouse.alerts.embed import Embed, Grid, bare, code
from lakehouse.alerts.facts import LONGEST_LIST, RunFacts
from lakehouse.alerts.scrub import scrub
from lakehouse.settings import Settings

_MOST_LINES = 10
_STATES = {
    "RUNNING": ("running", "🔵", "is running"),
    "SUCCESS": ("success", "🟢", "succeeded"),
    "SKIPPED": ("success", "🟢", "had nothing to do"),
    "FAILED": ("failed", "🔴", "failed"),
    "UNKNOWN": ("warning", "🟠", "is known by its commits alone"),
}


def run_message(run: RunFacts, settings: Settings, secrets: Sequence[str] = ()) -> Embed:
    """Return a run's message; it holds names and counts, and of errors no values of rows."""
    colour, sign, words = _STATES[run.status]
    if run.is_recovery:
        colour, sign, words = "recovered", "🟢", "recovered"
    elif run.status == "SUCCESS" and run.rules:
        colour, sign = "warning", "🟠"
    fields = [
        ("Failed", _failures(run, secrets)),
        ("Recovered", _recovery(run)),
        ("Quarantined, by rule", _quarantined(run)),
        ("Drift", _lines(f"{table}.{column}: {kind}, {action}" for table, column, kind, action in run.drift)),
        ("Links", links(run, settings)),
    ]
    return Embed(
        title=f"{sign} {run.pipeline} {words}",
        colour=colour,
        description="\n".join(filter(None, [_headline(run), _layers(run)])),
        fields=[(name, value) for name, value in fields if value],
        footer=f"lakehouse runs show {run.run_id}",
    )


def _headline(run: RunFacts) -> str:
    # Discord counts the minutes of a run at work by itself, so the message need not be edited for that.
    began = int(run.began_at.timestamp())
    time = f"began <t:{began}:R>" if run.ended_at is None else f"{duration(run.seconds)}, began <t:{began}:f>"
    parts = [f"Run `{run.run_id.replace('`', '')}`", f"by {bare(run.trigger)}", time]
    parts += [f"attempt {run.attempt}"] if run.attempt > 1 else []
    parts += [f"publication {run.publication}"] if run.publication else []
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds as people say them: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _layers(run: RunFacts) -> str:
    if not run.layers:
        return ""
    grid = Grid(["layer", "in", "out", "quarantined", "tables"])
    for each in run.layers:
        notes = [f"{each.failed} failed"] if each.failed else []
        notes += [f"{each.running} at work"] if each.running else []
        told = f"{each.tables} ({', '.join(notes)})" if notes else str(each.tables)
        grid.rows.append([each.layer, f"{each.rows_in:,}", f"{each.rows_out:,}", f"{each.quarantined:,}", told])
    return code(grid.text())


def _failures(run: RunFacts, secrets: Sequence[str]) -> str:
    if run.status != "FAILED":
        return ""
    told = [f"**{bare(table)}**: {bare(_cause(table, error, secrets))}" for table, error in run.failed_tables]
    if not any(error in run.error or run.error in error for _, error in run.failed_tables):
        told.insert(0, bare(scrub(run.error, secrets)))
    return _lines(told, marked=True)


def _cause(table: str, error: str, secrets: Sequence[str]) -> str:
    return scrub(error.removeprefix(f"{table}: "), secrets)


def _recovery(run: RunFacts) -> str:
    if not run.is_recovery:
        return ""
    if run.failed_before == run.run_id:
        return f"An earlier attempt had failed; attempt {run.attempt} went well."
    return f"The run before it, `{str(run.failed_before).replace('`', '')}`, had failed."


def _quarantined(run: RunFacts) -> str:
    told = (f"{table} · {rule}{f' ({column})' if column else ''}: {rows:,}" for table, rule, column, rows in run.rules)
    return _lines(told)


def _lines(texts: Iterable[str], *, marked: bool = False) -> str:
    """Return at most ten lines within a field's limit, and how many there are beside them."""
    every = [text if marked else bare(text) for text in texts]
    shown = every[:_MOST_LINES]
    while len("\n".join(shown)) > 900 and len(shown) > 1:
        shown.pop()
    left = len(every) - len(shown)
    known = "" if len(every) <= LONGEST_LIST else "at least "
    return "\n".join([*shown, *([f"… and {known}{left} more"] if left else [])])


def links(run: RunFacts, settings: Settings) -> str:
    """Return where people look further; a path of Airflow is only taken as a path."""
    found, pages = [], settings.dashboard_url
    base = settings.airflow_url or f"http://127.0.0.1:{settings.airflow_port}"
    if run.link.startswith("/") and not run.link.startswith("//"):
        found.append(f"[Airflow run]({base}{quote(run.link, safe='/%')})")
        pages = pages or f"{base}/lakehouse/runs/{{run_id}}"
    if pages:
        address = pages.replace("{run_id}", quote(run.run_id, safe=""))
        found.append(f"[Dashboard]({address.replace('{pipeline}', quote(run.pipeline, safe=''))})")
    return " · ".join(found)
