"""`make up`, `make down`, and Postgres alone for `make demo`."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from lakehouse.settings import Settings
from lakehouse.stack import kafka
from lakehouse.stack.binaries import fetch_postgres
from lakehouse.stack.environment import need_secrets
from lakehouse.stack.errors import StackError
from lakehouse.stack.job_environment import jobs_lake
from lakehouse.stack.kafka_jars import fetch_kafka
from lakehouse.stack.layout import Layout, layout, make_folders
from lakehouse.stack.minio import fetch_minio, find_minio, need_go
from lakehouse.stack.part import Part, write_part
from lakehouse.stack.parts import all_parts, native_postgres, pom, postgres_part
from lakehouse.stack.ports import need_free
from lakehouse.stack.supervisor import (
    ACTIVE,
    is_running,
    part_states,
    start_part,
    start_supervisor,
    stop_part,
    stop_strays,
    stop_supervisor,
)
from lakehouse.stack.tools import last_line

# Seconds until a part has to answer; Airflow takes 25 on two idle cores.
PATIENCE = 180.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class PartState:
    """A part, where it is reached (empty: by no one), its state, and whether this call has started it.

    State is `running`, `starting` (does not answer yet), `failed` (ended, and started anew in vain) or `stopped`.
    """

    name: str
    address: str
    state: str
    started: bool = False


def silent(_: str) -> None:
    """Say nothing."""


def up(settings: Settings, say: Say = silent) -> list[PartState]:
    """Start what does not run yet of Postgres, MinIO, Kafka and Airflow; each answers when this returns.

    From then on `load_settings` of this state folder takes the lake of the stack's jobs. `say` is told of each step.
    `StackError` on a missing program, a taken port or a part that does not answer,
    `SettingsError` on a missing secret; what this call has started is then stopped again.
    """
    need_secrets(settings)
    place = layout(settings)
    make_folders(place)
    cache = settings.path(settings.cache)
    if find_minio(cache) is None:
        need_go()
        say("Building MinIO, once: some minutes")
    fetch_minio(cache)
    fetch_postgres(cache, pom(settings))
    fetch_kafka(cache, kafka.pom(settings))
    parts = _bring_up(place, all_parts(settings, place), say)
    _tell_lake(place, settings)
    return parts


def _tell_lake(place: Layout, settings: Settings) -> None:
    new = place.running_lake.with_suffix(".new")
    new.write_text(json.dumps(jobs_lake(settings)))
    new.replace(place.running_lake)


def start_postgres_only(settings: Settings, say: Say = silent) -> PartState:
    """Start Postgres alone, with databases source, audit and airflow; errors as of `up`."""
    need_secrets(settings, "postgres_password")
    place = layout(settings)
    make_folders(place)
    fetch_postgres(settings.path(settings.cache), pom(settings))
    return _bring_up(place, [postgres_part(native_postgres(settings, place))], say)[0]


def start_kafka_only(settings: Settings, say: Say = silent) -> PartState:
    """Start Kafka beside whatever runs already, without its topics; errors as of `up`."""
    place = layout(settings)
    make_folders(place)
    fetch_kafka(settings.path(settings.cache), kafka.pom(settings))
    return _bring_up(place, [kafka.kafka_part(kafka.native_kafka(settings, place))], say)[0]


def down(settings: Settings) -> list[str]:
    """Stop what `up` or `start_postgres_only` started, data stays; return the names of the parts that ran."""
    place = layout(settings)
    if not place.state.exists():
        return []
    with _alone(place):
        ran = [name for name, word in part_states(place).items() if word in (*ACTIVE, "BACKOFF")]
        if is_running(place):
            stop_supervisor(place)
        stop_strays(place)
        place.running_lake.unlink(missing_ok=True)
        for file in place.parts.glob("*.json"):
            file.unlink()
    return ran


def state(settings: Settings) -> list[PartState]:
    """Look at every part; nothing is started."""
    place = layout(settings)
    words = part_states(place)
    return [PartState(part.name, part.address, _state(part, words)) for part in all_parts(settings, place)]


def _state(part: Part, words: dict[str, str]) -> str:
    word = words.get(part.name, "STOPPED")
    if word in ACTIVE:
        return "running" if part.answers() else "starting"
    return "failed" if word in ("BACKOFF", "FATAL", "EXITED") else "stopped"


def _bring_up(place: Layout, parts: Sequence[Part], say: Say) -> list[PartState]:
    with _alone(place):
        if not is_running(place):
            stop_strays(place)
        words = part_states(place)
        missing = [part for part in parts if _state(part, words) != "running"]
        try:
            _start(place, missing, words, say)
        except BaseException:
            _take_back(place, missing)
            raise
    return [PartState(part.name, part.address, "running", part in missing) for part in parts]


def _start(place: Layout, parts: Sequence[Part], words: dict[str, str], say: Say) -> None:
    for part in parts:
        if words.get(part.name) not in ACTIVE:
            for setting, port in part.ports.items():
                need_free(port, setting)
    start_supervisor(place)
    # The four of Airflow start beside each other: each spends seconds on importing.
    for kind, wave in groupby(parts, key=lambda part: part.name.partition("-")[0]):
        say(f"Starting {kind}")
        _start_wave(place, list(wave))


def _start_wave(place: Layout, wave: Sequence[Part]) -> None:
    for part in wave:
        part.before()
        write_part(part, place.parts, place.state)
        start_part(place, part.name)
    for part in wave:
        _wait(place, part, time.monotonic() + PATIENCE)
        part.after()


def _wait(place: Layout, part: Part, deadline: float) -> None:
    log = place.log(part.name)
    while not part.answers():
        if part_states(place).get(part.name) == "FATAL":
            raise StackError(f"{part.name} ends as soon as it is started.", where=str(log), remedy=last_line(log))
        if time.monotonic() > deadline:
            raise StackError(f"{part.name} does not answer.", where=str(log), remedy=last_line(log))
        time.sleep(0.1)


def _take_back(place: Layout, parts: Sequence[Part]) -> None:
    """Stop what was started in vain, and supervisord with the last of them."""
    if not is_running(place):
        return
    for part in reversed(parts):
        stop_part(place, part.name)
    if not any(word in ACTIVE for word in part_states(place).values()):
        stop_supervisor(place)
        stop_strays(place)


@contextmanager
def _alone(place: Layout) -> Iterator[None]:
    """Of two calls at once, the second waits for the first."""
    with (place.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
