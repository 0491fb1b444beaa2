"""Distributions: versions, digests of their file lists, and where they came from."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint.addresses import LOCAL
from provenance.fingerprint.machine import distributions
from provenance.fingerprint.machine.distributions import (
    DIGEST,
    TOO_MANY,
    UNREADABLE,
    editable_roots,
    installed,
    parse_direct_url,
)
from provenance.model import values

if TYPE_CHECKING:
    from pathlib import Path

    from provenance.model.values import Value


def listed() -> object:
    return installed().values()["distributions"]


def install(site: Path, folder: str, text: bytes | None, **files: bytes) -> Path:
    path = site / folder
    path.mkdir(parents=True)
    if text is not None:
        (path / "METADATA").write_bytes(text)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def direct(site: Path, name: str, told: object) -> None:
    folder = install(site, f"{name}-1.dist-info", f"Name: {name}\nVersion: 1".encode())
    (folder / "direct_url.json").write_text(json.dumps(told))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(tmp_path / "two")])
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    return tmp_path / "one"


class TestVersions:
    def test_names_are_normalized_and_the_first_on_the_path_counts(
        self, site: Path
    ) -> None:
        install(site, "Foo_Bar-1.dist-info", b"Name: Foo_.Bar\nVersion: 1\n\nName: no")
        other = site.parent / "two"
        second = b"Name: foo-bar\nVersion: 2\n"
        install(other, "foo_bar-2.dist-info", second, RECORD=b"other,,\n")
        assert listed() == {"foo-bar": "1"}
        assert installed().records == {}

    def test_broken_metadata_is_tolerated_and_counted(self, site: Path) -> None:
        install(site, "empty-1.dist-info", None)
        install(site, "binary-1.dist-info", b"\xff\xfe\x00")
        install(site, "body-1.dist-info", b"Summary: x\n\nName: body\nVersion: 1\n")
        install(site, "long-1.dist-info", b"Name: " + b"x" * 300 + b"\n")
        install(site, "half-1.dist-info", b"Name: half\n")
        assert listed() == {UNREADABLE: 4, "half": None}

    def test_old_kinds_of_installation_are_read(self, site: Path) -> None:
        (site / "old.egg-info").write_text("Name: old\nVersion: 3\n")
        (site / "older.egg-info").mkdir()
        (site / "older.egg-info" / "PKG-INFO").write_text("Name: older\nVersion: 4\n")
        assert listed() == {"old": "3", "older": "4"}

    def test_an_archive_on_the_path_has_versions_alone(
        self, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with zipfile.ZipFile(site / "a.zip", "w") as archive:
            archive.writestr(
                "inside-1.dist-info/METADATA", "Name: inside\nVersion: 1\n"
            )
            archive.writestr("inside-1.dist-info/RECORD", "x,,\n")
        monkeypatch.setattr(sys, "path", [str(site / "a.zip")])
        found = installed()
        assert (found.versions, found.records) == ({"inside": "1"}, {})


class TestRecords:
    def test_the_digest_is_that_of_the_bytes(self, site: Path) -> None:
        content = b"pkg/__init__.py,sha256=abc,3\r\nb\xff,,\n"
        install(site, "pkg-1.dist-info", b"Name: pkg\nVersion: 1\n", RECORD=content)
        assert installed().records == {"pkg": hashlib.sha256(content).hexdigest()}

    def test_a_list_of_files_beyond_measure_is_left_out(
        self, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(distributions, "_MAX_FILE", 9)
        metadata = b"Name: pkg\nVersion: 1\n"
        install(site, "pkg-1.dist-info", metadata, RECORD=b"x" * 10)
        assert installed().records == {}


class TestOrigins:
    def test_a_repository_is_told_with_its_commit(self, site: Path) -> None:
        vcs = {"vcs": "git", "requested_revision": "main", "commit_id": "ab" * 20}
        url = "https://user:secret@example.org/pkg.git?token=secret#secret"
        direct(site, "pkg", {"url": url, "vcs_info": vcs, "subdirectory": "python"})
        assert installed().origins == {
            "pkg": {
                "url": "https://example.org/pkg.git",
                "editable": False,
                "vcs": "git",
                "commit": "ab" * 20,
                "subdirectory": "python",
            }
        }

    @pytest.mark.parametrize(
        "archive", [{"hashes": {"sha256": "cd" * 32}}, {"hash": "sha256=" + "cd" * 32}]
    )
    def test_an_archive_is_told_with_its_digest(self, archive: object) -> None:
        told = {"url": "https://example.org/a.whl", "archive_info": archive}
        origin, root = parse_direct_url(json.dumps(told).encode())
        assert (origin["sha256"], root) == ("cd" * 32, None)

    def test_a_digest_of_another_kind_is_no_digest(self) -> None:
        told = {"url": "https://example.org/a", "archive_info": {"hash": "md5=00"}}
        origin, _ = parse_direct_url(json.dumps(told).encode())
        assert "sha256" not in origin

    @pytest.mark.parametrize(
        ("url", "public"),
        [
            ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
            ("ssh://me:pw@example.org:22/a.git", "ssh://example.org:22/a.git"),
            ("https://token@[::1]:8080/a", "https://[::1]:8080/a"),
            ("file:///home/me/pkg", LOCAL),
            ("C:\\Users\\me\\pkg", LOCAL),
            ("/home/me/pkg", LOCAL),
            ("https://example.org:port/a", None),
            ("https://[::1/a", None),
            ("https://example.org/\n-r x", None),
            ("https://example.org/" + "a" * 2_000, None),
            (7, None),
        ],
    )
    def test_urls_keep_no_credentials_and_no_local_path(
        self, url: object, public: str | None
    ) -> None:
        origin, root = parse_direct_url(json.dumps({"url": url}).encode())
        assert (origin, root) == ({"url": public, "editable": False}, None)

    @pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"[" * 100_000, b"null"])
    def test_what_is_no_origin_is_told_as_unknown(self, content: bytes) -> None:
        assert parse_direct_url(content) == ({"url": None, "editable": False}, None)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.text() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_whatever_it_says_it_can_be_spelled(self, inner: object) -> None:
        for told in (inner, dict.fromkeys(("url", "dir_info", "vcs_info"), inner)):
            origin, _ = parse_direct_url(json.dumps(told).encode())
            assert values.to(values.of(origin)) == origin

    def test_editable_ones_are_source_trees(self, site: Path) -> None:
        tree = site.parent / "my tree"
        told = {"url": tree.as_uri(), "dir_info": {"editable": True}}
        direct(site, "zoo", told)
        direct(site, "pkg", told)
        direct(site, "copied", {"url": tree.as_uri(), "dir_info": {}})
        assert editable_roots() == [("pkg", tree), ("zoo", tree)]
        assert editable_roots(installed()) == editable_roots()
        origins = installed().values()["origins"]
        assert isinstance(origins, dict)
        assert origins["pkg"] == {"url": LOCAL, "editable": True}
        assert origins["copied"] == {"url": LOCAL, "editable": False}
        assert "my tree" not in json.dumps(origins)

    @pytest.mark.parametrize(
        ("url", "windows", "path"),
        [
            ("file:///C:/a%20b", True, "C:/a b"),
            ("file://server/share", True, "//server/share"),
            ("file:///C:/a%20b", False, "/C:/a b"),
        ],
    )
    def test_drives_are_understood_where_there_are_some(
        self, url: str, *, windows: bool, path: str
    ) -> None:
        assert distributions._path(urlsplit(url), windows=windows) == path


class TestLimits:
    def test_too_many_are_a_number_and_a_digest(
        self, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(distributions, "MAX_DISTRIBUTIONS", 2)
        for name in ("c", "a", "b"):
            text = f"Name: {name}\nVersion: 1\n".encode()
            install(site, f"{name}-1.dist-info", text)
        lines = b'a "1"\nb "1"\nc "1"\n'
        digest = hashlib.sha256(lines).hexdigest()
        assert listed() == {TOO_MANY: 3, DIGEST: digest}

    def test_too_much_text_is_a_number_and_a_digest(
        self, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(distributions, "MAX_LIST", 20)
        install(site, "a-1.dist-info", b"Name: a\nVersion: 1.2.3.4.5.6.7.8.9\n")
        found = listed()
        assert isinstance(found, dict)
        assert found[TOO_MANY] == 1

    def test_the_most_that_is_listed_fits_into_one_record(self) -> None:
        most = {f"distribution-{n}": "1.0.0" for n in range(2_000)}
        url = "https://example.org/" + "a" * 200
        origin: dict[str, Value] = {"url": url, "editable": False}
        origin |= {
            "vcs": "git",
            "commit": "ab" * 20,
            "subdirectory": "b",
            "sha256": "c",
        }
        found = distributions.Installed(
            versions=most,
            records=dict.fromkeys(most, "ab" * 32),
            origins=dict.fromkeys(list(most)[:500], origin),
            editable={},
            unreadable=3,
        ).values()
        assert values.of(found)
        assert all(
            isinstance(one, dict) and TOO_MANY not in one for one in found.values()
        )


def test_three_hundred_distributions_take_little_time(site: Path) -> None:
    origin = json.dumps({"url": "https://example.org/a"}).encode()
    for number in range(300):
        text = b"Name: d%d\nVersion: 1\n\n" % number + b"long text\n" * 2_000
        folder = install(site, f"d{number}-1.dist-info", text, RECORD=b"x" * 50_000)
        (folder / "direct_url.json").write_bytes(origin)
    started = time.perf_counter()
    assert len(installed().versions) == 300
    assert time.perf_counter() - started < 1  # 0.08 s on an idle machine
