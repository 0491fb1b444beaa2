"""The columns of our tables (docs: formats/ledger, formats/fingerprints).

>>> SEGMENT.names[:3], SEGMENT.metadata
(['index', 'id', 'kind'], {b'format': b'training-provenance-segment-1'})
"""

from __future__ import annotations

import pyarrow as pa

SEGMENT_FORMAT = "training-provenance-segment-1"
MANIFEST_FORMAT = "training-provenance-manifest-1"
ORDER_FORMAT = "training-provenance-order-1"

_DIGEST = pa.binary(32)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list_of(*members: pa.Field) -> pa.DataType:
    return pa.list_(_required("element", pa.struct(members)))


SEGMENT = pa.schema(
    [
        _required("index", pa.int64()),
        _required("id", _DIGEST),
        pa.field("kind", pa.string()),
        pa.field("time", pa.string()),
        pa.field(
            "subjects",
            _list_of(_required("name", pa.string()), _required("digest", _DIGEST)),
        ),
        pa.field(
            "uses",
            _list_of(_required("digest", _DIGEST), _required("role", pa.string())),
        ),
        pa.field("payload", pa.string()),
        pa.field("withheld", pa.string()),
    ],
    metadata={"format": SEGMENT_FORMAT},
)

MANIFEST = pa.schema(
    [
        _required("path", pa.binary()),
        _required("mode", pa.string()),
        _required("size", pa.int64()),
        _required("sha256", _DIGEST),
    ],
    metadata={"format": MANIFEST_FORMAT},
)

ORDER = pa.schema(
    [
        _required("epoch", pa.int64()),
        _required("batch", pa.int64()),
        pa.field("step", pa.int64()),
        pa.field("samples", pa.int64()),
        pa.field("tokens", pa.int64()),
        _required("digest", _DIGEST),
        pa.field("ids", pa.list_(_required("element", pa.int64()))),
    ],
    metadata={"format": ORDER_FORMAT},
)
