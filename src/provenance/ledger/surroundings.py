"""What a writer needs from outside, and what it says about itself.

>>> around = of_system(None)
>>> len(around.new_id()), around.now()[-1]
(32, 'Z')
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.model.statements import Tool
from provenance.model.text import spell_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.signing.keys import Signer


@frozen(kw_only=True)
class Surroundings:
    """What a writer needs from outside: keys, clock and randomness.

    Attributes:
        signer: signs heads; without one they stay bare statements.
        clock: returns the current moment, aware of its time zone.
        entropy: returns that many random bytes.
    """

    signer: Signer | None
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes] = field(repr=False)

    def now(self) -> str:
        """Return the current time as the format spells it."""
        return spell_time(self.clock())

    def new_id(self) -> str:
        """Return 128 random bits in hex."""
        return self.entropy(16).hex()


def of_system(signer: Signer | None) -> Surroundings:
    """Return the clock and the randomness of this system, beside a key."""
    return Surroundings(
        signer=signer, clock=lambda: datetime.now(UTC), entropy=os.urandom
    )


@lru_cache(maxsize=1)
def tool() -> Tool:
    """Return who writes these statements; looked up once in a process."""
    return Tool(
        name="training-provenance", version=metadata.version("training-provenance")
    )
