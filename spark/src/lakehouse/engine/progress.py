"""How far a Silver table has come with its Bronze table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lakehouse.audit.result import RuleResult, TableResult
from lakehouse.changes.write import Commit
from lakehouse.engine.context import Context
from lakehouse.engine.drift import delta_columns, is_reshaped
from lakehouse.engine.orphans import no_orphans_any_more
from lakehouse.engine.references import are_outdated, referenced_versions
from lakehouse.errors import StateError
from lakehouse.lake import TableState
from lakehouse.lake.notes import newest_note
from lakehouse.specs import Layer, Silver, Table


@dataclass(frozen=True)
class Progress:
    """How far Silver has come with its Bronze, which commit this run would make, whether it judges all of Bronze.

    `feed` is the name of that Bronze table.
    `anew`: all of the table is written; it is not there yet, or `why` not all of it may stay.
    `references`: the versions of the tables that columns are taken over from, by full name.
    `held`: fingerprints of held rows that are judged again because their parents have come.
    `judged_by`: the contract version that the newest commit was judged by, where it is another than now.
    `aside`: the number of a commit that moves no progress.
    """

    uri: str
    silver: TableState | None
    bronze: TableState
    feed: str
    application: str
    whole: bool = True
    anew: bool = True
    why: str = ""
    references: Mapping[str, int] = field(default_factory=dict)
    held: Sequence[str] = ()
    judged_by: str = ""
    aside: int | None = None

    @property
    def number(self) -> int:
        """Return the number that the next commit carries."""
        return self.bronze.version if self.aside is None else self.aside

    @property
    def consumed(self) -> int:
        """Return the newest Bronze version that Silver has taken in; -1 before the first."""
        return -1 if self.silver is None or self.silver.number is None else self.silver.number

    @property
    def again(self) -> bool:
        """Whether all of Bronze has been consumed, and some of it is judged once more."""
        return self.consumed == self.bronze.version

    @property
    def is_settled(self) -> bool:
        """Whether the table needs no commit but for rows: its newest one says what it has consumed."""
        return self.again and self.silver is not None and not self.silver.restored

    def is_behind_history(self, history: TableState | None) -> bool:
        """Whether an attempt that ended before Silver's commit has left its changes in the history."""
        return history is not None and history.number is not None and history.number > self.consumed

    def is_in_history(self, history: TableState | None) -> bool:
        """Whether the history has a commit of this Bronze version already."""
        return history is not None and history.number is not None and history.number >= self.bronze.version

    def history_commit(self, table: Table, history: TableState | None, context: Context, result: TableResult) -> Commit:
        """Return the history's next commit: of its own name, unless that has made this number."""
        name = history_application(table)
        if self.is_in_history(history):
            return context.aside(context.lake.history(table), name, result)
        return context.commit(name, self.bronze.version, result)

    def result(self, table: Table, rules: list[RuleResult]) -> TableResult:
        """Return a successful run's result before its rows are counted."""
        return TableResult(
            table=table.full_name, layer=Layer.SILVER, status="SUCCESS", contract_version=table.version,
            key=[*table.key],
            versions_read={self.feed: self.bronze.version, **self.references}, rules=rules,
            note=self._note(),
        )  # fmt: skip

    @property
    def left(self) -> str:
        """Return the remark that rows stay as another version of the contract had them, where they do."""
        if self.whole or not self.judged_by:
            return ""
        return (
            f"the contract was {self.judged_by}: rows judged before stay as they are: --full-refresh judges them again"
        )

    def _note(self) -> str:
        if self.why:
            return f"{self.why}: made anew from Bronze"
        told = f"{len(self.held)} held rows judged again: their parents have come" if self.held else ""
        return "; ".join(filter(None, [told, self.left]))


def batch_application(table: Table) -> str:
    """Return the application id whose number is the Bronze version that Silver has taken in."""
    return f"silver:{table.name}"


def stream_application(table: Table) -> str:
    """Return the application id whose number is the version of the stream's events that Silver has taken in."""
    return f"stream:{table.name}"


def history_application(table: Table) -> str:
    """Return the application id whose number is the newest Bronze version of which the history has all changes."""
    return f"history:{table.name}"


