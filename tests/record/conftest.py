"""What tests of recording share."""

from __future__ import annotations

from recording import here, key_file, reader, record, records, start

__all__ = ["here", "key_file", "reader", "record", "records", "start"]
