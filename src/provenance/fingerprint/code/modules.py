"""Modules that were loaded from outside of what is recorded anyway.

The source of the program is recorded as code, the distributions are part of the
environment. A module may come from neither: one that git ignores, a folder on
`PYTHONPATH`, a file laid among the installed ones by hand. What is outside is hashed.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     _ = Path(folder, "helper.py").write_text("LAYERS = 2")
...     found = outside({"helper": f"{folder}/helper.py"}, recorded={})
>>> [(entry.path, entry.mode) for entry in found.entries]
[(b'helper.py', '100644')]

Nothing is imported and no code of a module is run. What is hashed is what lies on the
disk now; what was loaded may have been older.
"""

from __future__ import annotations

import csv
import inspect
import io
import itertools
import operator
import os
import sys
import sysconfig
from importlib import machinery
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.errors import FileError, FormatError
from provenance.fingerprint import files, opening, reading
from provenance.fingerprint.code import objects
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

MAX_MODULES = 10_000
"""Modules from outside that are looked at; the others are counted."""
MAX_BYTES = 64 * 2**20
"""Bytes of one module."""

_NAMESPACE = vars(ModuleType)["__dict__"]
_MAIN = ("__main__", "__mp_main__")
_SITES = ("site-packages", "dist-packages")
_SUFFIXES = sorted(machinery.all_suffixes(), key=len, reverse=True)


@frozen(kw_only=True)
class Outside:
    """What was loaded from outside.

    Attributes:
        entries: the files, sorted by path. A path is made from the name of the module
            and so tells no place: `pkg/mod.py` for `pkg.mod`, wherever that lies.
        problems: one sentence for each that could not be read.
    """

    entries: tuple[FileEntry, ...]
    problems: tuple[str, ...]


def snapshot(loaded: Mapping[str, object]) -> dict[str, str]:
    """Return the file of each module in `sys.modules` that has one.

    It takes some milliseconds for thousands of modules, and looks at them without
    asking them anything: a module may load others when it is asked.
    """
    found = {}
    for name, module in dict(loaded).items():
        file = _file(module)
        if type(name) is str and file is not None:
            found[name] = file
    return found


