"""Where a repository stands: its commit, and what it says about itself.

Only the ids are worth anything as evidence. Names (branch, tags, remotes) are hints:
anybody can move or invent them, and a reader can use them to look for the commit.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.fingerprint.code import remotes

if TYPE_CHECKING:
    from provenance.fingerprint.code.git import Git, Repository
    from provenance.model.values import Value

MAX_TAGS = 100
"""Tags that the facts name; all are counted."""

_SETTINGS = (
    r"^(remote\..*\.(url|pushurl|promisor)|extensions\.partialclone"
    r"|core\.sparsecheckout)$"
)
_ON = {"true", "yes", "on", "1"}


@frozen(kw_only=True)
class Standing:
    """Where a repository stands.

    Attributes:
        repository: the work tree that is asked about.
        commit: id of the commit that is checked out; None if there is none yet.
        tree: id of the tree of that commit.
        settings: those of the repository that matter here.
    """

    repository: Repository
    commit: str | None
    tree: str | None
    settings: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, repository: Repository) -> Standing:
        """Ask a repository.

        Raises:
            FileError: git fails.
        """
        commit, tree = repository.git.head() or (None, None)
        settings = tuple(repository.git.settings(_SETTINGS))
        return cls(repository=repository, commit=commit, tree=tree, settings=settings)

    @property
    def git(self) -> Git:
        """What is asked."""
        return self.repository.git

    @property
    def algorithm(self) -> str:
        """The hash function of the repository."""
        return self.repository.algorithm

    @property
    def partial(self) -> bool:
        """Whether objects may be missing, because a server would send them later."""
        return any(
            key == "extensions.partialclone"
            or (key.endswith(".promisor") and value.lower() in _ON)
            for key, value in self.settings
        )

    @property
    def sparse(self) -> bool:
        """Whether only a part of the files is meant to be on the disk."""
        said = [value for key, value in self.settings if key == "core.sparsecheckout"]
        return bool(said) and said[-1].lower() in _ON

    def facts(self) -> dict[str, Value]:
        """Return what a record says about it; rare states only where they are so.

        Raises:
            FileError: git fails.
        """
        branch = self.git.try_asking("symbolic-ref", "-q", "HEAD")
        facts: dict[str, Value] = {
            "commit": self.commit,
            "object_format": self.algorithm,
            "shallow": self.repository.shallow,
            "detached": branch is None,
        }
        if branch is not None:
            facts["branch"] = _text(branch.removeprefix("refs/heads/"))
        if tags := self._tags():
            facts["tags"] = {"count": len(tags), "first": tags[:MAX_TAGS]}
        if addresses := remotes.listed(self.settings):
            facts["remotes"] = addresses
        if self.partial:
            facts["partial"] = True
        if self.git.is_linked():
            facts["linked"] = True
        if replaced := self.git.references("refs/replace"):
            facts["replace_refs"] = len(replaced)
        return facts

    def _tags(self) -> list[str]:
        if self.commit is None:
            return []
        tags = self.git.references("refs/tags", at=self.commit)
        return [tag.removeprefix("refs/tags/") for tag in tags]


def _text(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")
