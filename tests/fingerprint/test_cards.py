"""What a dataset says about itself: told as it stands there, and never believed."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint import cards
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CROISSANT = {
    "@context": {"@vocab": "https://schema.org/", "rai": "http://mlcommons.org/"},
    "@type": "sc:Dataset",
    "conformsTo": "http://mlcommons.org/croissant/1.0",
    "name": "letters",
    "description": "Letters of two families.",
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "url": "https://example.org/letters",
    "inLanguage": ["de", "fr"],
    "creator": {"@type": "Organization", "name": "The archive"},
    "distribution": [{"@type": "cr:FileObject", "contentUrl": "letters.csv"}],
    "rai:dataCollection": "Copied by hand.",
    "rai:dataAnnotationPlatform": ["Label Studio"],
    "rai:personalSensitiveInformation": [],
}


def put(folder: Path, name: str, content: object) -> bytes:
    """Write a file: bytes and text as they are, anything else as JSON."""
    if isinstance(content, str):
        content = content.encode()
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(data)
    return data


def card_of(folder: Path, name: str) -> dict[str, Any]:
    found: Any = cards.read(folder)
    assert "unreadable" not in found, found
    card: dict[str, Any] = found["card"][name]
    return card


def says(folder: Path, name: str) -> dict[str, Any]:
    said: dict[str, Any] = card_of(folder, name)["says"]
    return said


def unreadable(folder: Path) -> dict[str, str]:
    found: Any = cards.read(folder)
    why: dict[str, str] = found["unreadable"]
    return why


def test_a_folder_without_cards_has_none(tmp_path: Path) -> None:
    put(tmp_path, "letters.csv", "a,b\n")
    put(tmp_path, "readme.txt", "no card")
    (tmp_path / "inner").mkdir()
    put(tmp_path / "inner", "LICENSE", "SPDX-License-Identifier: MIT")
    assert cards.read(tmp_path) == {}


def test_a_card_has_the_digest_of_its_file(tmp_path: Path) -> None:
    data = put(tmp_path, "datasheet.md", "# Motivation\n")
    assert cards.read(tmp_path) == {
        "card": {
            "datasheet.md": {
                "format": "datasheet",
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
            }
        },
        "where": "inside",
    }


def test_a_file_has_the_cards_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "letters.csv", "a,b\n")
    put(tmp_path, "CITATION.cff", "cff-version: 1.2.0\n")
    found: Any = cards.read(tmp_path / "letters.csv")
    assert found["where"] == "beside"
    assert found["card"]["CITATION.cff"]["format"] == "citation"


def test_a_path_relative_to_the_current_folder_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "LICENSE", "SPDX-License-Identifier: MIT")
    monkeypatch.chdir(tmp_path)
    assert cards.read(".") == cards.read(tmp_path)
    found: Any = cards.read("LICENSE")
    assert found["where"] == "beside"


class TestCroissant:
    """Croissant 1.0: schema.org and rai: properties of one JSON object."""

    def test_its_properties_are_told_by_our_names_and_with_its_values(
        self, tmp_path: Path
    ) -> None:
        put(tmp_path, "croissant.json", CROISSANT)
        assert says(tmp_path, "croissant.json") == {
            "description": "Letters of two families.",
            "sources": "https://example.org/letters",
            "license": "https://creativecommons.org/licenses/by/4.0/",
            "languages": ["de", "fr"],
            "creators": {"@type": "Organization", "name": "The archive"},
            "collection": "Copied by hand.",
            "labelling": {"platform": ["Label Studio"]},
        }

    @pytest.mark.parametrize(
        "key",
        [
            "license",
            "sc:license",
            "schema:license",
            "http://schema.org/license",
            "https://schema.org/license",
        ],
    )
    def test_a_name_may_be_short_or_whole(self, tmp_path: Path, key: str) -> None:
        whole = "http://mlcommons.org/croissant/RAI/dataBiases"
        put(
            tmp_path,
            "metadata.jsonld",
            {
                "dct:conformsTo": [
                    {"@id": "https://example.org"},
                    5,
                    {"@id": "https://mlcommons.org/croissant/1.1"},
                ],
                key: "MIT",
                whole: "Two families only.",
                "x:license": "other",
            },
        )
        assert says(tmp_path, "metadata.jsonld") == {
            "license": "MIT",
            "biases": "Two families only.",
        }

    def test_metadata_of_another_sort_is_none_of_ours(self, tmp_path: Path) -> None:
        put(tmp_path, "metadata.json", {"license": "MIT", "conformsTo": "elsewhere"})
        assert cards.read(tmp_path) == {}

    def test_a_file_called_croissant_has_to_be_some(self, tmp_path: Path) -> None:
        put(tmp_path, "croissant.json", {"license": "MIT"})
        assert "does not say that it conforms" in unreadable(tmp_path)["croissant.json"]


class TestDatasetCards:
    """The metadata at the head of README.md, as on the Hugging Face hub."""

    CARD = (
        "---\nlicense: cc-by-4.0\nlanguage:\n- de\n- fr\npretty_name: Letters\n"
        "source_datasets: [original]\nannotations_creators: [expert-generated]\n"
        "dataset_info:\n  splits:\n  - name: train\n    num_examples: 12\n"
        "---\n# Letters\n---\nlicense: mit\n---\n"
    )

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_it_is_told(self, tmp_path: Path, newline: str, mark: str) -> None:
        put(tmp_path, "README.md", mark + self.CARD.replace("\n", newline))
        assert says(tmp_path, "README.md") == {
            "license": "cc-by-4.0",
            "languages": ["de", "fr"],
            "sources": ["original"],
            "labelling": {"creators": ["expert-generated"]},
            "splits": [{"name": "train", "num_examples": 12}],
        }

    @pytest.mark.parametrize(
        "text",
        ["# Letters\n", "", "---\n", "---\nlicense: mit\n", "---\n---\n# Letters\n"],
    )
    def test_a_card_without_metadata_has_a_digest(
        self, tmp_path: Path, text: str
    ) -> None:
        put(tmp_path, "README.md", text)
        assert "says" not in card_of(tmp_path, "README.md")

    def test_the_configurations_of_a_card_are_left_to_it(self, tmp_path: Path) -> None:
        put(tmp_path, "README.md", "---\nlicense: mit\ndataset_info:\n- a: 1\n---\n")
        assert says(tmp_path, "README.md") == {"license": "mit"}

    @pytest.mark.parametrize(
        "front",
        [
            "license: mit\nlicense: other\n",
            "- mit\n",
            "license: [\n",
            "license: !!python/object/apply:os.system [id]\n",
            "a: &a [x, x]\nb: &b [*a, *a]\n" + "license: \x00\n",
            "license: &a [*a]\n",
        ],
    )
    def test_a_malformed_one_is_named_and_hashed(
        self, tmp_path: Path, front: str
    ) -> None:
        data = put(tmp_path, "README.md", f"---\n{front}---\n")
        found: Any = cards.read(tmp_path)
        assert set(found["unreadable"]) == {"README.md"}
        assert found["card"]["README.md"] == {
            "format": "dataset-card",
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
        }

    def test_a_bomb_of_aliases_does_not_go_off(self, tmp_path: Path) -> None:
        lines = ["a0: &a0 [x, x]"]
        lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
        put(tmp_path, "README.md", "\n".join(["---", *lines, "license: *a59", "---\n"]))
        tracemalloc.start()
        try:
            assert "README.md" in unreadable(tmp_path)
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()

    def test_deep_nesting_is_an_answer_too(self, tmp_path: Path) -> None:
        put(tmp_path, "README.md", "---\nlicense: " + "[" * 20_000 + "\n---\n")
        assert "nested too deeply" in unreadable(tmp_path)["README.md"]

    def test_without_the_package_for_yaml_the_digest_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(tmp_path, "README.md", self.CARD)
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert "training-provenance[yaml]" in unreadable(tmp_path)["README.md"]


class TestDatasetInfos:
    """What the datasets library writes beside the data."""

    INFO = {  # noqa: RUF012 (nobody changes it)
        "description": "Letters",
        "license": "",
        "homepage": "https://example.org/letters",
        "features": {"text": {"dtype": "string"}},
        "splits": {"train": {"name": "train", "num_examples": 12}},
    }

    def test_the_info_of_one_dataset(self, tmp_path: Path) -> None:
        expected = {
            "description": "Letters",
            "sources": "https://example.org/letters",
            "splits": {"train": {"name": "train", "num_examples": 12}},
        }
        put(tmp_path, "dataset_info.json", self.INFO)
        assert says(tmp_path, "dataset_info.json") == expected
        put(tmp_path, "dataset_infos.json", {"default": self.INFO, "version": 1})
        assert says(tmp_path, "dataset_infos.json") == expected

    def test_the_infos_of_several_variants(self, tmp_path: Path) -> None:
        put(
            tmp_path,
            "dataset_infos.json",
            {"de": {"license": "MIT", "citation": "x"}, "fr": {"license": "ISC"}},
        )
        assert says(tmp_path, "dataset_infos.json") == {
            "license": {"de": "MIT", "fr": "ISC"},
            "citation": {"de": "x"},
        }

    def test_none_at_all(self, tmp_path: Path) -> None:
        put(tmp_path, "dataset_infos.json", {})
        assert "says" not in card_of(tmp_path, "dataset_infos.json")


class TestLicences:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("SPDX-License-Identifier: CC-BY-4.0\n\nText\n", "CC-BY-4.0"),
            ("/* SPDX-License-Identifier: MIT OR ISC */\n", "MIT OR ISC"),
            ("<!-- SPDX-License-Identifier:\tMIT -->\r\n", "MIT"),
            ("\xff\xfe SPDX-License-Identifier: MIT", "MIT"),
        ],
    )
    def test_the_line_for_programs_is_told(
        self, tmp_path: Path, text: str, said: str
    ) -> None:
        put(tmp_path, "LICENCE.md", text.encode("latin-1"))
        assert says(tmp_path, "LICENCE.md") == {"license": said}

    @pytest.mark.parametrize(
        "text", ["MIT License\n", "SPDX-License-Identifier: <id>", "", "\xff"]
    )
    def test_a_text_without_one_has_a_digest(self, tmp_path: Path, text: str) -> None:
        put(tmp_path, "COPYING", text.encode("latin-1"))
        assert card_of(tmp_path, "COPYING")["format"] == "license"
        assert "says" not in card_of(tmp_path, "COPYING")

    def test_two_names_of_one_file_are_one_card(self, tmp_path: Path) -> None:
        put(tmp_path, "LICENSE", "SPDX-License-Identifier: MIT")
        os.link(tmp_path / "LICENSE", tmp_path / "COPYING")
        found: Any = cards.read(tmp_path)
        assert set(found["card"]) == {"LICENSE"}


class TestHostileCards:
    """Whatever lies there: an answer within limits, and nothing else is touched."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"[]",
            b"5",
            b"\xff",
            b"[" * 500_000,
            b'{"a":' * 100_000,
            b'{"license":"MIT","license":"ISC"}',
            b'{"license":NaN}',
            b'{"license":1e999}',
            b'{"license":"\\ud800"}',
            b'{"license":' + b"9" * 5_000 + b"}",
        ],
    )
    @pytest.mark.parametrize(
        "name", ["croissant.json", "metadata.json", "dataset_infos.json"]
    )
    def test_attack_malformed_json_is_named(
        self, tmp_path: Path, name: str, data: bytes
    ) -> None:
        put(tmp_path, name, data)
        assert set(unreadable(tmp_path)) == {name}

    def test_a_file_over_the_limit_is_not_read(self, tmp_path: Path) -> None:
        with (tmp_path / "metadata.json").open("wb") as file:
            file.truncate(2**40)
        assert "over the limit" in unreadable(tmp_path)["metadata.json"]
        put(tmp_path, "LICENSE", b"x" * cards.MAX_FILE)
        found: Any = cards.read(tmp_path)
        assert set(found["card"]) == {"LICENSE"}

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        put(tmp_path, "secret", "SPDX-License-Identifier: MIT")
        folder = tmp_path / "data"
        folder.mkdir()
        (folder / "LICENSE").symlink_to(secret)
        found = cards.read(folder)
        assert set(found) == {"unreadable", "where"}
        assert "symbolic link" in unreadable(folder)["LICENSE"]

    def test_what_is_no_file_is_named_without_waiting_for_it(
        self, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "README.md")
        (tmp_path / "LICENSE").mkdir()
        why = unreadable(tmp_path)
        assert "a FIFO" in why["README.md"]
        assert "a folder" in why["LICENSE"]

    def test_a_file_that_may_not_be_read_is_named(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        put(public, "LICENSE", "SPDX-License-Identifier: MIT")
        (public / "LICENSE").chmod(0)
        said = as_nobody(lambda: cards.read(public))
        assert said.startswith("done: {'unreadable': {'LICENSE': 'cannot be read")

    def test_a_folder_that_may_not_be_entered_is_named(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        inner = public / "inner"
        (inner / "data").mkdir(parents=True)
        inner.chmod(0)
        for path in (inner, inner / "data"):
            said = as_nobody(lambda path=path: cards.read(path))  # type: ignore[misc]
            assert said == "done: " + str(
                {"unreadable": {".": "cannot be read: Permission denied"}}
            )

    def test_a_place_that_is_not_there_is_named_without_its_path(
        self, tmp_path: Path
    ) -> None:
        assert cards.read(tmp_path / "gone" / "data") == {
            "unreadable": {".": "cannot be read: No such file or directory"}
        }

    def test_all_cards_together_say_no_more_than_fits(self, tmp_path: Path) -> None:
        many = {**CROISSANT, "inLanguage": ["de"] * 1_500}
        put(tmp_path, "croissant.json", many)
        put(tmp_path, "metadata.json", many)
        put(tmp_path, "dataset_info.json", {"citation": "x" * cards.MAX_TEXT})
        put(tmp_path, "LICENSE", "SPDX-License-Identifier: MIT")
        found: Any = cards.read(tmp_path)
        assert set(found["unreadable"]) == {"metadata.json", "dataset_info.json"}
        assert all("than there is room" in w for w in found["unreadable"].values())
        assert {name for name, card in found["card"].items() if "says" in card} == {
            "croissant.json",
            "LICENSE",
        }
        assert set(found["card"]) >= set(found["unreadable"])
        values.of(found)

    @given(
        st.dictionaries(
            st.sampled_from(["license", "inLanguage", "rai:dataBiases", "conformsTo"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=5), inner, max_size=3)
                ),
                max_leaves=8,
            ),
        )
    )
    def test_whatever_a_card_says_can_be_spelled(
        self, tmp_path_factory: pytest.TempPathFactory, said: dict[str, object]
    ) -> None:
        folder = tmp_path_factory.mktemp("card")
        put(folder, "croissant.json", {"conformsTo": CROISSANT["conformsTo"], **said})
        put(folder, "dataset_infos.json", {"default": said, "other": said})
        found = cards.read(folder)
        assert values.to(values.of(found)) == found

    @given(st.binary(max_size=60), st.sampled_from([b"%s", b"---\n%s\n---\n"]))
    def test_whatever_bytes_a_card_has_there_is_an_answer(
        self, tmp_path_factory: pytest.TempPathFactory, data: bytes, form: bytes
    ) -> None:
        folder = tmp_path_factory.mktemp("card")
        text = form % data
        for name in ("README.md", "croissant.json", "LICENSE"):
            put(folder, name, text)
        found: Any = cards.read(folder)
        assert {"README.md", "croissant.json", "LICENSE"} == {
            *found["card"],
            *found.get("unreadable", {}),
        }
        values.of(found)


@pytest.mark.usefixtures("each_kind_of_folders")
def test_the_answer_is_the_same_on_every_system(tmp_path: Path) -> None:
    put(tmp_path, "croissant.json", CROISSANT)
    put(tmp_path, "LICENSE", "SPDX-License-Identifier: MIT")
    (tmp_path / "README.md").symlink_to("LICENSE")
    found: Any = cards.read(tmp_path)
    assert set(found["card"]) == {"croissant.json", "LICENSE"}
    assert "link" in found["unreadable"]["README.md"]
