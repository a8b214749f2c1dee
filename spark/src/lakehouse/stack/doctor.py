"""What would keep the platform from running on this machine, each with what to do about it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from lakehouse.settings import Settings
from lakehouse.stack.finding import Finding, judge
from lakehouse.stack.layout import layout
from lakehouse.stack.minio import find_minio
from lakehouse.stack.ports import is_free
from lakehouse.stack.supervisor import ACTIVE, part_states
from lakehouse.stack.tools import JDK
from lakehouse.stack.versions import examine_versions

GIB = 2**30
MAVEN = "install Maven 3.8 or newer (Debian: `apt-get install maven`)."
PORTS = {
    "postgres_port": "postgres",
    "minio_port": "minio",
    "minio_console_port": "minio",
    "kafka_port": "kafka",
    "kafka_controller_port": "kafka",
    "airflow_port": "airflow-api-server",
}


def examine(settings: Settings) -> list[Finding]:
    """Look at the machine, the installed versions, the ports and the secrets; nothing is changed."""
    return [
        examine_java(),
        examine_maven(),
        examine_minio(settings),
        examine_memory(),
        examine_disk(settings.path(settings.state)),
        *examine_versions(settings.path(settings.jars)),
        *examine_ports(settings),
        *examine_secrets(settings),
    ]


def examine_java() -> Finding:
    """Java of JAVA_HOME, or else of PATH, as Spark and Maven choose it."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    if java is None or not Path(java).exists():
        return Finding("Java", False, f"none at {java}" if home else "none on PATH", JDK)
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'^.*version "(\d+).*$', said, re.MULTILINE)
    return judge("Java", bool(match and int(match[1]) >= 17), match[0] if match else java, JDK)


def examine_maven() -> Finding:
    """Maven, by its presence: it fetches the jars, Kafka and the embedded Postgres."""
    found = shutil.which("mvn")
    return judge("Maven", found is not None, found or "none on PATH", MAVEN)


def examine_minio(settings: Settings) -> Finding:
    """MinIO for `make up`: on PATH, built before, or to be built with Go."""
    found = find_minio(settings.path(settings.cache)) or shutil.which("go")
    remedy = "for `make up` put a `minio` on PATH, or Go 1.24 or newer, which builds one."
    return judge("MinIO", found is not None, str(found or "neither minio nor go on PATH"), remedy)


def examine_memory(need: float = 4.5) -> Finding:
    """Memory that can be had now, in GiB: a driver, Airflow, MinIO, Kafka and Postgres beside each other."""
    line = re.search(r"^MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    free = int(line[1]) * 1024 / GIB if line else 0.0
    remedy = f"close something: `make demo` wants 3 GiB, `make up` {need:g}."
    return judge("Memory", free >= need, f"{free:.1f} GiB available", remedy)


def examine_disk(folder: Path, need: float = 5.0) -> Finding:
    """Room where tables and databases are kept, in GiB."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / GIB
    remedy = f"make room for {need:g} GiB, or set LAKEHOUSE_STATE to a folder on another disk."
    return judge("Disk", free >= need, f"{free:.0f} GiB free at {existing}", remedy)


def examine_ports(settings: Settings) -> Iterator[Finding]:
    """The ports that the native parts listen on: free, or held by the part itself."""
    words = part_states(layout(settings))
    for field, part in PORTS.items():
        port, name = getattr(settings, field), f"LAKEHOUSE_{field.upper()}"
        found = "free" if is_free(port) else f"held by our {part}" if words.get(part) in ACTIVE else "taken"
        remedy = f"stop what listens there (`ss -ltnp 'sport = :{port}'`) or set {name} in .env."
        yield judge(f"Port {port}", found != "taken", found, remedy)


def examine_secrets(settings: Settings) -> Iterator[Finding]:
    """`.env`: there, closed to others, complete. No value is shown."""
    fields = {name: field for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    made = [name for name, field in fields.items() if "`make init`" in (field.description or "")]
    missing = [f"LAKEHOUSE_{name.upper()}" for name in made if not getattr(settings, name).get_secret_value()]
    yield judge("Secrets", not missing, "set" if not missing else f"missing: {', '.join(missing)}", "`make init`")
    file = settings.path(Path(".env"))
    if file.exists():
        mode = stat.S_IMODE(file.stat().st_mode)
        yield judge(".env", not mode & 0o077, f"mode {mode:o}", f"`chmod 600 {file}`")
