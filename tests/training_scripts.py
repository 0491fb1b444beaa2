"""Training scripts in processes of their own, as people run them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 120
"""Seconds until a script counts as one that hangs."""


class Scripts:
    """Runs scripts in a folder, with a key."""

    def __init__(self, here: Path, key_file: Path) -> None:
        self._here = here
        self._environ = {**os.environ, "PROVENANCE_KEY": str(key_file)}

    def begin(self, body: str) -> subprocess.Popen[str]:
        """Start a script; it has imported `provenance`."""
        script = self._here / "script.py"
        script.write_text("import provenance\n" + textwrap.dedent(body))
        return subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
            cwd=self._here,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, body: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end; one that hangs is killed and fails the test."""
        with self.begin(body) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
