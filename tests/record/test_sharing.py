"""What a rank believes of what another one has read."""

from __future__ import annotations

import secrets
from itertools import count
from typing import TYPE_CHECKING

import pytest

from provenance.encoding import canonical
from provenance.ledger import layout
from provenance.record.sharing import Sharing, Thing
from provenance.signing import keys
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from provenance.signing.keys import Signer
    from provenance.storage.store import Store

RUN, WRITER, TRUE, LIE = "a" * 32, "b" * 32, "c" * 64, "d" * 64
DATA = Thing(kind="dataset", name="data", key="e" * 64, bytes=1)
OTHER = Thing(kind="dataset", name="other", key="f" * 64, bytes=1)


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://sharing-{secrets.token_hex(8)}", create=True)


_numbers = count()


def sharing(store: Store, signer: Signer | None) -> Sharing:
    return Sharing(
        store,
        run=RUN,
        writer=f"{next(_numbers):032x}",
        safe=lambda: None,
        ask=lambda *_: None,
        report=lambda *_: None,
        strict=True,
        signer=signer,
    )


def publish(store: Store, said: dict[str, canonical.Json]) -> None:
    for done, told in ((False, {"writer": WRITER}), (True, said)):
        place = layout.shared(RUN, DATA.key, done=done)
        store.put_new(place, canonical.encode(told))


@pytest.mark.parametrize("is_signed", [True, False])
def test_what_was_published_is_believed(store: Store, *, is_signed: bool) -> None:
    signer = keys.generate() if is_signed else None
    assert sharing(store, signer).once(DATA, lambda: TRUE) == TRUE
    assert sharing(store, signer).once(DATA, lambda: LIE) == TRUE


def test_the_same_once_more_is_read_once_more(store: Store) -> None:
    found = sharing(store, keys.generate())
    assert [found.once(DATA, lambda: TRUE) for _ in range(2)] == [TRUE, TRUE]


@pytest.mark.parametrize("signature", [None, "", "zz", "00" * 64, 7, []])
def test_attack_060_what_nobody_signed_is_read_again(
    store: Store, signature: canonical.Json
) -> None:
    publish(store, {"digest": LIE, "signature": signature})
    assert sharing(store, keys.generate()).once(DATA, lambda: TRUE) == TRUE


def test_attack_060_what_another_key_signed_is_read_again(store: Store) -> None:
    assert sharing(store, keys.generate()).once(DATA, lambda: LIE) == LIE
    assert sharing(store, keys.generate()).once(DATA, lambda: TRUE) == TRUE


def test_attack_060_a_signature_for_something_else_is_of_no_use(store: Store) -> None:
    signer = keys.generate()
    assert sharing(store, signer).once(OTHER, lambda: LIE) == LIE
    place = layout.shared(RUN, OTHER.key, done=True)
    told = canonical.decode(store.get(place, limit=1_000), limit=1_000)
    assert isinstance(told, dict)
    publish(store, told)
    assert sharing(store, signer).once(DATA, lambda: TRUE) == TRUE
