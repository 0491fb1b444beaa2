"""Names of files: one spelling each, portable in a release, no two alike."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provenance.encoding import paths
from provenance.errors import BadNameError

COMPONENT = st.binary(min_size=1, max_size=12).filter(
    lambda part: b"/" not in part and b"\0" not in part and part not in {b".", b".."}
)
PATH = st.lists(COMPONENT, min_size=1, max_size=4).map(b"/".join)


class TestSpelling:
    """The spelling is unique and turns back into the raw bytes."""

    @given(PATH)
    @example(b"%25")
    @example(b"\xed\xa0\x80")
    def test_every_path_turns_back_into_its_bytes(self, path: bytes) -> None:
        assert paths.parse(paths.spell(path)) == path

    @given(st.text(max_size=12))
    @example("%41")
    @example("%e9")
    @example("%C3%A9")
    def test_what_parses_is_spelled_the_same_again(self, name: str) -> None:
        try:
            path = paths.parse(name)
        except BadNameError:
            return
        assert paths.spell(path) == name

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            (b"a/b.txt", "a/b.txt"),
            (b"100%", "100%25"),
            (b"%FF", "%25FF"),
            (b"\xff\x80a", "%FF%80a"),
            (b"caf\xe9", "caf%E9"),
            ("café".encode(), "café"),
            # Overlong and surrogate forms are no valid UTF-8: each byte by itself.
            (b"\xc0\xaf", "%C0%AF"),
            (b"\xed\xa0\x80", "%ED%A0%80"),
            (b"a\nb", "a\nb"),
        ],
    )
    def test_the_spelling_is_that_of_the_format(self, path: bytes, name: str) -> None:
        assert paths.spell(path) == name
        assert paths.parse(name) == path

    @pytest.mark.parametrize(
        "name", ["%", "%4", "%e9", "%E", "%41", "%C3%A9", "a%2", "%2525%", "\ud800"]
    )
    def test_other_spellings_are_refused(self, name: str) -> None:
        with pytest.raises(BadNameError):
            paths.parse(name)

    @pytest.mark.parametrize(
        "path",
        [
            b"",
            b"/",
            b"/a",
            b"a/",
            b"a//b",
            b".",
            b"./a",
            b"a/.",
            b"..",
            b"../x",
            b"a/../b",
            b"a\0b",
        ],
    )
    def test_attack_009_unsafe_paths_have_no_spelling(self, path: bytes) -> None:
        with pytest.raises(BadNameError):
            paths.spell(path)
        with pytest.raises(BadNameError):
            paths.parse(path.decode())

    def test_messages_can_show_any_bytes(self) -> None:
        assert paths.show(b"/x/\xff%") == "/x/%FF%25"


class TestPortableNames:
    """Files of a release have names that mean the same everywhere."""

    @pytest.mark.parametrize(
        "name",
        [
            "model.safetensors",
            ".gitattributes",
            "a b/c~d",
            "größe.txt",
            "100%25.txt",
            "console.log",
            "com.txt",
            "com10",
            "x" * 255,
            "…/日本.json",
            "auxiliary/nulls",
            "a/~b",
        ],
    )
    def test_names_of_everyday_are_portable(self, name: str) -> None:
        paths.check_portable(name)

    @pytest.mark.parametrize("name", ["../x", "/x", "a//b", "./a", "a/.", "", "a/"])
    def test_attack_009_names_that_leave_the_folder(self, name: str) -> None:
        with pytest.raises(BadNameError):
            paths.check_portable(name)

    @pytest.mark.parametrize("name", ["C:\\x", "a\\b", "~/x", "~root", "a:b"])
    def test_attack_009_names_that_mean_more_on_some_systems(self, name: str) -> None:
        with pytest.raises(BadNameError):
            paths.check_portable(name)

    def test_attack_011_decomposed_names(self) -> None:
        with pytest.raises(BadNameError, match="NFC"):
            paths.check_portable("cafe\u0301")

    @pytest.mark.parametrize(
        "name",
        [
            "CON",
            "con",
            "aux.txt",
            "a/NUL.tar.gz",
            "nul .txt",
            "COM1",
            "lpt¹.x",
            "Com0",
            "CONIN$",
            "conout$.log",
            "prn/x",
        ],
    )
    def test_attack_012_names_of_devices(self, name: str) -> None:
        with pytest.raises(BadNameError, match="device"):
            paths.check_portable(name)

    @pytest.mark.parametrize("name", ["a.", "a ", "a /b", "b./c", "..."])
    def test_attack_012_parts_that_end_with_space_or_stop(self, name: str) -> None:
        with pytest.raises(BadNameError, match="ends with"):
            paths.check_portable(name)

    @pytest.mark.parametrize("character", '\\:*?"<>|')
    def test_attack_012_characters_that_windows_forbids(self, character: str) -> None:
        with pytest.raises(BadNameError, match="do not allow"):
            paths.check_portable(f"a{character}b")

    def test_attack_012_lengths_count_in_bytes(self) -> None:
        paths.check_portable("é" * 127)
        with pytest.raises(BadNameError, match="255"):
            paths.check_portable("é" * 128)
        part = "x" * 127
        longest = "/".join([part] * 32) + "y"
        paths.check_portable(longest)
        with pytest.raises(BadNameError, match="4,096"):
            paths.check_portable(longest + "z")

    def test_attack_013_names_that_are_not_utf8(self) -> None:
        with pytest.raises(BadNameError, match="UTF-8"):
            paths.check_portable(paths.spell(b"caf\xe9"))

    @pytest.mark.parametrize(
        "character",
        [
            "\x1b",
            "\n",
            "\x7f",
            "\x9b",
            "\u202e",
            "\u200b",
            "\u2028",
            "\u2029",
            "\ufeff",
            "\u00ad",
        ],
    )
    def test_attack_014_invisible_characters(self, character: str) -> None:
        with pytest.raises(BadNameError, match="invisible"):
            paths.check_portable(f"a{character}b")

    def test_attack_014_messages_hold_no_control_characters(self) -> None:
        with pytest.raises(BadNameError) as caught:
            paths.check_portable("a\x1b[2Jb")
        assert "\x1b" not in str(caught.value)


class TestCollisions:
    """No two files or folders become one on another system."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Model.bin", "model.bin"),
            ("straße", "STRASSE"),
            ("caf\u00e9", "cafe\u0301"),
            ("a", "a"),
            ("Data/a", "data/b"),
            ("x/Data/a", "x/data/b"),
            ("data", "Data/x"),
            ("Data/x", "data"),
            ("a/b", "a"),
            ("a", "a/b"),
        ],
    )
    def test_attack_010_twins_are_refused_and_both_named(
        self, one: str, other: str
    ) -> None:
        with pytest.raises(BadNameError) as caught:
            paths.check_collisions([one, "z", other])
        assert repr(other.partition("/")[0])[1:-1] in str(caught.value)
        assert repr(one.partition("/")[0])[1:-1] in str(caught.value)

    def test_names_that_differ_everywhere_pass(self) -> None:
        paths.check_collisions(["a/b/c", "a/b/d", "a/c", "b", "ab/c", "größe"])

    @given(st.lists(PATH.map(paths.spell), max_size=6))
    def test_the_order_of_the_names_does_not_matter(self, names: list[str]) -> None:
        assert _collide(names) == _collide(names[::-1])


def _collide(names: list[str]) -> bool:
    try:
        paths.check_collisions(names)
    except BadNameError:
        return True
    return False


def test_a_name_in_too_many_folders_is_not_portable() -> None:
    paths.check_portable("a/" * 100 + "b")
    with pytest.raises(BadNameError, match="more than 100 folders"):
        paths.check_portable("a/" * 101 + "b")
