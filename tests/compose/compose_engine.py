"""A Docker engine for the tests: the machine's own, or one unpacked beside it that ends with them.

Nothing is installed: Debian's packages are fetched with an apt configuration of their own and unpacked into the cache.
Debian 13 has the engine; everything else comes from the machine's own release.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FROM_DEBIAN_13 = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd")
BESIDE = ("iptables", "runc", "tini", "mmdebstrap")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
IPTABLES = ("iptables", "ip6tables", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore")
START_SECONDS = 30
STOP_SECONDS = 60
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


class NoEngine(Exception):
    """No engine can be had here; the message says why."""


@dataclass(frozen=True)
class Engine:
    """How to reach an engine: the environment for `docker`, and whether it was started here."""

    environment: Mapping[str, str]
    ours: bool

    def docker(self, *words: str, timeout: float = 600, check: bool = True) -> str:
        """Run `docker …` and return what it printed; an error carries its last lines."""
        return run(["docker", *words], self.environment, timeout=timeout, check=check)


def run(command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 600, check: bool = True) -> str:
    """Run a program to its end and return what it printed; a failure carries the last lines of that."""
    done = subprocess.run(
        list(command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} … ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


@contextmanager
def engine(cache: Path) -> Iterator[Engine]:
    """Hold an engine with compose v2 and buildx; raises NoEngine where none answers and none can be started."""
    if _answers(_plain(), "info", "compose", "buildx"):
        yield Engine(_plain(), ours=False)
        return
    environment = _environment(fetched(cache), cache)
    with _network_as_it_was(environment, cache):
        daemon = _start(environment, cache)
        try:
            yield Engine(environment, ours=True)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(STOP_SECONDS)


def client(cache: Path) -> Engine:
    """Return `docker` with compose v2, whether or not an engine answers; raises NoEngine where it cannot be had."""
    if _answers(_plain(), "compose"):
        return Engine(_plain(), ours=False)
    return Engine(_environment(fetched(cache), cache), ours=False)


def _plain() -> dict[str, str]:
    """This process's environment without settings: those of a project are in its env file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}


def mirror() -> tuple[str, str]:
    """Return the address that this machine gets Debian from, and its release, as apt itself understands its sources."""
    form = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
    lines = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], os.environ).splitlines()
    for line in lines:
        address, release, component = line.split()
        if component == "main" and address.rstrip("/").endswith("/debian") and "-" not in release:
            return address, release
    raise NoEngine("this machine's apt knows no Debian mirror.")


def fetched(cache: Path) -> Path:
    """Return the folder that the engine's packages are unpacked in; the first call fetches 93 MB."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoEngine("no Docker engine answers, and without apt none can be fetched.")
    root = cache / "engine" / "root"
    if (root / ".complete").exists():
        return root
    shutil.rmtree(root.parent, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial"):
        (root.parent / folder).mkdir(parents=True)
    environment = {**os.environ, "APT_CONFIG": str(_apt_configuration(root.parent, *mirror()))}
    run(["apt-get", "update", "-q"], environment)
    words = ["install", "-q", "-y", "--no-install-recommends", "--reinstall", "--download-only"]
    run(["apt-get", *words, *FROM_DEBIAN_13, *BESIDE], environment)
    for package in sorted((root.parent / "archives").glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(root)], os.environ)
        package.unlink()
    _link(root)
    (root / ".complete").touch()
    return root


def _apt_configuration(folder: Path, address: str, release: str) -> Path:
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    releases = dict.fromkeys((release, "trixie"))
    (folder / "sources.list").write_text("".join(f"deb {key} {address} {each} main\n" for each in releases))
    (folder / "preferences").write_text(
        "Package: *\nPin: release n=trixie\nPin-Priority: 100\n\n" * (release != "trixie")
        + f"Package: {' '.join(FROM_DEBIAN_13)}\nPin: release n=trixie\nPin-Priority: 990\n"
    )
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": folder / "preferences",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    file = folder / "apt.conf"
    file.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    return file


def _link(root: Path) -> None:
    """Make what the packages' own scripts would: the names of iptables, and docker's plugins in a folder of ours."""
    programs = root / "usr" / "bin"
    for name in IPTABLES:
        (programs / name).symlink_to("../sbin/xtables-nft-multi")
    plugins = root / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    for plugin in (root / "usr/libexec/docker/cli-plugins").iterdir():
        (plugins / plugin.name).symlink_to(plugin)


def _environment(root: Path, cache: Path) -> dict[str, str]:
    path = [f"{root}/usr/bin", f"{root}/usr/sbin", os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return {
        **_plain(),
        "PATH": os.pathsep.join(path),
        "LD_LIBRARY_PATH": f"{root}/{LIBRARIES}",
        "XTABLES_LIBDIR": f"{root}/{LIBRARIES}/xtables",
        "DOCKER_CONFIG": f"{root}/config",
        "DOCKER_HOST": f"unix://{cache}/docker.sock",
    }


def _start(environment: Mapping[str, str], cache: Path) -> subprocess.Popen[bytes]:
    if os.geteuid():
        raise NoEngine("no Docker engine answers, and only root can start one.")
    log = cache / "dockerd.log"
    folders = ["--data-root", f"{cache}/data", "--exec-root", f"{cache}/exec", "--pidfile", f"{cache}/dockerd.pid"]
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            ["dockerd", *folders, "--host", environment["DOCKER_HOST"]],
            env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not _answers(environment, "info"):
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            daemon.wait()
            said = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise NoEngine(f"dockerd does not start here: {said} ({log})")
        time.sleep(0.2)
    return daemon


@contextmanager
def _network_as_it_was(environment: Mapping[str, str], cache: Path) -> Iterator[None]:
    """Take away what a daemon leaves in the kernel: its bridge, its filters, forwarding, and a mounted namespace."""
    forwarding, bridge = FORWARDING.read_text(), Path("/sys/class/net/docker0")
    had_bridge, policy = bridge.exists(), _policy(run(["iptables-save"], environment))
    try:
        yield
    finally:
        rules = run(["iptables-save"], environment)
        kept = [line for line in rules.splitlines() if not re.search(r"DOCKER|docker0|br-[0-9a-f]{12}", line)]
        text = "\n".join([*kept, ""]).replace(_policy(rules), policy)
        subprocess.run(["iptables-restore"], env=dict(environment), input=text, text=True, check=True)
        FORWARDING.write_text(forwarding)
        if bridge.exists() and not had_bridge:
            run(["ip", "link", "delete", "docker0"], environment)
        run(["umount", f"{cache}/exec/netns/default"], environment, check=False)
        shutil.rmtree(cache / "exec", ignore_errors=True)


def _policy(rules: str) -> str:
    """Return what `iptables-save` says of packets that are passed on and match no rule."""
    found = re.search(r"^:FORWARD (ACCEPT|DROP)", rules, re.MULTILINE)
    return found[0] if found else ":FORWARD ACCEPT"


def _answers(environment: Mapping[str, str], *parts: str) -> bool:
    words = {"info": ["info", "--format", "{{.ServerVersion}}"]}
    for part in parts:
        try:
            run(["docker", *words.get(part, [part, "version"])], environment, timeout=20)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            return False
    return True
