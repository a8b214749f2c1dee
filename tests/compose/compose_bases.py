"""The images that docker-compose.yaml names but does not build: pulled, or made here under the same tags.

Without a registry a stand-in is made of Debian's packages, Maven's jars, or the MinIO that the native stack builds; the
compose file is the same. An image that is there is never replaced, unless it is an older stand-in of ours.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from compose_engine import Engine, mirror, run

HERE = Path(__file__).parent / "bases"
BROKER = HERE.parents[2] / "kafka" / "pom.xml"
LABEL = "io.lakehouse.stand-in"
PULL_SECONDS = 120
CERTIFICATES = Path("/usr/local/share/ca-certificates")
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]


@dataclass(frozen=True)
class Base:
    """An image by the name of its folder below bases/, and what fills its build context."""

    name: str
    tag: str
    fill: Callable[[Engine, Path], None]


def provide(engine: Engine, tags: Mapping[str, str], minio: Callable[[], Path], say: Callable[[str], None]) -> None:
    """See that every image is there; `tags` names them by folder below bases/, `minio` returns the program."""
    fills: dict[str, Callable[[Engine, Path], None]] = {
        "python": _python,
        "postgres": _postgres,
        "minio": lambda _, context: shutil.copy(minio(), context / "minio"),
        "kafka": _kafka,
    }
    for name, fill in fills.items():
        base = Base(name, tags[name], fill)
        if _stands(engine, base) or _pulled(engine, base):
            continue
        say(f"{base.tag} cannot be pulled: a stand-in is made")
        _make(engine, base, tags["python"])


def _digest(base: Base) -> str:
    parts = sorted(path for path in (HERE / base.name).iterdir())
    return hashlib.sha256(b"".join(path.read_bytes() for path in [Path(__file__), BROKER, *parts])).hexdigest()[:16]


def _stands(engine: Engine, base: Base) -> bool:
    form = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    try:
        label = engine.docker("image", "inspect", "--format", form, base.tag).strip()
    except RuntimeError:
        return False
    return label in ("", "<no value>", _digest(base))


def _pulled(engine: Engine, base: Base) -> bool:
    try:
        engine.docker("pull", "--quiet", base.tag, timeout=PULL_SECONDS)
    except (RuntimeError, subprocess.TimeoutExpired):
        return False
    return True


def _make(engine: Engine, base: Base, python: str) -> None:
    with TemporaryDirectory(prefix="lakehouse-base-") as folder:
        context = Path(folder)
        shutil.copytree(HERE / base.name, context, dirs_exist_ok=True)
        base.fill(engine, context)
        words = ["--quiet", "--label", f"{LABEL}={_digest(base)}", "--build-arg", f"PYTHON_IMAGE={python}"]
        engine.docker("build", *words, "--tag", base.tag, folder)


def _python(engine: Engine, context: Path) -> None:
    _bootstrap(engine, context, "bookworm", "ca-certificates,curl,python3.11,python3.11-venv")
    found = sorted(CERTIFICATES.glob("*.crt")) if CERTIFICATES.is_dir() else []
    (context / "certificates").mkdir()
    for certificate in found:
        shutil.copy(certificate, context / "certificates")


def _postgres(engine: Engine, context: Path) -> None:
    no_cluster = 'echo create_main_cluster=false > "$1/etc/postgresql-common/createcluster.conf"'
    hook = f'--essential-hook=mkdir -p "$1/etc/postgresql-common" && {no_cluster}'
    _bootstrap(engine, context, "trixie", "postgresql-17", hook)


def _kafka(engine: Engine, context: Path) -> None:
    goal = ["dependency:copy-dependencies@broker", f"-Dbroker.to={context}/jars"]
    run(["mvn", "-B", "-q", "-f", str(BROKER), *goal], engine.environment)


def _bootstrap(engine: Engine, context: Path, release: str, packages: str, *more: str) -> None:
    source = f"deb {mirror()[0]} {release} main"
    words = ["--mode=root", "--variant=minbase", f"--include={packages}", *SLIM, *more]
    run(["mmdebstrap", *words, release, str(context / "root.tar"), source], engine.environment)
