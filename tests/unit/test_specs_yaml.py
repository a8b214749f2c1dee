"""Specs are YAML as data only: what is refused, on which line, and what no value is guessed to be."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lakehouse.specs.yaml_source import MAX_BYTES, YamlProblem, read_yaml


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


REFUSED = {
    "object_tag": ("a: 1\nb: !!python/object/apply:os.system ['id']\n", 2, "tag"),
    "local_tag": ("a: 1\nb:\n  - !env HOME\n", 3, "tag"),
    "standard_tag": ("a: !!binary aGk=\n", 1, "tag"),
    "anchor": ("a: 1\nb: &x [1, 2]\n", 2, "anchors"),
    "alias": ("a: 1\nb: *x\n", 2, "anchors"),
    "merge_key": ("a: &x {c: 1}\nb:\n  <<: *x\n", 1, "anchors"),
    "doubled_key": ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", 5, '"c" stands twice'),
    "doubled_in_flow": ("a: {b: 1,\n  b: 2}\n", 2, '"b" stands twice'),
    "key_that_is_a_list": ("a: 1\n? [b, c]\n: 2\n", 2, "key must be text"),
    "two_documents": ("a: 1\n---\nb: 2\n", 2, "second document"),
    "not_yaml": ("a: 1\nb: [1, 2\nc: 3\n", 3, "expected"),
    "tab_indent": ("a:\n\tb: 1\n", 2, "token"),
    "nul_byte": ("a: 1\nb: x\x00y\n", 2, "U+0000"),
    "latin_1": (b"a: 1\nb: S\xe3o Paulo\n", 2, "UTF-8"),
    "deep": ("a: 1\nb: " + "[" * 5000 + "]" * 5000, 2, "nested deeper"),
    "endless_digits": ("a: 1\nb: " + "9" * 5000 + "\n", 2, "digits"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, line, word = REFUSED[case]
    with pytest.raises(YamlProblem) as refused:
        read_yaml(written(tmp_path, text))
    assert (refused.value.line, word in refused.value.message) == (line, True), refused.value.message


def test_an_anchor_bomb_never_grows(tmp_path: Path) -> None:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.process_time()
    with pytest.raises(YamlProblem, match="anchors") as refused:
        read_yaml(written(tmp_path, "\n".join(levels)))
    assert refused.value.line == 1
    assert time.process_time() - started < 1


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 1\n")
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(YamlProblem, match=str(MAX_BYTES)):
        read_yaml(path)


def test_nothing_is_guessed(tmp_path: Path) -> None:
    """Country code NO, an `on:` key, zip prefixes, dates, sexagesimals and versions stay the text that was written."""
    text = "no: NO\non: on\nyes: y\nzip: 0123\nday: 2018-02-30\ntime: 12:30:45\nhex: 0x1F\nversion: 1.0.0\n"
    text += "exp: 1e3\nunder: 1_000\nnan: .nan\nempty: ''\nmerge: <<\nequals: =\n"
    assert read_yaml(written(tmp_path, text)).data == {
        "no": "NO", "on": "on", "yes": "y", "zip": "0123", "day": "2018-02-30", "time": "12:30:45", "hex": "0x1F",
        "version": "1.0.0", "exp": "1e3", "under": "1_000", "nan": ".nan", "empty": "", "merge": "<<", "equals": "=",
    }  # fmt: skip


def test_what_is_typed(tmp_path: Path) -> None:
    data = read_yaml(written(tmp_path, "a: true\nb: false\nc: 0\nd: -12\ne: 1.50\nf: null\ng:\nh: ~\n")).data
    assert data == {"a": True, "b": False, "c": 0, "d": -12, "e": 1.5, "f": None, "g": None, "h": None}
    assert type(data["a"]) is bool
    assert type(data["c"]) is int


def test_a_byte_order_mark_and_crlf_are_taken(tmp_path: Path) -> None:
    document = read_yaml(written(tmp_path, b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 2\r\n"))
    assert document.data == {"a": 1, "b": {"c": 2}}
    assert document.line(("b", "c")) == 3


def test_lines_of_values(tmp_path: Path) -> None:
    document = read_yaml(written(tmp_path, "a:\n  - x: 1\n    y: 2\n  - {x: 3,\n     y: 4}\n"))
    assert [document.line(("a", 0, "y")), document.line(("a", 1)), document.line(("a", 1, "y"))] == [3, 4, 5]
    assert document.line(("a", 1, "z", "w")) == 4, "what is not there is reported at the nearest value around it"


def test_an_empty_file_is_no_data(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "# nothing\n")).data is None