def find_stream_progress(table: Table, context: Context) -> Progress | None:
    """Return where the table stands with the events of its stream, or None while there are none.

    Raises StateError where Silver is not there, or has another key or columns than its contract: a batch run makes
    it; and where events that Silver has taken in are lost.
    """
    events = context.state(context.lake.events(table), stream_application(table))
    silver = context.state(context.lake.of(table), stream_application(table))
    if silver is None or _changed_form(table, context):
        raise StateError(
            "the table is not there yet, or not with the key and the columns of its contract.",
            where=table.full_name,
            remedy=f"`lakehouse run {table.pipeline}` makes it; its stream goes on after that.",
        )
    taken, newest = -1 if silver.number is None else silver.number, -1 if events is None else events.version
    if taken > newest:
        stand = "there are none" if events is None else f"they stand at {newest}"
        raise StateError(
            f"Silver has taken in version {taken} of its events, but {stand}.",
            where=context.lake.events(table),
            remedy="they are lost, or were put back to an older state; restore them.",
        )
    if events is None:
        return None
    feed = f"{table.pipeline}.{Layer.BRONZE}.{table.name}_events"
    application = stream_application(table)
    return Progress(context.lake.of(table), silver, events, feed, application, whole=False, anew=False)


def find_progress(table: Table, block: Silver, context: Context) -> Progress | None:
    """Return where the table stands, or None while there is no Bronze table."""
    bronze = context.state(context.lake.bronze(table), f"bronze:{table.name}")
    silver = context.state(context.lake.of(table), batch_application(table))
    if bronze is None:
        return None
    if silver is not None and (silver.number is None or silver.number > bronze.version):
        raise StateError(
            f"Silver has consumed Bronze version {silver.number}, but Bronze stands at {bronze.version}.",
            where=table.full_name,
            remedy=_remedy(table, block, context),
        )
    if silver is not None and bronze.made_at > silver.committed_at:
        raise StateError(
            f"Bronze was made at {bronze.made_at:%Y-%m-%d %H:%M:%S}, after Silver's newest commit of another Bronze.",
            where=table.full_name,
            remedy=_remedy(table, block, context),
        )
    feed = f"{table.pipeline}.{Layer.BRONZE}.{table.name}"
    progress = Progress(context.lake.of(table), silver, bronze, feed, batch_application(table))
    references = referenced_versions(table, block, context)
    why = "" if silver is None else _why_anew(table, block, context, progress, references)
    anew = silver is None or bool(why)
    whole = anew or context.options.full_refresh or _is_widened(table, context, progress)
    held = () if whole or context.options.replay else no_orphans_any_more(table, context)
    application, aside = _own_commit(progress, context)
    return replace(
        progress, application=application, aside=aside, whole=whole, anew=anew, why=why, references=references,
        held=held, judged_by=_judged_by(table, context),
    )  # fmt: skip


def _own_commit(progress: Progress, context: Context) -> tuple[str, int | None]:
    """Judging again what has been consumed is a commit of its own: the table's own number would be a repeat."""
    if not progress.again:
        return progress.application, None
    application = f"{progress.application}:{context.run_id}"
    return application, context.lake.next_number(progress.uri, application)


def _judged_by(table: Table, context: Context) -> str:
    """Return the contract version that the table was last judged by, where it is not the table's."""
    note = newest_note(context.lake, context.lake.of(table))
    return "" if note is None or note.result.contract_version == table.version else note.result.contract_version


def _remedy(table: Table, block: Silver, context: Context) -> str:
    places = [context.lake.of(table), *([context.lake.history(table)] if block.history else [])]
    return f"restore Bronze, or move {' and '.join(places)} away: a run makes them anew from it."


def _why_anew(table: Table, block: Silver, context: Context, progress: Progress, references: Mapping[str, int]) -> str:
    if form := _changed_form(table, context):
        return form
    if are_outdated(table, block, context, references):
        return "what its references say changed"
    if block.history and _history_lacks(table, context, progress.consumed):
        return "its history lacks changes"
    return ""


def _changed_form(table: Table, context: Context) -> str:
    """Say what of the table's form is not its contract's; empty where nothing is, or no commit tells its key."""
    if is_reshaped(table, context.lake.open(context.lake.of(table))):
        return "its columns changed"
    note = newest_note(context.lake, context.lake.of(table))
    return "its key changed" if note and note.result.key and note.result.key != [*table.key] else ""


def _history_lacks(table: Table, context: Context, consumed: int) -> bool:
    """Whether the history is not there, or behind Silver: the contract has asked for one only since."""
    history = context.state(context.lake.history(table), history_application(table))
    return history is None or history.number is None or history.number < consumed


def _is_widened(table: Table, context: Context, progress: Progress) -> bool:
    """Whether a column of Bronze was widened since it was last consumed: Delta gives no changes across that."""
    bronze = context.lake.open(context.lake.bronze(table))
    if bronze is None or "delta.typeChanges" not in bronze.schema().to_json():
        return False
    now = delta_columns(bronze)
    bronze.load_as_version(progress.consumed)
    return any(now[name] != kind for name, kind in delta_columns(bronze).items())
