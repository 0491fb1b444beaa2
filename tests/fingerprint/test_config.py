"""Configuration files mean one thing, or are refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import strategies
from provenance.errors import (
    FileError,
    FormatError,
    LimitError,
    NotRegularError,
    UnreadableError,
)
from provenance.fingerprint import config
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Write = "Callable[[str, str | bytes], Path]"


_JSON_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | strategies.unicode_text
)


def _json_containers(
    inner: st.SearchStrategy[values.Value],
) -> st.SearchStrategy[values.Value]:
    lists = st.lists(inner, max_size=3)
    return lists | st.dictionaries(strategies.unicode_text, inner, max_size=3)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def put(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


def read(path: Path) -> values.Value:
    return config.read(path)[0]


CONTENT = {
    "a.json": '{"lr": 0.1, "layers": [1, true, "x"], "opt": {"nan": NaN}}',
    "a.toml": 'lr = 0.1\nlayers = [1, true, "x"]\n[opt]\nnan = nan\n',
    "a.yaml": "lr: 0.1\nlayers: [1, true, x]\nopt:\n  nan: .nan\n",
    "A.YML": "{lr: 0.1, layers: [1, yes, 'x'], opt: {nan: .NaN}}",
}


class TestEveryFormat:
    @pytest.mark.parametrize("name", CONTENT)
    def test_equal_content_gives_equal_values(self, write: Write, name: str) -> None:
        expected = {"lr": 0.1, "layers": [1, True, "x"], "opt": {"nan": float("nan")}}
        found, facts = config.read(write(name, CONTENT[name]))
        assert values.of(found) == values.of(expected)
        digest = hashlib.sha256(CONTENT[name].encode()).hexdigest()
        assert facts == {"file": name, "sha256": digest}

    @pytest.mark.parametrize("name", CONTENT)
    def test_a_mark_of_the_byte_order_is_no_content(
        self, write: Write, name: str
    ) -> None:
        content = CONTENT[name].encode()
        assert values.of(read(write(name, b"\xef\xbb\xbf" + content))) == values.of(
            read(write(f"b{name}", content))
        )

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("twice.json", '{"a": {"b": 1, "b": 1}}'),
            ("twice.toml", "[a]\nb = 1\nb = 1\n"),
            ("twice.yaml", "a:\n  b: 1\n  b: 1\n"),
            ("twice-as-text.yaml", "a: {1: x, '1': x}"),
            ("two-merges.yaml", "a: {<<: {}, <<: {}}"),
            ("no-merges.yaml", "a: {<<: [], <<: {}}"),
        ],
    )
    def test_a_key_that_stands_twice_is_refused(
        self, write: Write, name: str, content: str
    ) -> None:
        with pytest.raises(FormatError, match=f"'{name}'"):
            read(write(name, content))

    @pytest.mark.parametrize("ending", ["json", "toml", "yaml"])
    @pytest.mark.parametrize("content", [b"\xff\xfe{}", b"{a: [", b"\x00"])
    def test_what_is_not_in_the_format_is_refused(
        self, write: Write, ending: str, content: bytes
    ) -> None:
        with pytest.raises(FormatError, match=f"is not {ending.upper()}"):
            read(write(f"odd.{ending}", content))

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("deep.json", "[" * 100_000),
            ("deep.toml", "a = " + "[" * 100_000),
            ("deep.yaml", "[" * 100_000),
            ("less-deep.json", "[" * 70 + "]" * 70),
            ("less-deep.toml", "a = " + "[" * 70 + "]" * 70),
            ("less-deep.yaml", "[" * 70 + "]" * 70),
            ("large.json", " " * (2**20 + 1)),
            ("large.toml", "#" * (2**20 + 1)),
            ("large.yaml", "#" * (2**20 + 1)),
            ("many.json", json.dumps([0] * 10_001)),
            ("many.toml", f"a = {[0] * 10_001}"),
            ("many.yaml", f"{[0] * 10_001}"),
        ],
    )
    def test_limits_are_kept_and_the_file_is_named(
        self, write: Write, name: str, content: str
    ) -> None:
        with pytest.raises(LimitError, match=f"'{name}'"):
            read(write(name, content))

    def test_what_can_be_parsed_but_not_spelled_is_refused(self, write: Write) -> None:
        with pytest.raises(LimitError, match=r"'big\.toml'"):
            read(write("big.toml", "a = 1" + "0" * 2_000))
        with pytest.raises(FormatError, match=r"'half\.yaml'.* lone surrogate"):
            read(write("half.yaml", r'"\ud800"'))

    def test_another_ending_is_refused(self, write: Write) -> None:
        with pytest.raises(FormatError, match=r"use \.json, \.toml, \.yaml, \.yml"):
            read(write("settings.ini", "[a]"))

    @given(st.recursive(_JSON_SCALARS, _json_containers, max_leaves=20))
    def test_json_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, value: values.Value
    ) -> None:
        path = tmp_path_factory.mktemp("json") / "a.json"
        path.write_text(json.dumps(value))
        assert values.of(read(path)) == values.of(value)


class TestToml:
    def test_dates_and_times_are_text(self, write: Write) -> None:
        text = "a = 2026-01-31\nb = [09:30:00]\nc.d = 2026-01-31T09:30:00Z\n"
        assert read(write("a.toml", text)) == {
            "a": "2026-01-31",
            "b": ["09:30:00"],
            "c": {"d": "2026-01-31T09:30:00+00:00"},
        }


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", None),
            ("~", None),
            ("2026-01-31", "2026-01-31"),
            ("2026-01-31 09:30:00 +01:00", "2026-01-31T09:30:00+01:00"),
            ("!!binary aGk=", b"hi"),
            ("'1'", "1"),
            ("1e-4", "1e-4"),
            ("1.0e-4", 0.0001),
            ("0x10", 16),
            ("off", False),
            ("{1: a, true: b, ~: c, 0.5: d, 2026-01-31: e}", None),
            ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
            (
                "- &x {a: 1, b: 2}\n- {<<: *x, b: 3}",
                [{"a": 1, "b": 2}, {"a": 1, "b": 3}],
            ),
            ("{<<: [{a: 1}, {a: 2, b: 2}], c: 3}", {"a": 1, "b": 2, "c": 3}),
        ],
    )
    def test_values_are_those_of_the_safe_loader(
        self, write: Write, text: str, expected: values.Value
    ) -> None:
        if text.startswith("{1: a"):
            expected = {"1": "a", "true": "b", "null": "c", "0.5": "d"}
            expected["2026-01-31"] = "e"
        assert values.of(read(write("a.yaml", text))) == values.of(expected)

    @given(strategies.json_values)
    def test_what_others_write_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, value: values.Value
    ) -> None:
        path = tmp_path_factory.mktemp("yaml") / "a.yaml"
        path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
        assert read(path) == yaml.safe_load(path.read_text(encoding="utf-8"))

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a: !!python/object/apply:os.system [id]", "line 1: the tag "),
            ("a: 1\nb: !mine x", "line 2: the tag !mine has no plain value"),
            ("!!set {a, b}", "the tag "),
            ("a: !!int x", "line 1: this is no "),
            ("a: 2026-13-45", "line 1: this is no "),
            ("? [1]\n: 2", "line 1: a key is a list or a mapping"),
            ("{<<: 1}", "line 1: only mappings can be merged"),
            ("{<<: [1]}", "line 1: only mappings can be merged"),
            ("--- 1\n--- 2", "is not YAML in line 2"),
            ("a: *nowhere", "is not YAML in line 1: found undefined alias"),
            ("a: \x07", "is not YAML: it holds a character that may not"),
        ],
    )
    def test_what_is_no_plain_value_is_named_by_its_line(
        self, write: Write, text: str, reason: str
    ) -> None:
        with pytest.raises(FormatError) as caught:
            read(write("odd.yaml", text))
        assert str(caught.value).startswith("'odd.yaml'")
        assert reason in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "a0: &a0 [x]\n"
            + "".join(
                f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
            ),
            "a0: &a0 {x: 1}\n"
            + "".join(
                f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n"
                for n in range(1, 9)
            ),
            "&a [*a]",
            "&a {<<: *a}",
        ],
        ids=["lists", "merges", "a list in itself", "a merge of itself"],
    )
    def test_attack_026_aliases_cannot_make_a_small_file_large(
        self, write: Write, text: str
    ) -> None:
        with pytest.raises(LimitError, match=r"'laughs\.yaml'"):
            read(write("laughs.yaml", text))

    def test_without_pyyaml_it_says_what_to_install(self, write: Write) -> None:
        path = write("a.yaml", "a: 1")
        code = (
            "import sys; sys.modules['yaml'] = None\n"
            "from provenance.fingerprint import config\n"
            f"config.read({str(path)!r})"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        assert "pip install 'training-provenance[yaml]'" in done.stderr
        assert "FormatError: 'a.yaml' cannot be read without PyYAML" in done.stderr


class TestFiles:
    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match=r"'none\.json'"):
            read(tmp_path / "none.json")

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").mkdir()
        with pytest.raises(FileError, match="is a folder"):
            read(tmp_path / "a.json")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
    def test_a_fifo_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.json")
        with pytest.raises(NotRegularError, match="is a FIFO"):
            read(tmp_path / "a.json")

    def test_a_link_is_followed_and_keeps_its_name(
        self, write: Write, tmp_path: Path
    ) -> None:
        (tmp_path / "link.json").symlink_to(write("real.txt", "{}"))
        assert config.read(tmp_path / "link.json")[1]["file"] == "link.json"

    def test_the_facts_hold_no_folder_of_the_machine(self, write: Write) -> None:
        path = write("a.json", "{}")
        assert config.read(str(path))[1]["file"] == "a.json"
