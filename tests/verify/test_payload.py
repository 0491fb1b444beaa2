"""Payload is hashed in the background; the report does not tell when.

Before anything is hashed, sizes are compared: those of all files, or their number
and their sum.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.bundle import parts
from provenance.fingerprint import batches
from provenance.signing import keys
from provenance.tables.read import Reader
from provenance.verify import (
    Report,
    check_bundle,
    load_policy,
    step1_files,
    step3_content,
    step4_heads,
)
from provenance.verify.findings import Findings
from provenance.verify.step2_statement import check_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provenance.verify.step3_content import Content

FILES = 10_001
"""So many that the release has a manifest."""
TRUST = """format = "training-provenance-trust-1"
[keys.signer]
public = '''
{pem}'''
[release]
signers = ["signer"]
[require]
roles = []
"""
CHANGED = "weights/00007"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of many files that is OK, and the policy that says so."""
    place = tmp_path_factory.mktemp("many")
    signer = keys.generate()
    keys.write_private(signer, place / "key.pem")
    (place / "trust.toml").write_text(TRUST.format(pem=signer.public.pem))
    (place / "train.py").write_text("print('trained')\n")
    (place / "corpus.txt").write_text("to be or not to be")
    weights = place / "release" / "weights"
    weights.mkdir(parents=True)
    for number in range(FILES):
        (weights / f"{number:05}").write_bytes(b"%d" % number)
    store = place / "store"
    with provenance.start(
        "many", store=store, key=place / "key.pem", code=place / "train.py"
    ) as run:
        uses = [run.dataset(place / "corpus.txt", source="https://example.org")]
        with run.step("train", uses=uses) as train:
            train.checkpoint(weights)
    provenance.release(
        store, payload=place / "release", key=place / "key.pem", in_place=True
    )
    return place


@pytest.fixture
def release(made: Path) -> Path:
    return made / "release"


@pytest.fixture
def verified(made: Path, release: Path) -> Callable[..., Report]:
    def verified(**options: Any) -> Report:
        report = check_bundle(release, trust=made / "trust.toml", **options)
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith(("payload", "fingerp"))]
        return report

    return verified


@pytest.fixture
def changed(release: Path) -> Iterator[None]:
    """One file of the payload has another content, of the same size."""
    path = release / CHANGED
    before = path.read_bytes()
    path.write_bytes(b"8")
    yield
    path.write_bytes(before)


def codes(report: Report) -> list[str]:
    return [one.code for one in report.findings if one.code != "PV800"]


def of(report: Report, code: str) -> list[str]:
    return [one.subject for one in report.findings if one.code == code]


def test_all_of_it_is_read_once_and_told_in_the_order_of_the_steps(
    verified: Callable[..., Report], release: Path
) -> None:
    read: list[int] = []
    report = verified(progress=read.append)
    assert report.verdict == "OK"
    sizes = [path.stat().st_size for path in (release / "weights").iterdir()]
    assert sum(read) == sum(sizes)
    assert codes(report) == sorted(codes(report))
    assert "PV300" in codes(report)
    assert len(of(report, "PV800")) == FILES


@pytest.mark.usefixtures("changed")
def test_a_changed_file_is_found(verified: Callable[..., Report]) -> None:
    report = verified()
    assert report.verdict == "FAILED"
    assert of(report, "PV304") == [CHANGED]
    assert "PV300" not in codes(report)
    assert len(of(report, "PV800")) == FILES - 1


def test_sizes_that_only_add_up_are_wrong_sizes(
    verified: Callable[..., Report], release: Path
) -> None:
    one, other = release / "weights" / "00001", release / "weights" / "00010"
    try:
        one.write_bytes(b"10")
        other.write_bytes(b"1")
        report = verified()
    finally:
        one.write_bytes(b"1")
        other.write_bytes(b"10")
    assert report.verdict == "FAILED"
    assert of(report, "PV303") == ["weights/00001", "weights/00010"]
    assert of(report, "PV304") == []
    assert len(of(report, "PV800")) == FILES - 2


