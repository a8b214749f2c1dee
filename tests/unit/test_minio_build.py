"""MinIO is built once, however many want it at once; a stand-in for Go tells how often it was called."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.stack.minio import fetch_minio

GO = """#!/bin/sh
echo called >> {calls}
sleep 0.3
mkdir -p "$GOBIN" && echo built > "$GOBIN/minio" && chmod +x "$GOBIN/minio"
"""


def test_two_at_once_build_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, calls, cache = tmp_path / "bin" / "go", tmp_path / "calls", tmp_path / "cache"
    go.parent.mkdir()
    go.write_text(GO.format(calls=calls))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(go.parent), "/usr/bin", "/bin"]))
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(fetch_minio, [cache, cache])
    assert first == second
    assert first.read_text() == "built\n"
    assert calls.read_text() == "called\n"
    assert [path.name for path in first.parent.iterdir() if path.is_dir()] == []
