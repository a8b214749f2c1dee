"""What a killed part leaves behind is ended by the next one, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# A supervisor with a session of its own: of its parts `other` lives on, `killed` has left a worker in the session and
# a program in a session of its own, one with the part's mark and one without. Then `again` ends what is left behind.
SUPERVISOR = """
import os, subprocess, sys, time
from pathlib import Path

folder, marked = Path(sys.argv[1]), {**os.environ, "PART": "killed"}
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

def note(name, pid):
    (folder / f"{name}.new").write_text(str(pid))
    (folder / f"{name}.new").rename(folder / name)

other = subprocess.Popen(SLEEP)
note("other", other.pid)
killed = os.fork()
if killed == 0:
    note("worker", subprocess.Popen(SLEEP).pid)
    note("program", subprocess.Popen(SLEEP, env=marked, start_new_session=True).pid)
    note("stranger", subprocess.Popen(SLEEP, env={**marked, "PART": "other"}, start_new_session=True).pid)
    os._exit(9)
os.waitpid(killed, 0)
done = subprocess.run(
    [sys.executable, "-c", "from lakehouse.stack import leftovers as l; print(*l.end_leftovers({'PART': 'killed'}))"],
    capture_output=True, text=True, check=True,
)
note("ended", done.stdout)
other.wait()
"""


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_what_a_killed_part_left_is_ended_and_nothing_else(tmp_path):
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], start_new_session=True)
    try:
        assert eventually((tmp_path / "ended").exists)
        pids = {name: int((tmp_path / name).read_text()) for name in ("other", "worker", "program", "stranger")}
        ended = {int(pid) for pid in (tmp_path / "ended").read_text().split()}
        assert ended == {pids["worker"], pids["program"]}
        assert eventually(lambda: not is_alive(pids["worker"]) and not is_alive(pids["program"]))
        assert is_alive(pids["other"])
        assert is_alive(pids["stranger"])
        assert is_alive(supervisor.pid)
    finally:
        for name in ("other", "worker", "program", "stranger"):
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((tmp_path / name).read_text()), signal.SIGKILL)
        supervisor.kill()
        supervisor.wait()
