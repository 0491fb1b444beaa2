r"""The log of the recording wing, without the secrets that a message may quote.

A log is handed around, and so is what stands in it. Names, reasons and the words of
other people's exceptions all pass through here.

>>> import io
>>> said = io.StringIO()
>>> handler = logging.StreamHandler(said)
>>> logger.addHandler(handler)
>>> logger.warning("cannot read %s", "https://me:hunter2@example.org/data")
>>> logger.removeHandler(handler)
>>> said.getvalue()
'cannot read https://[secret]@example.org/data\n'
"""

from __future__ import annotations

import logging


class _WithoutSecrets(logging.Filter):
    """Cuts out of each message what looks like a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Many patterns, which nobody needs as long as nothing is logged.
        from provenance.encoding import secrets  # noqa: PLC0415

        record.msg, _ = secrets.cut(record.getMessage())
        record.args = ()
        return True


logger = logging.getLogger("provenance")
logger.addFilter(_WithoutSecrets())
