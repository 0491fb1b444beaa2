"""Tables in a release that are torn, disguised, or made to exhaust whoever reads them.

How the reader of tables itself resists is shown in `tests/tables`. Here such tables
lie in releases, damaged by strangers or signed by a liar.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from provenance.encoding import fingerprints, statements
from provenance.model.fingerprint import FileEntry
from provenance.tables import schema, write
from provenance.verify import check_bundle, step6_statements
from simulator import Forge, Said, sha256, spell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Check
    from simulator import Made

FORMAT = {"format": schema.SEGMENT_FORMAT}


def segments(release: Path) -> list[Path]:
    return sorted(release.glob("provenance/runs/*/*/rows-*.parquet"))


def table_of(data: bytes) -> Any:
    return pq.read_table(pa.BufferReader(data))


def written(table: Any, metadata: Any = FORMAT, **options: Any) -> bytes:
    """Write a table as a segment is written, with options of one's own."""
    sink = pa.BufferOutputStream()
    settings: dict[str, Any] = {
        "compression": "zstd",
        "store_schema": False,
        "write_page_checksum": True,
        "use_dictionary": False,
    }
    fields = table.schema.remove_metadata()
    with pq.ParquetWriter(sink, fields, **(settings | options)) as writer:
        writer.write_table(table.replace_schema_metadata(None))
        if metadata is not None:
            writer.add_key_value_metadata(metadata)
    return bytes(sink.getvalue().to_pybytes())


def replaced(data: bytes, name: str, array: Any, field: Any = None) -> Any:
    """Return the table of a segment with another column in one place."""
    table = table_of(data)
    place = table.schema.get_field_index(name)
    return table.set_column(place, field or table.schema.field(name), array)


