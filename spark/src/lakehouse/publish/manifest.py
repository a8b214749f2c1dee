"""The manifest: one publication of a pipeline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from lakehouse.errors import StateError


@dataclass(frozen=True)
class Manifest:
    """The Delta version of every table that readers of a pipeline see, by the table's name."""

    number: int
    pipeline: str
    run_id: str
    published_at: datetime
    tables: dict[str, int]
    rolled_back_to: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON holds them, the instant as ISO 8601."""
        return {**asdict(self), "published_at": self.published_at.isoformat()}

    @classmethod
    def from_dict(cls, record: dict[str, Any], where: str) -> Self:
        """Read what `as_dict` gave; raises StateError, naming `where` it stood, for anything else."""
        try:
            manifest = cls(**{**record, "published_at": datetime.fromisoformat(record["published_at"])})
            manifest.check()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(
                f"the manifest cannot be read: {error!r}.",
                where=where,
                remedy="restore the file from a backup of the ops layer; nothing is published over it.",
            ) from error
        return manifest

    def check(self) -> None:
        """Raise ValueError unless every field is of its kind and at least one table is named."""
        numbers = [self.number, *self.tables.values()]
        if not all(type(each) is int and each >= 0 for each in numbers) or self.number < 1:
            raise ValueError("a number or a version is not a whole number from 0")
        if not self.tables or not all(isinstance(each, str) and each for each in (*self.tables, self.run_id)):
            raise ValueError("no table or no run is named")
        if self.published_at.tzinfo is None:
            raise ValueError("published_at has no time zone")
