"""Which process wrote a row, and whether it still lives."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

import psutil

from lakehouse.audit.process import Process, _start_of


def test_this_process_is_itself_and_alive():
    this = Process.this()
    assert this.pid == os.getpid()
    assert not this.is_gone()
    ticks = int(this.start.rpartition("/")[2])
    began = psutil.boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    assert abs(began - psutil.Process().create_time()) < 2


def test_a_program_name_with_spaces_and_parentheses_is_read_right(tmp_path: Path):
    odd = tmp_path / "a ) b ( 1 2"
    odd.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(odd), "60"])
    try:
        seen = Process(Process.this().host, process.pid, _start_of(process.pid) or "")
        ticks = int(seen.start.rpartition("/")[2])
        began = psutil.boot_time() + ticks / os.sysconf("SC_CLK_TCK")
        assert abs(began - psutil.Process(process.pid).create_time()) < 2
        assert not seen.is_gone()
    finally:
        process.kill()
        process.wait()
    assert seen.is_gone()


def test_another_process_with_the_pid_is_not_the_one_written_down():
    assert dataclasses.replace(Process.this(), start="boot/1").is_gone()


def test_of_another_machine_nothing_is_known():
    assert not Process("another-machine", 999_999_999, "boot/1").is_gone()