def test_another_name_is_a_file_too_few_and_one_too_many(
    verified: Callable[..., Report], release: Path
) -> None:
    there, here = release / "weights" / "00002", release / "weights" / "2"
    there.rename(here)
    try:
        report = verified()
    finally:
        here.rename(there)
    assert report.verdict == "FAILED"
    assert of(report, "PV301") == ["weights/00002"]
    assert of(report, "PV302") == ["weights/2"]
    assert len(of(report, "PV800")) == FILES - 1


@pytest.mark.usefixtures("changed")
def test_where_numbers_do_not_add_up_what_fits_is_hashed_all_the_same(
    verified: Callable[..., Report], release: Path
) -> None:
    extra = release / "extra"
    extra.write_text("nobody signed this")
    try:
        report = verified()
    finally:
        extra.unlink()
    assert of(report, "PV302") == ["extra"]
    assert of(report, "PV304") == [CHANGED]


@pytest.mark.usefixtures("changed")
def test_a_manifest_that_is_not_the_signed_one_ends_it(
    verified: Callable[..., Report], release: Path
) -> None:
    _, signed = parts.read_statement((release / parts.STATEMENT).read_bytes())
    assert signed.manifest is not None
    manifest = release / parts.manifest_path(signed.manifest.sha256)
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        report = verified()
    finally:
        manifest.write_bytes(whole)
    assert report.verdict == "FAILED"
    assert of(report, "PV304") == [f"provenance/tables/{manifest.name}"]
    assert CHANGED not in {one.subject for one in report.findings}


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize(
    ("code", "verdict", "told"),
    [("PV405", "FAILED", True), ("PV505", "FAILED", True), ("PV401", "REFUSED", False)],
)
def test_a_record_that_ends_it_leaves_the_payload_told_or_not_at_all(
    verified: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    verdict: str,
    told: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    """A refused release is refused whatever it holds; for all others, that counts."""

    def ends(*given: Any) -> None:
        given[-1].add(code, "record", "what a step may find")

    monkeypatch.setattr(step4_heads, "check_heads", ends)
    report = verified()
    assert report.verdict == verdict
    assert of(report, "PV304") == ([CHANGED] if told else [])


@pytest.fixture
def threadless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread can be started for the payload."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "payload":
            message = "can't start new thread"
            raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.usefixtures("changed", "threadless")
def test_without_a_further_thread_it_is_hashed_when_it_is_waited_for(
    verified: Callable[..., Report],
) -> None:
    report = verified()
    assert report.verdict == "FAILED"
    assert of(report, "PV304") == [CHANGED]
    assert len(of(report, "PV800")) == FILES - 1


@pytest.mark.usefixtures("threadless")
def test_a_step_needs_neither_a_crew_nor_a_thread(made: Path, release: Path) -> None:
    findings, policy = Findings(), load_policy(made / "trust.toml")
    files = step1_files.list_files(release, step1_files.Leniency(), findings)
    assert files is not None
    signed = check_statement(files, policy, None, findings)
    assert signed is not None
    with Reader() as tables:

        def content() -> Content:
            found = step3_content.check_content(files, signed, tables, None, findings)
            assert found is not None
            return found

        with content():
            pass  # nobody waits, so nothing is found
        with content() as waited:
            assert waited.present == waited.entries.keys()
            assert waited.present == waited.entries.keys()  # the second time at once
    assert [one.code for one in findings.all] == ["PV100", "PV200", "PV300"]


def test_a_fault_in_the_background_is_a_fault(
    verified: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        message = "a fault of ours"
        raise ValueError(message)

    monkeypatch.setattr(batches, "hash_listed", broken)
    report = verified()
    assert report.verdict == "ERROR"
    assert codes(report)[-1] == "PV002"
    assert "PV300" not in codes(report)


def test_digests_wait_for_the_manifest_in_a_small_room(
    verified: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step3_content, "MAX_EARLY", 1)
    assert verified().verdict == "OK"


def test_what_is_reserved_stands_where_it_was_reserved() -> None:
    findings = Findings()
    findings.add("PV100", "files", "first")
    place = findings.reserve()
    findings.add("PV400", "run", "third")
    place.add("PV304", "file", "second")
    assert [one.sentence for one in findings.all] == ["first", "second", "third"]
    assert findings.worst == "fail"
    place.clear()
    assert findings.worst == "pass"
