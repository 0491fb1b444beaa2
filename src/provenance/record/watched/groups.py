"""Which files of many are one thing: a folder all of which was read.

Few files are told one by one. Of many, those are one tree that lie in a folder and are
all that lies there: its fingerprint is the one that anybody gets of that folder. What
is only part of a folder is a tree as well, of these files and no others, and is called
a part: its fingerprint is not that of the folder.

>>> import tempfile
>>> top = tempfile.mkdtemp()
>>> for name in ("a", "b", "c"):
...     _ = Path(top, name).write_text(name)
>>> [(one.is_whole, sorted(one.files)) for one in groups(_paths(top, "abc"), most=1)]
[(True, [b'a', b'b', b'c'])]
>>> [(one.is_whole, sorted(one.files)) for one in groups(_paths(top, "ab"), most=1)]
[(False, [b'a', b'b'])]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from provenance.errors import FileError, LimitError
from provenance.fingerprint import tree, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAX_ALONE = 100
"""So many files are told one by one."""


@frozen
class Group:
    """Files that are one thing.

    Attributes:
        place: the folder that they lie in, or the one file.
        files: by its path inside of the folder, where each really lies; empty where it
            is one file.
        is_whole: whether they are all that lies there.
    """

    place: str
    files: Mapping[bytes, str]
    is_whole: bool


def groups(paths: Collection[str], *, most: int = MAX_ALONE) -> list[Group]:
    """Group files, given by where they really lie.

    Args:
        paths: the files.
        most: so many are told one by one.
    """
    left = set(paths)
    if len(left) <= most:
        return [Group(path, {}, is_whole=True) for path in sorted(left)]
    found = []
    for folder in sorted({os.path.dirname(path) for path in left}):  # noqa: PTH120
        largest, files = folder, _all_of(folder, left)
        if not files:
            continue
        # The folders above, as far as all in them was read as well.
        above = os.path.dirname(folder)  # noqa: PTH120
        while above != largest and (more := _all_of(above, left)):
            largest, files, above = above, more, os.path.dirname(above)  # noqa: PTH120
        found.append(Group(largest, files, is_whole=True))
        left.difference_update(files.values())
    if len(found) > most:
        return _parts(set(paths), most)
    if len(left) <= most:
        return found + [Group(path, {}, is_whole=True) for path in sorted(left)]
    return found + _parts(left, most)


def _parts(left: set[str], most: int) -> list[Group]:
    """Group what is no whole folder by the folder, or if these are many, in one."""
    folders = {os.path.dirname(path) for path in left}  # noqa: PTH120
    if len(folders) > most:
        folders = {os.path.commonpath(left)}
    found = []
    for folder in sorted(folders):
        inside = {
            os.fsencode(os.path.relpath(path, folder).replace(os.sep, "/")): path
            for path in left
            if len(folders) == 1 or os.path.dirname(path) == folder  # noqa: PTH120
        }
        found.append(Group(folder, inside, is_whole=False))
    return found


def _all_of(folder: str, known: set[str]) -> dict[bytes, str]:
    """Return the files in a folder if all of them are among the known, else nothing."""
    options = evolve(tree.OPTIONS, max_files=len(known))
    try:
        listed = walk.listing(folder, options=options)
    except (FileError, LimitError):
        return {}
    found = {}
    for one in listed:
        # No folder on the way is a link: walking would have refused it.
        path = os.path.join(folder, os.fsdecode(one.path))  # noqa: PTH118
        if os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        if path not in known:
            return {}
        found[one.path] = path
    return found


def _paths(folder: str, names: str) -> list[str]:
    return [os.path.realpath(Path(folder, name)) for name in names]
