"""The embedded Postgres: fetched once by Maven, unpacked into a cache outside the checkout."""

from __future__ import annotations

import platform
import re
import tarfile
import tempfile
import zipfile
from pathlib import Path

from lakehouse.stack.errors import StackError
from lakehouse.stack.tools import need_tool, run_tool

ARCHIVE = "postgres-linux-x86_64.txz"
MAVEN = "install Maven 3.8 or newer (Debian: `apt-get install maven`)."


def pom_property(pom: Path, name: str) -> str:
    """Return a version that spark/pom.xml names, such as `postgres.version`."""
    found = re.search(rf"<{re.escape(name)}>([^<]+)</", pom.read_text())
    if found is None:
        raise StackError(f"no property {name}", where=str(pom))
    return found[1]


def postgres_home(cache: Path, pom: Path) -> Path:
    """Return the folder that holds bin/, lib/ and share/ of Postgres once it has been fetched."""
    return cache / "postgres" / pom_property(pom, "postgres.version")


def fetch_postgres(cache: Path, pom: Path) -> Path:
    """Return the same folder, filled: the first call downloads 15 MB."""
    home = postgres_home(cache, pom)
    if not (home / "bin" / "postgres").exists():
        _need_linux_amd64()
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as work:
            place_whole(_unpack(_download(pom, Path(work))), home)
    return home


def _need_linux_amd64() -> None:
    machine = (platform.system(), platform.machine())
    if machine != ("Linux", "x86_64"):
        raise StackError(
            f"The embedded Postgres is for Linux on amd64, this machine is {' '.join(machine)}.",
            remedy="use a Postgres of your own: LAKEHOUSE_AUDIT_URL and LAKEHOUSE_CONNECTIONS__SOURCE in .env.",
        )


def _download(pom: Path, folder: Path) -> Path:
    mvn = need_tool("mvn", MAVEN)
    command = [mvn, "-B", "-q", "-f", str(pom), "dependency:copy@postgres", f"-Dpostgres.to={folder}"]
    run_tool(command, what="Fetching Postgres by Maven")
    return next(folder.glob("*.jar"))


def _unpack(jar: Path) -> Path:
    target = jar.parent / "unpacked"
    target.mkdir(mode=0o755)
    with zipfile.ZipFile(jar) as outer, outer.open(ARCHIVE) as packed, tarfile.open(fileobj=packed, mode="r:xz") as tar:
        tar.extractall(target, filter="data")
    return target


def place_whole(made: Path, home: Path) -> None:
    """Move a folder into the cache whole; of two processes that make it at once, one wins and both go on."""
    try:
        made.rename(home)
    except OSError:
        if not home.exists():
            raise
