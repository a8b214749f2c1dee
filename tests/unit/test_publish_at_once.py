"""Many publishers at once, and an answer lost on the way: no number twice, nothing overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lakehouse.errors import StoreUnavailable
from lakehouse.publish.store import publish

PUBLISHER = """
import json, sys, time
from lakehouse.publish.store import publish
from lakehouse.settings import Settings
who, start, settings = int(sys.argv[1]), float(sys.argv[2]), Settings(_env_file=None, **json.loads(sys.argv[3]))
time.sleep(max(0, start - time.time()))
print(json.dumps([publish(settings, "olist", f"r{who}", {"t": who * 100 + n}).number for n in range(10)]))
"""


def race(arguments: dict[str, str]) -> list[list[int]]:
    """Run 8 processes that publish 10 times each; return the numbers each was given."""
    start = str(time.time() + 3)
    command = [sys.executable, "-c", PUBLISHER]
    processes = [
        subprocess.Popen([*command, str(who), start, json.dumps(arguments)], stdout=subprocess.PIPE, text=True)
        for who in range(8)
    ]
    return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


def check_race(files, numbers: list[list[int]]) -> None:
    assert sorted(number for each in numbers for number in each) == list(range(1, 81)), "a number twice, or a gap"
    assert files.names() == [f"{number:010d}.json" for number in range(1, 81)]
    for who, given in enumerate(numbers):
        assert given == sorted(given)
        for n, number in enumerate(given):
            record = json.loads(files.read(f"{number:010d}.json"))
            assert (record["run_id"], record["tables"]) == (f"r{who}", {"t": who * 100 + n}), (
                "an answer was overwritten"
            )


@pytest.mark.slow
def test_eight_publishers_in_a_folder_never_get_one_number_twice(folder, raw):
    check_race(raw(folder), race({"home": str(folder.home)}))


@pytest.mark.slow
def test_eight_publishers_in_minio_never_get_one_number_twice(minio, raw):
    secret = minio.s3_secret_key.get_secret_value()
    told = {"lake": minio.lake, "s3_endpoint": minio.s3_endpoint, "s3_secret_key": secret}
    check_race(raw(minio), race({**told, "s3_access_key": minio.s3_access_key}))


def test_two_threads_that_publish_the_same_versions_make_one_publication(folder, raw):
    with ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(lambda n: publish(folder, "olist", f"r{n}", {"t": 1}), range(8)))
    assert {each.number for each in manifests} == {1}
    assert raw(folder).names() == ["0000000001.json"]


@pytest.mark.parametrize("answer", [None, 503], ids=["hangs_up", "busy"])
def test_a_publication_whose_answer_was_lost_is_not_made_twice(bucket, raw, answer):
    publish(bucket, "olist", "r1", {"t": 1})
    with losing_an_answer(bucket.s3_endpoint, answer, lambda: None) as (url, lost):
        through = bucket.model_copy(update={"s3_endpoint": url})
        try:
            given = publish(through, "olist", "r2", {"t": 2})
        except StoreUnavailable:
            given = publish(through, "olist", "r2", {"t": 2})
    assert lost == [200], "the proxy must have swallowed the answer of a write that was done"
    assert given.number == 2
    assert raw(bucket).names() == ["0000000001.json", "0000000002.json"]


def test_a_publication_is_known_as_ones_own_even_when_another_has_followed_it(bucket, raw):
    def another() -> None:
        publish(bucket, "olist", "r3", {"t": 3})

    with losing_an_answer(bucket.s3_endpoint, 503, another) as (url, lost):
        given = publish(bucket.model_copy(update={"s3_endpoint": url}), "olist", "r2", {"t": 2})
    assert lost == [200]
    assert (given.number, given.run_id) == (1, "r2")
    assert raw(bucket).names() == ["0000000001.json", "0000000002.json"]


@contextmanager
def losing_an_answer(
    endpoint: str, answer: int | None, meanwhile: Callable[[], None]
) -> Iterator[tuple[str, list[int]]]:
    """A proxy that passes the first PUT on, and then hangs up or answers otherwise; its URL and the lost status."""
    lost: list[int] = []

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = HTTPConnection(endpoint.removeprefix("http://"))
            upstream.request(self.command, self.path, body, dict(self.headers))
            given = upstream.getresponse()
            content = given.read()
            if self.command == "PUT" and not lost:
                lost.append(given.status)
                meanwhile()
                self.close_connection = True
                if answer:
                    self.send_response(answer)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                return
            self.send_response(given.status)
            for name, value in given.getheaders():
                if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = pass_on  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", lost
        server.shutdown()
