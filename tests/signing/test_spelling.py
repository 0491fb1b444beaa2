"""One spelling for base64, for points and for signatures."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, SignatureError
from provenance.signing import keys, spelling

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
N = spelling.P256_ORDER
D = -121665 * pow(121666, P - 2, P) % P
NEUTRAL = (0, 1)

Point = tuple[int, int]


def add(one: Point, two: Point) -> Point:
    """Add two points of the curve, by the formula of RFC 8032, 5.1.4, in (x, y)."""
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def times(factor: int, point: Point) -> Point:
    total = NEUTRAL
    while factor:
        if factor & 1:
            total = add(total, point)
        point = add(point, point)
        factor >>= 1
    return total


def x_of(y: int) -> int | None:
    """Take a root as RFC 8032, 5.1.3 does, or None where there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == square else None


def torsion() -> set[Point]:
    """Find all points whose order divides 8: multiples of one that has order 8."""
    for y in range(2, 100):
        x = x_of(y)
        if x is not None and times(4, found := times(L, (x, y))) != NEUTRAL:
            return {times(factor, found) for factor in range(8)}
    message = "no point of order 8"
    raise AssertionError(message)


def encodings_of_small_order() -> list[bytes]:
    """List all 14: 8 points, 4 of them with y + p too, 2 with either sign."""
    found = {
        (spelled | sign << 255).to_bytes(32, "little")
        for x, y in torsion()
        for spelled in (y, y + P)
        if spelled < 2**255
        for sign in ((0, 1) if x == 0 else (x & 1,))
    }
    return sorted(found)


SMALL_ORDER = encodings_of_small_order()


class TestBase64:
    @given(st.binary())
    def test_what_is_encoded_is_decoded(self, data: bytes) -> None:
        assert spelling.decode_base64(spelling.encode_base64(data)) == data

    @given(st.binary())
    def test_the_encoding_is_that_of_the_standard_library(self, data: bytes) -> None:
        assert spelling.encode_base64(data) == base64.b64encode(data).decode()

    @pytest.mark.parametrize(
        "text",
        ["YWI", "YWJ=", "YW I=", "YWI=\n", "YWI==", "=", "Y", "_-_-", "YWI=YWI=", "é"],
    )
    def test_any_other_spelling_is_refused(self, text: str) -> None:
        with pytest.raises(FormatError, match="one spelling"):
            spelling.decode_base64(text)


class TestPoints:
    def test_attack_075_there_are_fourteen_encodings_of_small_order(self) -> None:
        assert len(torsion()) == 8
        assert len(SMALL_ORDER) == 14

    @pytest.mark.parametrize("encoded", SMALL_ORDER, ids=bytes.hex)
    def test_attack_075_each_of_them_is_refused(self, encoded: bytes) -> None:
        with pytest.raises(FormatError, match=r"small order|canonically"):
            spelling.check_point(encoded)

    @pytest.mark.parametrize("y", range(P, 2**255))
    @pytest.mark.parametrize("sign", [0, 1])
    def test_attack_075_a_y_that_is_not_reduced_is_refused(
        self, y: int, sign: int
    ) -> None:
        with pytest.raises(FormatError, match="canonically"):
            spelling.check_point((y | sign << 255).to_bytes(32, "little"))

    @given(st.binary(min_size=32, max_size=32))
    def test_points_that_signers_use_pass(self, seed: bytes) -> None:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        encoded = key.public_key().public_bytes_raw()
        spelling.check_point(encoded)
        spelling.check_on_curve(encoded)

    @given(st.integers(0, P - 1))
    def test_a_y_is_on_the_curve_exactly_when_it_has_an_x(self, y: int) -> None:
        encoded = y.to_bytes(32, "little")
        if x_of(y) is None:
            with pytest.raises(FormatError, match="not on the curve"):
                spelling.check_on_curve(encoded)
        else:
            spelling.check_on_curve(encoded)


class TestEd25519Signatures:
    GOOD = keys.generate("ed25519").sign(b"message")

    def test_a_good_one_passes(self) -> None:
        spelling.check_ed25519(self.GOOD)

    @pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
    def test_attack_074_another_length_is_refused(self, length: int) -> None:
        with pytest.raises(SignatureError, match="has 64 bytes"):
            spelling.check_ed25519((self.GOOD * 2)[:length])

    @pytest.mark.parametrize("multiple", [0, 1, 2, 14])
    def test_attack_074_an_s_that_is_not_reduced_is_refused(
        self, multiple: int
    ) -> None:
        s = int.from_bytes(self.GOOD[32:], "little") % L if multiple else L
        signature = self.GOOD[:32] + (s + multiple * L).to_bytes(32, "little")
        with pytest.raises(SignatureError, match="not reduced"):
            spelling.check_ed25519(signature)

    def test_the_largest_reduced_s_passes(self) -> None:
        spelling.check_ed25519(self.GOOD[:32] + (L - 1).to_bytes(32, "little"))

    @pytest.mark.parametrize("encoded", SMALL_ORDER, ids=bytes.hex)
    def test_attack_075_an_r_of_small_order_is_refused(self, encoded: bytes) -> None:
        with pytest.raises(SignatureError, match="the R of the signature"):
            spelling.check_ed25519(encoded + self.GOOD[32:])


class TestP256Signatures:
    def test_the_largest_low_s_passes_and_the_next_is_refused(self) -> None:
        spelling.check_p256(encode_dss_signature(1, N // 2))
        with pytest.raises(SignatureError, match="above half"):
            spelling.check_p256(encode_dss_signature(1, N // 2 + 1))

    @pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (N, 1), (1, N)])
    def test_a_number_out_of_range_is_refused(self, r: int, s: int) -> None:
        with pytest.raises(SignatureError, match="out of range"):
            spelling.check_p256(encode_dss_signature(r, s))

    @pytest.mark.parametrize(
        "signature",
        [
            b"",
            b"\x30",
            bytes(64),
            bytes.fromhex("300602010102010100"),  # a byte behind it
            bytes.fromhex("30080201010201010500"),  # an element behind s
            bytes.fromhex("3009020101020101020101"),  # a third number
            bytes.fromhex("30810602010102 0101"),  # a length in two bytes
            bytes.fromhex("3080020101020101 0000"),  # an indefinite length
            bytes.fromhex("30070202000102 0101"),  # a leading zero
            bytes.fromhex("3006020181020101"),  # a negative number
            bytes.fromhex("3106020101020101"),  # a set
        ],
        ids=bytes.hex,
    )
    def test_attack_073_another_encoding_is_refused(self, signature: bytes) -> None:
        with pytest.raises(SignatureError):
            spelling.check_p256(signature)

    def test_a_long_signature_is_refused_before_it_is_parsed(self) -> None:
        with pytest.raises(SignatureError, match="1,000 bytes"):
            spelling.check_p256(bytes(1000))

    @given(st.integers(1, N - 1), st.integers(1, N - 1))
    def test_low_s_is_accepted_and_keeps_r(self, r: int, s: int) -> None:
        low = spelling.low_s(encode_dss_signature(r, s))
        spelling.check_p256(low)
        assert low == spelling.low_s(encode_dss_signature(r, N - s))
        assert low in {encode_dss_signature(r, s), encode_dss_signature(r, N - s)}
