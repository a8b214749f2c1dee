"""Where the native stack keeps its files: all below the folder that LAKEHOUSE_STATE names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import RUNNING_LAKE, Settings
from lakehouse.stack.errors import StackError

# A Unix socket's path may hold 107 bytes.
LONGEST_STATE = 85


@dataclass(frozen=True)
class Layout:
    """Paths below one state folder."""

    state: Path

    @property
    def logs(self) -> Path:
        """One file a part, and the logs of Airflow's tasks."""
        return self.state / "logs"

    @property
    def parts(self) -> Path:
        """What each part is started with, secrets among it."""
        return self.state / "parts"

    @property
    def socket(self) -> Path:
        """Where supervisord takes commands."""
        return self.state / "supervisor.sock"

    @property
    def config(self) -> Path:
        """Generated configuration of supervisord."""
        return self.state / "supervisord.conf"

    @property
    def pid(self) -> Path:
        """Process id of supervisord."""
        return self.state / "supervisord.pid"

    @property
    def running_lake(self) -> Path:
        """Which lake the jobs of the running stack work on; there from `up` to `down`."""
        return self.state / RUNNING_LAKE

    def data(self, part: str) -> Path:
        """Data of a part, which outlives `make down`."""
        return self.state / part

    def log(self, part: str) -> Path:
        """Log of a part."""
        return self.logs / f"{part}.log"


def layout(settings: Settings) -> Layout:
    """Return the layout of the settings' state folder; `StackError` where its path is too long for a socket."""
    state = settings.path(settings.state)
    if len(str(state).encode()) > LONGEST_STATE:
        raise StackError(
            f"The path {state} is too long for a socket.",
            where="LAKEHOUSE_STATE",
            allowed=f"up to {LONGEST_STATE} bytes",
            remedy="set LAKEHOUSE_STATE to a folder with a shorter path.",
        )
    return Layout(state)


def make_folders(place: Layout) -> None:
    """Make the folders of a layout; nobody else can read how parts are started."""
    for folder in (place.state, place.logs, place.parts):
        folder.mkdir(parents=True, exist_ok=True)
    place.parts.chmod(0o700)
