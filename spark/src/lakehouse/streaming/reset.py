"""Forget a simulation: the messages of its topic, its events in Bronze, and how far Silver has come with them."""

from __future__ import annotations

from lakehouse.audit.lease import hold
from lakehouse.changes.files import snapshot
from lakehouse.changes.place import place_of
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.errors import StateError
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.specs import Table
from lakehouse.streaming.ensure import make_anew
from lakehouse.streaming.topics import Topic


def reset(settings: Settings, table: Table, topic: Topic, run_id: str) -> list[str]:
    """Make the topic anew and remove its events; rows of Silver stay. Return what was removed, in words.

    Raises LeaseHeld while the stream or a batch run is at work on the table.
    """
    names = [table.stream_name, table.full_name]
    with hold(settings.need_audit_url(), names, run_id, 1) as lease:
        done = [f"topic {topic.name}"] if make_anew(settings.brokers(), topic) else []
        lake = Lake(settings, table.pipeline)
        lease.check()
        if _forget(settings, lake, table, run_id):
            done.append(f"progress of {table.full_name}")
        events = place_of(settings, lake.events(table))
        # The log first, its oldest entry last: what an interruption leaves is an older state of the table.
        files = sorted((file.path for file in events.list_tree()), key=lambda path: (path.startswith("_"), path))
        files.reverse()
        if files:
            events.delete(files)
            done.append(f"{lake.events(table)} ({len(files)} files)")
    return done


def _forget(settings: Settings, lake: Lake, table: Table, run_id: str) -> bool:
    """Commit on Silver that nothing of the stream has been taken in; first, for events without it would be refused."""
    application, uri = f"stream:{table.name}", lake.of(table)
    state, delta = lake.state(uri, application), lake.open(uri)
    if delta is None or state is None or state.number is None or state.number < 0:
        return False
    held = snapshot(settings, delta, uri)
    if held.table is None:
        raise StateError("the table is gone.", where=uri)
    commit_change(held, Change.appending(held.none(), held), Commit(f"reset:{run_id}", 0, "", {application: -1}))
    return True
