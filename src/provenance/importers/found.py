"""What is found in the records of another tracker, whichever it is.

>>> step = FoundStep(name="train", kind="train", outcome="completed")
>>> FoundRun(key="a1", name="first", steps=(step,)).steps[0].name
'train'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provenance.model.values import Value

MAX_RUNS = 10_000
"""Runs that are read from one place."""
MAX_POINTS = 1_000_000
"""Points of all metrics of one run."""
MAX_CONTENTS = 10_000
"""Files and folders of one run that are hashed."""


@frozen(kw_only=True)
class Tracker:
    """Whose records they are.

    Attributes:
        name: `mlflow`, `dvc` or `wandb`.
        version: of the tracker or of its files, where these tell it.
        place: the last part of the path that was imported.
    """

    name: str
    version: str | None
    place: str


@frozen(kw_only=True)
class Content:
    """A file or folder that is here, to be hashed now.

    Attributes:
        kind: what kind of artifact it is.
        name: what it is called.
        path: where it lies; links in it were followed, and lead nowhere else.
        role: what it was to a step that used it, if that is not the usual thing.
        says: what the tracker says about it, its own digest of it for one.
        facts: what a reader of datasets looks for, such as `source`.
    """

    kind: str
    name: str
    path: Path
    role: str | None = None
    says: Mapping[str, Value] = field(factory=dict)
    facts: Mapping[str, Value] = field(factory=dict)


@frozen(kw_only=True)
class Point:
    """One value of one metric.

    Attributes:
        name: which metric.
        value: the number.
        step: the step of the training, if that is told.
        time: seconds since 1970, if that is told.
    """

    name: str
    value: float
    step: int | None
    time: float | None


@frozen(kw_only=True)
class Lost:
    """Something that cannot be imported, and why.

    Attributes:
        what: the kind of thing, as in a gap.
        name: which one.
        why: the reason.
    """

    what: str
    name: str
    why: str


@frozen(kw_only=True)
class FoundStep:
    """An activity, as the tracker tells it.

    Attributes:
        name: what it is called.
        kind: the kind of step.
        outcome: `completed`, `failed`, `interrupted`, or `running`.
        config: parameters, as they stand there.
        uses: what it used that is here.
        products: what it produced that is here.
        points: metrics over time, in the order in which they were logged.
        measured: last or only values of metrics.
        says: whatever else the tracker says.
    """

    name: str
    kind: str
    outcome: str
    config: Mapping[str, Value] = field(factory=dict, repr=False)
    uses: tuple[Content, ...] = ()
    products: tuple[Content, ...] = ()
    points: tuple[Point, ...] = field(default=(), repr=False)
    measured: Mapping[str, Value] = field(factory=dict)
    says: Mapping[str, Value] = field(factory=dict)


@frozen(kw_only=True)
class FoundRun:
    """One run of the tracker: it becomes one run in the store.

    Attributes:
        key: what the tracker calls it, uniquely.
        name: what people call it.
        steps: in an order in which nothing is used before it was produced.
        contents: what is here and belongs to no step.
        lost: what cannot be imported.
    """

    key: str
    name: str
    steps: tuple[FoundStep, ...] = ()
    contents: tuple[Content, ...] = ()
    lost: tuple[Lost, ...] = ()

    @property
    def outcome(self) -> str:
        """How it ended: as the worst of its steps did."""
        outcomes = {step.outcome for step in self.steps}
        for one in ("failed", "interrupted", "running"):
            if one in outcomes:
                return "interrupted" if one == "running" else one
        return "completed"
