"""What is told on stderr while something works."""

from __future__ import annotations

import subprocess
import sys

TOLD = """
import time
from lakehouse.cli.screen import notes
notes.print("first")
time.sleep(0.5)
for number in range(3):
    notes.print("more", number)
print("done")
"""


def test_that_nobody_listens_any_more_ends_nothing():
    process = subprocess.Popen([sys.executable, "-c", TOLD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    assert process.stdout
    assert process.stderr.readline() == "first\n"
    process.stderr.close()
    assert (process.stdout.read(), process.wait(30)) == ("done\n", 0)
    process.stdout.close()
