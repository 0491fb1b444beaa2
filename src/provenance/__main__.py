"""`python -m provenance` and the command `provenance`.

Whatever goes wrong, also while the command line itself is loaded, the exit code is
never 0 and never 1: 1 says that a release FAILED, and nothing else may say that.
"""

from __future__ import annotations

import gc
import sys

CRASHED = 4


def run() -> None:
    """Run the command line and exit."""
    # A command makes many objects, hardly any of them in rings, and ends.
    gc.set_threshold(100_000, 50, 50)
    try:
        from provenance.cli.main import main  # noqa: PLC0415 (see the docstring)

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except Exception:  # noqa: BLE001 (see the docstring)
        sys.excepthook(*sys.exc_info())
        code = CRASHED
    sys.exit(code)


if __name__ == "__main__":
    run()