def footer_of(data: bytes) -> int:
    """Return where the footer begins."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


class TestAttack085Flips:
    def test_attack_085_a_byte_is_flipped(
        self, release: Path, check: Check, made: Made
    ) -> None:
        place = segments(release)[0]
        whole = place.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 12)):
            changed = bytearray(whole)
            changed[at] ^= 0x40
            place.write_bytes(changed)
            check(release, "PV304", "FAILED")
            codes = {one.code for one in check_bundle(release).findings}
            # It was not even opened.
            assert codes.isdisjoint({"PV501", "PV502", "PV505"})
        place.write_bytes(whole)
        assert check_bundle(release, trust=made.trust).verdict == "OK"


TORN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "only the magic": lambda _: b"PAR1",
    "no footer": lambda data: data[: len(data) // 2],
    "a byte less": lambda data: data[:-1],
    "junk after": lambda data: data + b"x",
    "junk before": lambda data: b"x" + data,
    "two files": lambda data: data + data,
    "junk inside": lambda data: data[:4] + bytes(100) + data[4:],
}


@pytest.mark.parametrize("name", TORN)
def test_attack_086_a_torn_or_padded_table(
    forge: Forge, check: Check, name: str
) -> None:
    place = segments(forge.root)[0]
    place.write_bytes(TORN[name](place.read_bytes()))
    check(forge.root, "PV303", "FAILED")
    forge.sign()
    check(forge.root, "PV501", "REFUSED")


def twice(data: bytes) -> bytes:
    table = table_of(data)
    return written(table.append_column(table.schema.field("payload"), table["payload"]))


def extra(data: bytes) -> bytes:
    table = table_of(data)
    return written(table.append_column("note", pa.array(["x"] * len(table))))


def missing(data: bytes) -> bytes:
    return written(table_of(data).drop_columns(["withheld"]))


def reordered(data: bytes) -> bytes:
    table = table_of(data)
    return written(table.select(table.column_names[::-1]))


def retyped(data: bytes) -> bytes:
    table = table_of(data)
    field = pa.field("index", pa.int32(), nullable=False)
    return written(replaced(data, "index", table["index"].cast(pa.int32()), field))


def optional(data: bytes) -> bytes:
    table = table_of(data)
    field = pa.field("id", pa.binary(32))
    return written(replaced(data, "id", table["id"], field))


def a_manifest(_: bytes) -> bytes:
    return write.manifest([])


@pytest.mark.parametrize(
    "change", [twice, extra, missing, reordered, retyped, optional, a_manifest]
)
def test_attack_087_other_columns(
    forge: Forge, check: Check, change: Callable[[bytes], bytes]
) -> None:
    forge.write(segment=change)
    check(forge.root, "PV501", "REFUSED")


def dictionary_bomb(_: bytes) -> bytes:
    """Return a few kilobytes that say 4 MiB of text 4,096 times."""
    count = 4_096
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * count, pa.int32()), pa.array(["x" * 2**22])
    )
    field = pa.field("payload", text.type)
    return written(bomb(count, text, field), use_dictionary=["payload"])


def page_bomb(_: bytes) -> bytes:
    """Return a few kilobytes that unfold into a page of 100 MiB."""
    return written(bomb(1, pa.array(["x" * 100 * 2**20])))


def large_page_bomb(_: bytes) -> bytes:
    """Return one that is over the limit by its own account."""
    return written(bomb(1, pa.array(["x" * 130 * 2**20])))


def bomb(count: int, text: Any, field: Any = None) -> Any:
    values: dict[str, list[Any]] = {
        "index": list(range(count)),
        "id": [bytes(32)] * count,
        "kind": ["gap"] * count,
        "time": [None] * count,
        "subjects": [[{"name": "run", "digest": bytes(32)}]] * count,
        "uses": [[]] * count,
        "payload": ["{}"] * count,
        "withheld": [None] * count,
    }
    table = pa.table(values, schema=schema.SEGMENT.remove_metadata())
    place = table.schema.get_field_index("payload")
    return table.set_column(place, field or table.schema.field("payload"), text)


@pytest.mark.parametrize("make", [dictionary_bomb, page_bomb, large_page_bomb])
def test_attack_088_a_bomb_in_a_release(
    forge: Forge, check: Check, make: Callable[[bytes], bytes]
) -> None:
    forge.write(segment=make)
    assert segments(forge.root)[0].stat().st_size < 100_000
    begin = time.monotonic()
    (finding,) = check(forge.root, "PV502", "REFUSED")
    assert "over the limit" in finding.sentence
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("length", [2**31 - 1, 2**32 - 1])
def test_attack_089_a_footer_that_is_too_long(
    forge: Forge, check: Check, length: int
) -> None:
    forge.write(segment=lambda data: data[:-8] + length.to_bytes(4, "little") + b"PAR1")
    check(forge.root, "PV501", "REFUSED")


def test_attack_089_a_huge_text_in_the_footer(forge: Forge, check: Check) -> None:
    huge = {"format": "x" * (2**20 + 1)}
    forge.write(segment=lambda data: written(table_of(data), huge))
    check(forge.root, "PV501", "REFUSED")


class TestAttack090Claims:
    """What a table says of itself has no effect, or is refused."""

    def test_attack_090_forged_statistics(self, forge: Forge, check: Check) -> None:
        highest = (len(forge.said) - 1).to_bytes(8, "little")

        def forged(data: bytes) -> bytes:
            at = footer_of(data)
            assert data.count(highest, at)
            return data[:at] + data[at:].replace(highest, (3).to_bytes(8, "little"))

        forge.write(segment=forged)
        check(forge.root, "PV900", "OK")

    def test_attack_090_a_claimed_order(self, forge: Forge, check: Check) -> None:
        order = [pq.SortingColumn(0, descending=True)]
        forge.write(segment=lambda data: written(table_of(data), sorting_columns=order))
        check(forge.root, "PV900", "OK")

    @pytest.mark.parametrize(
        "options", [{"write_page_index": True}, {"bloom_filter_options": {"kind": {}}}]
    )
    def test_attack_090_indexes_and_filters(
        self, forge: Forge, check: Check, options: dict[str, Any]
    ) -> None:
        forge.write(segment=lambda data: written(table_of(data), **options))
        check(forge.root, "PV501", "REFUSED")


class TestAttack091Checksums:
    def test_attack_091_a_wrong_checksum(self, forge: Forge, check: Check) -> None:
        def flipped(data: bytes) -> bytes:
            plain = written(table_of(data), compression="none")
            at = plain.index(b"/layers")
            return plain[:at] + b"A" + plain[at + 1 :]

        forge.write(segment=flipped)
        check(forge.root, "PV501", "REFUSED")

    def test_attack_091_without_a_checksum_the_ids_still_tell(
        self, forge: Forge, check: Check
    ) -> None:
        def flipped(data: bytes) -> bytes:
            options = {"compression": "none", "write_page_checksum": False}
            plain = written(table_of(data), **options)
            at = plain.index(b"/layers")
            return plain[:at] + b"#" + plain[at + 1 :]

        forge.write(segment=flipped)
        check(forge.root, "PV503", "FAILED")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "training-provenance-segment-2"},
        FORMAT | {"ARROW:schema": "AAAA"},
        FORMAT | {"pandas": "{}"},
    ],
)
def test_attack_092_other_metadata(forge: Forge, check: Check, metadata: Any) -> None:
    forge.write(segment=lambda data: written(table_of(data), metadata))
    check(forge.root, "PV501", "REFUSED")


def test_attack_092_a_stored_schema(forge: Forge, check: Check) -> None:
    forge.write(segment=lambda data: written(table_of(data), store_schema=True))
    check(forge.root, "PV501", "REFUSED")


class Vault(encryption.KmsClient):  # type: ignore[misc]
    """A key service that does nothing."""

    def wrap_key(self, key: bytes, _name: str) -> bytes:
        return key.hex().encode()

    def unwrap_key(self, key: bytes, _name: str) -> bytes:
        return bytes.fromhex(key.decode())


# The parser takes its own process down over an encrypted column: no harm is done.
@pytest.mark.parametrize(
    ("plaintext_footer", "code"), [(False, "PV501"), (True, "PV502")]
)
def test_attack_093_encrypted_columns(
    forge: Forge, check: Check, *, plaintext_footer: bool, code: str
) -> None:
    properties = encryption.CryptoFactory(lambda _: Vault()).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(
            footer_key="footer",
            column_keys={"columns": ["payload"]},
            plaintext_footer=plaintext_footer,
        ),
    )
    forge.write(
        segment=lambda data: written(table_of(data), encryption_properties=properties)
    )
    check(forge.root, code, "REFUSED")


class TestAttack094Values:
    def test_attack_094_text_that_is_not_utf_8(
        self, forge: Forge, check: Check
    ) -> None:
        def spoiled(data: bytes) -> bytes:
            texts = [text.encode() for text in table_of(data)["payload"].to_pylist()]
            texts[3] = texts[3].replace(b"raw", b"r\xffw", 1)
            stored = pa.array(texts, pa.binary())
            array = pa.Array.from_buffers(pa.string(), len(texts), stored.buffers())
            return written(replaced(data, "payload", array))

        forge.write(segment=spoiled)
        check(forge.root, "PV501", "REFUSED")

    def test_attack_094_a_statement_without_its_columns(
        self, forge: Forge, check: Check
    ) -> None:
        def emptied(data: bytes) -> bytes:
            table = table_of(data)
            nothing = pa.array([None] * len(table), pa.string())
            return written(replaced(data, "kind", nothing))

        forge.write(segment=emptied)
        check(forge.root, "PV501", "REFUSED")

    def test_attack_094_a_withheld_row_that_tells_something(
        self, forge: Forge, check: Check
    ) -> None:
        def withheld(data: bytes) -> bytes:
            table = table_of(data)
            why = pa.array([None] * (len(table) - 1) + ["secret"])
            return written(replaced(data, "withheld", why))

        forge.write(segment=withheld)
        check(forge.root, "PV501", "REFUSED")


def test_attack_096_the_same_rows_written_otherwise(forge: Forge, check: Check) -> None:
    forge.write(
        segment=lambda data: written(table_of(data), compression="none", version="1.0")
    )
    check(forge.root, "PV900", "OK")


class TestManifests:
    """Lists of files too long for a statement are tables as well."""

    @pytest.fixture
    def entries(self) -> list[FileEntry]:
        """As many files as need a manifest."""
        return [
            FileEntry(path=b"%05d" % at, size=1, sha256=sha256(b"%d" % at))
            for at in range(10_001)
        ]

    def listed(self, forge: Forge, entries: list[FileEntry], table: bytes) -> Said:
        """Let the raw data be so many files, listed in this table."""
        found = fingerprints.tree(entries)
        raw = forge.artifact("raw")
        raw["predicate"] |= {
            "files": [],
            "fingerprint": fingerprints.document(found),
            "manifest": {"bytes": len(table), "sha256": sha256(table)},
        }
        raw["subject"] = raw["subject"][:1]
        before = raw["subject"][0]["digest"]["sha256"]
        raw["subject"][0]["digest"]["sha256"] = found.digest
        for said in forge.said:
            for use in said["predicate"].get("uses", []):
                if use["digest"] == before:
                    use["digest"] = found.digest
        forge.put(f"tables/{sha256(table)}.parquet", table)
        return raw

    def test_a_true_manifest(
        self, forge: Forge, check: Check, entries: list[FileEntry]
    ) -> None:
        raw = self.listed(forge, entries, write.manifest(entries))
        forge.said.insert(-1, {**raw, "predicate": {**raw["predicate"]}})
        forge.said[-2]["predicate"]["entry"] = {**raw["predicate"]["entry"]}
        forge.write()
        check(forge.root, "PV900", "OK")

    def test_a_manifest_that_is_not_here(
        self, forge: Forge, check: Check, entries: list[FileEntry]
    ) -> None:
        table = write.manifest(entries)
        self.listed(forge, entries, table)
        (forge.bundle / "tables" / f"{sha256(table)}.parquet").unlink()
        forge.write()
        (finding,) = check(forge.root, "PV803", "INCOMPLETE")
        assert finding.subject == "raw"

    @pytest.mark.parametrize("count", [0, 10_000])
    def test_attack_095_a_manifest_of_other_files(
        self, forge: Forge, check: Check, entries: list[FileEntry], count: int
    ) -> None:
        self.listed(forge, entries, write.manifest(entries[:count]))
        forge.write()
        check(forge.root, "PV606", "REFUSED")

    def test_attack_095_a_manifest_of_another_size(
        self, forge: Forge, check: Check, entries: list[FileEntry]
    ) -> None:
        raw = self.listed(forge, entries, write.manifest(entries))
        raw["predicate"]["manifest"]["bytes"] += 1
        forge.write()
        check(forge.root, "PV606", "REFUSED")

    def test_attack_095_another_table_under_its_name(
        self, forge: Forge, check: Check, entries: list[FileEntry]
    ) -> None:
        table = write.manifest(entries)
        self.listed(forge, entries, table)
        forge.put(f"tables/{sha256(table)}.parquet", write.manifest(entries[1:]))
        forge.write()
        check(forge.root, "PV606", "REFUSED")

    def test_attack_095_a_manifest_that_is_no_table(
        self, forge: Forge, check: Check, entries: list[FileEntry]
    ) -> None:
        self.listed(forge, entries, b"not a table")
        forge.write()
        check(forge.root, "PV606", "REFUSED")

    def test_attack_088_a_bomb_in_a_manifest(
        self, forge: Forge, check: Check, entries: list[FileEntry]
    ) -> None:
        columns: list[Any] = [
            pa.array([b"x" * 130 * 2**20], pa.binary()),
            pa.array([""]),
            pa.array([1], pa.int64()),
            pa.array([bytes(32)], pa.binary(32)),
        ]
        fields = schema.MANIFEST.remove_metadata()
        metadata = {"format": schema.MANIFEST_FORMAT}
        table = written(pa.table(columns, schema=fields), metadata)
        self.listed(forge, entries, table)
        forge.write()
        check(forge.root, "PV502", "REFUSED")

    def test_attack_088_many_manifests(
        self,
        forge: Forge,
        check: Check,
        entries: list[FileEntry],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.listed(forge, entries, write.manifest(entries))
        forge.write()
        monkeypatch.setattr(step6_statements, "MAX_LISTED", 10_001)
        check(forge.root, "PV600", "OK")
        monkeypatch.setattr(step6_statements, "MAX_LISTED", 10_000)
        check(forge.root, "PV502", "REFUSED")

    def test_attack_095_files_are_listed_where_a_manifest_is_due(
        self, forge: Forge, check: Check
    ) -> None:
        # A few files in a manifest would hide their names from those who look at
        # subjects: each list has one place.
        raw = forge.artifact("raw")
        few = statements.decode(spell(raw)).body
        self.listed(forge, list(few.files), write.manifest(few.files))  # type: ignore[union-attr]
        forge.write()
        check(forge.root, "PV606", "REFUSED")
