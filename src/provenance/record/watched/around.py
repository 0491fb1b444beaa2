"""What a watched command gets around it, and what is left of that afterwards.

A folder of its own, whose name stands in two variables: `PROVENANCE_WATCH` says where
notes go, and `PYTHONPATH` brings `child.py` into every Python below, which takes the
place of a `sitecustomize` and then loads the one that would have been there. Nothing
is installed, and when the command has ended the folder is removed.

>>> with around({"PYTHONPATH": "/lib"}) as found:
...     found.variables["PYTHONPATH"].split(os.pathsep)[1:]
['/lib']
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.record.watched import child
from provenance.record.watched.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WATCH = "PROVENANCE_WATCH"
_PATHS = "PYTHONPATH"
_CHILD = "_provenance_child"

# Read by every Python, also by those that cannot be watched: it is kept in the words
# that all of them know.
_ENTRY = '''\
"""Loads what notes files and commands, and then the sitecustomize behind it, if any."""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
_notes = os.environ.get("PROVENANCE_WATCH", "")
if os.path.dirname(_notes) == os.path.dirname(_here):
    try:
        import _provenance_child

        if not hasattr(sys, "addaudithook"):
            raise ImportError("too old")
        _provenance_child.begin(_notes)
    except Exception:
        try:
            with open(os.path.join(_notes, "%d-old" % os.getpid()), "w"):
                pass
        except Exception:
            pass  # whoever started this process has ended
    sys.modules.pop("_provenance_child", None)

# As if it had never been here.
sys.path[:] = [place for place in sys.path if place != _here]
sys.path_importer_cache.pop(_here, None)
sys.modules.pop("sitecustomize", None)
import sitecustomize
'''


@frozen
class Around:
    """What one command gets.

    Attributes:
        variables: its environment.
        notes: what the processes below it note.
    """

    variables: Mapping[str, str] = field(repr=False)
    notes: Notes


@contextmanager
def around(environ: Mapping[str, str]) -> Iterator[Around]:
    """Make what a command gets, and remove it at the end.

    Args:
        environ: the environment that the command would have otherwise.

    Raises:
        OSError: there is no room for it.
    """
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="provenance-run-")))
    kept = None
    try:
        (folder / "notes").mkdir(mode=0o700)
        code = folder / "python"
        code.mkdir(mode=0o700)
        (code / "sitecustomize.py").write_text(_ENTRY)
        (code / f"{_CHILD}.py").write_bytes(Path(child.__file__).read_bytes())
        kept = _keep(folder)
        notes = folder / "notes"
        variables = {**environ, WATCH: str(notes), _PATHS: _paths(environ, code)}
        yield Around(variables, Notes(notes))
    finally:
        if kept is not None:
            os.close(kept)
        shutil.rmtree(folder, ignore_errors=True)


def _paths(environ: Mapping[str, str], code: Path) -> str:
    """Put our folder before those of the user; one of a run around us goes."""
    before = environ.get(WATCH)
    places = environ.get(_PATHS, "").split(os.pathsep) if environ.get(_PATHS) else []
    if before:
        outer = os.path.join(os.path.dirname(before), "python")  # noqa: PTH118, PTH120
        places = [place for place in places if place != outer]
    return os.pathsep.join([str(code), *places])


def _keep(folder: Path) -> int | None:
    """Have those who clean up old temporary files leave this folder alone."""
    with suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 (not on Windows)

        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    return None
