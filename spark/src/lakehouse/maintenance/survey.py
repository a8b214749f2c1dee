"""What a table's folder holds: small files that could be one, and files that no kept version names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from lakehouse.changes.files import rows_of, stored_rows
from lakehouse.changes.log import Action, active_files, entry_versions, newest_checkpoint, read_entry
from lakehouse.changes.place import Place, StoredFile
from lakehouse.changes.vectors import vector_path
from lakehouse.maintenance.kept import Kept

SMALL_BYTES = 32 << 20
# As many small files as a commit a day leaves in a week are worth a rewrite; so is a file with a fifth of it deleted.
SMALL_FILES, DELETED_SHARE = 8, 0.2
# A file that no commit names may belong to a commit that is being made.
UNFINISHED = timedelta(days=1)


@dataclass(frozen=True)
class Survey:
    """A table at its newest `version`; `obsolete` are files that no kept version needs, `freed` their bytes.

    `small` of `files` files are under 32 MiB; `hollow` ones have more than a fifth of their rows deleted.
    `first` is the oldest version that stays readable.
    """

    version: int
    first: int
    files: int
    small: int
    hollow: int
    obsolete: tuple[str, ...]
    freed: int

    @property
    def pays(self) -> bool:
        """Whether compaction saves readers more than it costs."""
        return self.small >= SMALL_FILES or self.hollow > 0


def survey(place: Place, version: int, kept: Kept, now: datetime) -> Survey:
    """Look at a table's log and files; nothing is changed."""
    entries = {number: read_entry(place, number) for number in entry_versions(place) if number <= version}
    since = _oldest_within(entries, now - kept.retention)
    since = min(since, version if kept.consumed is None else kept.consumed)
    # A table that was made anew has not come to versions that were published of the one before.
    published = {each for each in kept.published if each <= version}
    needed = _named(entries, since) | _active(place, {since, *published})
    first = min(since, *published, version)
    stored = [file for file in place.list_tree() if now - file.modified > min(UNFINISHED, kept.retention)]
    checkpoint = _checkpoint_before(place, first)
    obsolete = [file for file in stored if not _is_needed(file, needed, checkpoint)]
    live = active_files(place, version)
    return Survey(
        version=version,
        first=first,
        files=len(live),
        small=sum(int(add["size"]) < SMALL_BYTES for add in live),
        hollow=sum(rows_of(add) < (1 - DELETED_SHARE) * stored_rows(add) for add in live),
        obsolete=tuple(file.path for file in obsolete),
        freed=sum(file.size for file in obsolete),
    )


def _oldest_within(entries: Mapping[int, list[Action]], cutoff: datetime) -> int:
    """Return the version that readers saw at `cutoff`; the oldest that there is, if all are younger."""
    before = [number for number, actions in entries.items() if _committed_at(actions) <= cutoff]
    return max(before, default=min(entries))


def _committed_at(actions: Iterable[Action]) -> datetime:
    """Return a commit's own time; one that does not say is taken for new."""
    stamps = [action["commitInfo"].get("timestamp") for action in actions if "commitInfo" in action]
    return datetime.fromtimestamp(stamps[0] / 1000, UTC) if stamps and stamps[0] else datetime.max.replace(tzinfo=UTC)


def _named(entries: Mapping[int, list[Action]], since: int) -> set[str]:
    """Return the files that versions after `since` added, their change files and vectors among them."""
    later = [action for number, actions in entries.items() if number > since for action in actions]
    return _paths([action[kind] for action in later for kind in ("add", "cdc") if kind in action])


def _active(place: Place, versions: Iterable[int]) -> set[str]:
    return set().union(*(_paths(active_files(place, version)) for version in versions))


def _paths(files: Iterable[Action]) -> set[str]:
    named = set()
    for file in files:
        named.add(unquote(file["path"]))
        vector = vector_path(file.get("deletionVector") or {})
        if vector is not None:
            named.add(vector)
    return named


def _checkpoint_before(place: Place, version: int) -> int:
    """Return the newest checkpoint that is not after `version`; 0 where there is none: the log begins there."""
    return max(newest_checkpoint(place, version), 0)


def _is_needed(file: StoredFile, needed: set[str], checkpoint: int) -> bool:
    """Whether a file stays: named by a kept version, or a part of the log from `checkpoint` on.

    The local file system's checksum of a file (`.name.crc`) goes with the file.
    """
    folder, _, name = file.path.rpartition("/")
    whole = name.removeprefix(".").removesuffix(".crc") if name.startswith(".") and name.endswith(".crc") else name
    if folder != "_delta_log":
        return (f"{folder}/{whole}" if folder else whole) in needed
    return not whole[:20].isdigit() or int(whole[:20]) >= checkpoint
