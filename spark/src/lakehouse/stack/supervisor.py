"""supervisord keeps the parts: its configuration, its start, and what is asked of it over its socket."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import Faults, SupervisorTransport

from lakehouse.stack.errors import StackError
from lakehouse.stack.layout import Layout
from lakehouse.stack.part import MARK, inherited
from lakehouse.stack.tools import run_tool

# Postgres takes SIGTERM for "when the last client has left"; SIGINT cuts clients off.
STOP_SIGNALS = {"postgres": "INT"}
ORDER = (
    *("postgres", "minio", "kafka"),
    *("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
)
# Words of supervisord for a part that has been started and not ended.
ACTIVE = ("STARTING", "RUNNING")
HEAD = """\
[supervisord]
logfile={place.logs}/supervisord.log
logfile_maxbytes=5MB
pidfile={place.pid}
childlogdir={place.logs}
umask=027
{user}
[unix_http_server]
file={place.socket}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """\
[program:{name}]
command={command}
autostart=false
autorestart=true
startsecs=1
startretries=3
stopsignal={signal}
stopwaitsecs=20
stopasgroup={group}
killasgroup=true
priority={priority}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


def configuration(place: Layout) -> str:
    """Return the text of supervisord.conf: every part, none started by itself, none with a secret."""
    head = HEAD.format(place=place, user="user=root" if os.geteuid() == 0 else "")
    programs = [
        PROGRAM.format(
            name=name,
            command=shlex.join([sys.executable, "-m", "lakehouse.stack.part", f"{place.parts}/{name}.json"]),
            signal=STOP_SIGNALS.get(name, "TERM"),
            # A signal to the children of Postgres would look like a crash to it.
            group=str(name not in STOP_SIGNALS).lower(),
            priority=number,
            log=place.log(name),
        )
        for number, name in enumerate(ORDER, start=1)
    ]
    return "".join([head, *programs]).replace("%", "%%")


def start_supervisor(place: Layout) -> None:
    """Start supervisord if it does not run; `StackError` when it does not take commands within 10 seconds."""
    if is_running(place):
        return
    place.config.write_text(configuration(place))
    run_tool(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(place.config)],
        what="supervisord",
        env={**inherited(), MARK: str(place.state), "PYTHONSAFEPATH": "1"},
    )
    deadline = time.monotonic() + 10
    while not is_running(place):
        if time.monotonic() > deadline:
            raise StackError("supervisord does not answer.", where=str(place.logs / "supervisord.log"))
        time.sleep(0.05)


def is_running(place: Layout) -> bool:
    """Tell whether this state folder's supervisord takes commands."""
    try:
        with _calls(place) as calls:
            calls.getState()
    except (OSError, xmlrpc.client.Error):
        return False
    return True


def part_states(place: Layout) -> dict[str, str]:
    """Return supervisord's word for each part, such as RUNNING, STOPPED, BACKOFF; empty when it does not run."""
    if not is_running(place):
        return {}
    with _calls(place) as calls:
        return {info["name"]: info["statename"] for info in calls.getAllProcessInfo()}


def start_part(place: Layout, name: str) -> None:
    """Have a part started, if it is not; whether it answers is the caller's to find out."""
    with _calls(place) as calls:
        try:
            calls.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise StackError(f"{name} does not start: {fault.faultString}", where=str(place.log(name))) from None


def stop_part(place: Layout, name: str) -> None:
    """Stop a part and wait until it has ended; nothing happens where it does not run."""
    with _calls(place) as calls, suppress(xmlrpc.client.Fault):
        calls.stopProcess(name, True)


def stop_supervisor(place: Layout, *, timeout: float = 60) -> None:
    """Stop every part, the last started first, and then supervisord itself. `timeout` is in seconds."""
    pid = int(place.pid.read_text())
    with _calls(place) as calls:
        calls.shutdown()
    deadline = time.monotonic() + timeout
    while _alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def stop_strays(place: Layout, *, timeout: float = 15) -> int:
    """End processes of this stack that no supervisord keeps any more, and return how many there were.

    Such are left when supervisord was killed, and where a task of Airflow has started a program of its own.
    """
    found = _strays(place)
    for kind, seconds in ((signal.SIGINT, timeout), (signal.SIGKILL, timeout)):
        for pid in _strays(place):
            with suppress(ProcessLookupError):
                os.kill(pid, kind)
        deadline = time.monotonic() + seconds
        while _strays(place) and time.monotonic() < deadline:
            time.sleep(0.05)
    return len(found)


def _strays(place: Layout) -> list[int]:
    mark = f"{MARK}={place.state}".encode()
    pids = (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and _has(pid, mark)]


def _has(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and _alive(pid)
    except (ProcessLookupError, FileNotFoundError, PermissionError):
        return False


def _alive(pid: int) -> bool:
    """A zombie has ended: its parent has only not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@contextmanager
def _calls(place: Layout) -> Iterator[Any]:
    transport = SupervisorTransport(None, None, f"unix://{place.socket}")
    try:
        yield cast(Any, xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)).supervisor
    finally:
        transport.close()