class Looking:
    """Looks at `sys.modules` again and again, and asks each module for its file once.

    A module is the same as long as it is the same object. Whoever wants to know of
    files that modules have changed themselves begins anew.

    Attributes:
        files: the file of each module that has one, as `snapshot` returns it; another
            dict after each change.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._modules: dict[str, object] = {}
        self._without: set[str] = set()

    def look(self, loaded: Mapping[str, object]) -> bool:
        """Look, and return whether other modules are loaded than the last time."""
        if self._are_same(loaded):
            return False
        now, before = dict(loaded), self._modules
        # There are thousands, so no loop of Python looks at each of them.
        other = map(operator.is_not, now.values(), map(before.get, now))
        new = list(itertools.compress(now, other))
        files = self.files.copy()
        for name in (before.keys() - now.keys()).union(new):
            files.pop(name, None)
        # One without a file may have been given one since.
        asked = new + [name for name in self._without if name in now]
        files |= snapshot({name: now[name] for name in asked})
        self._without = {name for name in asked if name not in files}
        self.files, self._modules = files, now
        return True

    def _are_same(self, loaded: Mapping[str, object]) -> bool:
        if len(loaded) != len(self._modules):
            return False
        try:
            return all(map(operator.is_, loaded.values(), self._modules.values()))
        except RuntimeError:  # it has grown in this moment
            return False


def _file(module: object) -> str | None:
    try:
        # Not by the attribute, which may be a property, and do anything.
        file = _NAMESPACE.__get__(module).get("__file__")
    except TypeError:
        # It is no module, and only poses as one.
        file = inspect.getattr_static(module, "__file__", None)
    if type(file) is not str or not file:
        return None
    if os.path.isabs(file):  # noqa: PTH117 (there are thousands)
        return file
    try:
        return os.path.abspath(file)  # noqa: PTH100 (links stay as they are)
    except OSError:
        return file  # the working directory is gone; reading it will say so


def outside(
    loaded: Mapping[str, str],
    *,
    recorded: Mapping[Path, Container[bytes]],
    search: Sequence[str] | None = None,
) -> Outside:
    """Hash the modules that nothing else accounts for.

    That leaves out the standard library, the files that an installed distribution
    lists as its own (not those of an editable one: it lists none), and what is
    recorded as code.

    Args:
        loaded: name and file of each module, from `snapshot`.
        recorded: the files that are recorded as code, as raw bytes of paths relative
            to a folder, by that folder.
        search: where modules are looked for; `sys.path` if not given.
    """
    loaded = {name: os.path.normpath(file) for name, file in loaded.items()}
    accounts = _Accounts.of(sys.path if search is None else search, recorded)
    first: dict[str, str] = {}
    for name in sorted(loaded, key=lambda name: (name in _MAIN, name)):
        first.setdefault(loaded[name], name)
    found = [(name, file) for file, name in first.items()]
    wanted = [one for one in found if not accounts.hold(*one)]
    entries: dict[bytes, FileEntry] = {}
    problems = []
    for name, file in wanted[:MAX_MODULES]:
        try:
            _add(entries, name, file)
        except FileError as error:
            problems.append(f"the module {name!r} {error.reason}")
        except FormatError as error:
            problems.append(f"the module {name!r}: {error}")
    if more := len(wanted[MAX_MODULES:]):
        problems.append(f"{more:,} modules are left out, those beyond {MAX_MODULES:,}")
    return Outside(
        entries=tuple(entries[path] for path in sorted(entries)),
        problems=tuple(problems),
    )


def _add(entries: dict[bytes, FileEntry], name: str, file: str) -> None:
    path, target = _path(name, file), file
    archive = _archive(file)
    if archive is not None:
        path, target = os.fsencode(archive.name), os.fspath(archive)
    found = _hash(path, target)
    # An archive holds many modules, and is the same for all of them.
    if entries.setdefault(path, found) != found:
        message = "another one has the same path, and other content"
        raise FormatError(message)


def _hash(path: bytes, file: str) -> FileEntry:
    try:
        status = os.stat(file)  # noqa: PTH116 (any text, also one that is no path)
    except OSError as error:
        raise opening.explain(opening.shown(path), error) from error
    except ValueError as error:
        message = "has a file name that no system knows"
        raise FileError(opening.shown(path), message) from error
    if status.st_size > MAX_BYTES:
        message = f"has more than {MAX_BYTES:,} bytes"
        raise FileError(opening.shown(path), message)
    found = files.hash_file(file)
    return FileEntry(
        path=path,
        size=found.size,
        sha256=found.sha256,
        mode=objects.file_mode(status.st_mode),
    )


def _archive(file: str) -> Path | None:
    """Return the archive that a module was loaded from, if it was."""
    whole = Path(file)
    if os.path.lexists(whole):
        return None
    return next((one for one in whole.parents if os.path.isfile(one)), None)  # noqa: PTH113 (raises nothing)


def _path(name: str, file: str) -> bytes:
    base = os.path.basename(file)  # noqa: PTH119 (also a text that is no path)
    suffix = next((one for one in _SUFFIXES if base.endswith(one)), None)
    if suffix is None:
        suffix = os.path.splitext(base)[1]  # noqa: PTH122
    parts = name.split(".")
    if base.removesuffix(suffix) == "__init__" and parts[-1] != "__init__":
        parts.append("__init__")
    return ("/".join(parts) + suffix).encode("utf-8", "backslashreplace")


# What accounts for a file.


@frozen
class _Accounts:
    """The places whose files are recorded elsewhere.

    Attributes:
        roots: folders that modules are looked for in; true for the standard library.
        recorded: what is recorded as code, by the real path of its folder.
        listed: what distributions list, for each root that was asked about.
        nearest: the root above each folder that was asked about.
    """

    roots: Mapping[str, bool]
    recorded: Mapping[str, Container[bytes]]
    listed: dict[str, _Listed] = field(factory=dict)
    nearest: dict[str, str | None] = field(factory=dict)

    @classmethod
    def of(
        cls, search: Sequence[str], recorded: Mapping[Path, Container[bytes]]
    ) -> _Accounts:
        places = sysconfig.get_paths()
        installed = [places["purelib"], places["platlib"], *search]
        roots = {folder: False for one in installed for folder in _spellings(one)}
        standard = [places["stdlib"], places["platstdlib"]]
        # A place to look for modules of its own, and yet part of the library.
        standard += [os.path.join(one, "lib-dynload") for one in standard]  # noqa: PTH118
        zipped = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
        standard += [
            folder
            for folder in roots
            if os.path.basename(folder) == zipped  # noqa: PTH119
        ]
        roots |= {folder: True for one in standard for folder in _spellings(one)}
        trees = {os.path.realpath(top): known for top, known in recorded.items()}
        return cls(roots, trees)

    def hold(self, name: str, file: str) -> bool:
        """Tell whether a file is part of something that is recorded elsewhere."""
        if self._is_installed(file):
            return True
        try:
            real = os.path.realpath(file)
        except (OSError, ValueError):
            return False
        if real != file and self._is_installed(real):
            return True
        return self._is_code(real) or (name in _MAIN and self._is_script(file))

    def _is_code(self, real: str) -> bool:
        """Tell whether it is recorded: a link leads to content that may not be."""
        return any(
            Path(real).is_relative_to(top) and _inside(real, top) in known
            for top, known in self.recorded.items()
        )

    def _is_installed(self, file: str) -> bool:
        root = self._nearest(os.path.dirname(file))  # noqa: PTH120
        if root is None:
            return False
        inside = _inside(file, root)
        if self.roots[root]:
            return _is_standard(inside)
        return self._lists(root, inside)

    def _is_script(self, file: str) -> bool:
        """Tell whether it is a command of a distribution, which lie elsewhere."""
        return any(
            self._lists(root, _beside(file, root))
            for root, is_standard in self.roots.items()
            if not is_standard
        )

    def _lists(self, root: str, inside: bytes) -> bool:
        if root not in self.listed:
            self.listed[root] = _Listed.of(root)
        listed = self.listed[root]
        return _folded(inside) in listed.files or _top(inside) in listed.claimed

    def _nearest(self, folder: str) -> str | None:
        found, at, passed = None, folder, []
        while at not in self.nearest:
            passed.append(at)
            above = os.path.dirname(at)  # noqa: PTH120
            if at in self.roots or above == at:
                found = at if at in self.roots else None
                break
            at = above
        else:
            found = self.nearest[at]
        self.nearest.update(dict.fromkeys(passed, found))
        return found


@frozen
class _Listed:
    """What the distributions in one folder call their own.

    Attributes:
        files: paths relative to the folder.
        claimed: top-level names of those that list no files, such as the packages
            of a Linux distribution.
    """

    files: frozenset[bytes]
    claimed: frozenset[bytes]

    @classmethod
    def of(cls, root: str) -> _Listed:
        files: set[bytes] = set()
        claimed: set[bytes] = set()
        for folder in _metadata(root):
            record = reading.if_possible(folder / "RECORD", MAX_BYTES)
            if record is not None:
                files.update(_record(_folded(record)))
            # A source tree holds metadata as well, and is edited.
            elif os.path.basename(root) in _SITES:  # noqa: PTH119
                named = folder.name.partition("-")[0].replace(".", "_").lower()
                claimed.add(os.fsencode(named))
                top = reading.if_possible(folder / "top_level.txt", MAX_BYTES)
                claimed.update((top or b"").split())
        files.discard(b"")  # a line without a name is no file
        return cls(frozenset(files), frozenset(claimed))


def _metadata(root: str) -> Iterator[Path]:
    try:
        with os.scandir(root) as entries:
            names = [one.name for one in entries]
    except (OSError, ValueError):
        return  # not a folder that modules come from
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            yield Path(root, name)


def _record(record: bytes) -> list[bytes]:
    """Return the first column: quoted in the rare case that a name has a comma."""
    if b'"' not in record:
        return [line.partition(b",")[0] for line in record.split(b"\n")]
    text = io.StringIO(record.decode("utf-8", "surrogateescape"), newline="")
    return [
        row[0].encode("utf-8", "surrogateescape") for row in csv.reader(text) if row
    ]


def _is_standard(inside: bytes) -> bool:
    """Tell whether a file below the standard library belongs to it.

    Folders of installed distributions lie there too, and so may anything that
    somebody put there.
    """
    top = _top(inside).decode("utf-8", "replace")
    return top in sys.stdlib_module_names or top.startswith("_sysconfigdata_")


def _top(inside: bytes) -> bytes:
    return inside.partition(b"/")[0].partition(b".")[0]


def _inside(file: str, folder: str) -> bytes:
    """Return the path of a file relative to a folder above it."""
    below = file[len(folder.rstrip(os.sep)) + 1 :]
    return os.fsencode(below.replace(os.sep, "/"))


def _beside(file: str, folder: str) -> bytes:
    """Return the path of a file relative to a folder, which may lie elsewhere."""
    try:
        return os.fsencode(os.path.relpath(file, folder).replace(os.sep, "/"))
    except ValueError:
        return b""  # on another drive of Windows


def _folded(text: bytes) -> bytes:
    return text.lower() if os.name == "nt" else text


def _spellings(folder: object) -> Iterator[str]:
    """Return a folder as it was named and as it really is."""
    if type(folder) is not str:
        return  # anything may be in `sys.path`; only text is looked at on import
    try:
        yield os.path.abspath(folder)  # noqa: PTH100 (links stay as they are)
        yield os.path.realpath(folder)
    except (OSError, ValueError):
        return
