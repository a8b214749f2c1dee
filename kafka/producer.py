"""The producer of review events: `python kafka/producer.py --count 1000 --rate 100`, as `lakehouse stream produce`."""

import sys

from lakehouse.cli import main

sys.argv[1:1] = ["stream", "produce"]
main()
