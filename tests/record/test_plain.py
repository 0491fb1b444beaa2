"""Whatever a script holds its settings in becomes plain values, in one spelling."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import enum
import re
import subprocess
import sys
import uuid
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import attrs
import hydra
import ml_collections
import numpy as np
import pydantic
import pytest
from absl import flags
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig, OmegaConf

import strategies
from provenance.errors import FormatError, LimitError
from provenance.model import values
from provenance.model.values import Commitment
from provenance.record.plain import hydra_facts, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Point = namedtuple("Point", "x y")  # noqa: PYI024 (what is tested)


class Typed(NamedTuple):
    x: int
    y: str


class Color(enum.Enum):
    RED = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


class Mode(enum.StrEnum):
    FAST = "fast"


class Rate(float, enum.Enum):
    SLOW = 0.5


class Magic(bytes, enum.Enum):
    PNG = b"\x89PNG"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Hostile:
    """Raises whatever is done to it, being shown and compared included."""

    def __getattribute__(self, name: str) -> object:
        raise ZeroDivisionError(name)

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


def same(one: object, other: object) -> bool:
    """Compare as the format does: 1 is not True, and nan is nan."""
    return values.of(cast("values.Value", one)) == values.of(
        cast("values.Value", other)
    )


def message(value: object) -> str:
    """Return the words of the error that a value leads to."""
    with pytest.raises(FormatError) as caught:
        plain(value)
    return str(caught.value)


class TestWhatIsPlainAlready:
    @given(strategies.values)
    def test_it_comes_back_equal(self, value: values.Value) -> None:
        assert same(plain(value), value)

    @given(strategies.values)
    def test_it_survives_being_spelled_and_read(self, value: values.Value) -> None:
        once = plain(value)
        assert same(values.to(values.of(once)), once)
        assert same(plain(once), once)

    def test_a_commitment_stays_one(self) -> None:
        hidden = Commitment("ab" * 32)
        assert plain({"key": hidden}) == {"key": hidden}

    def test_nothing_is_changed(self) -> None:
        given_one = {"a": [1, {"b": (2, {3})}], "c": bytearray(b"x")}
        plain(given_one)
        assert given_one == {"a": [1, {"b": (2, {3})}], "c": bytearray(b"x")}

    def test_what_was_given_can_change_later(self) -> None:
        inner = [1]
        taken = plain({"a": inner})
        inner.append(2)
        assert taken == {"a": [1]}


@pytest.mark.parametrize(
    ("given_one", "expected"),
    [
        (float("inf"), float("inf")),
        (2**100, 2**100),
        ((1, (2,)), [1, [2]]),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (range(0), []),
        (bytearray(b"\x00\xff"), b"\x00\xff"),
        ({"b", "a"}, ["a", "b"]),
        ({2, 10, None, "1", 0.5}, [0.5, 10, 2, None, "1"]),
        ({(1, 2), (1,), frozenset({3, 1})}, [[1], [1, 2], [1, 3]]),
        (1 + 2j, "(1+2j)"),
        (Decimal("0.10"), "0.10"),
        (Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (PureWindowsPath("c:\\data"), "c:/data"),
        (dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC), "2026-01-31T09:30:00+00:00"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.time(9, 30), "09:30:00"),
        (dt.timedelta(), "PT0S"),
        (dt.timedelta(days=2), "P2D"),
        (dt.timedelta(days=1, hours=2, seconds=3), "P1DT2H3S"),
        (dt.timedelta(minutes=10, milliseconds=1500), "PT10M1.5S"),
        (dt.timedelta(microseconds=1), "PT0.000001S"),
        (dt.timedelta(hours=-2), "-PT2H"),
        (Color.RED, "Color.RED"),
        (Level.HIGH, 3),
        (Mode.FAST, "fast"),
        (Rate.SLOW, 0.5),
        (Magic.PNG, b"\x89PNG"),
        (Access.READ, "Access.READ"),
        (Access.READ | Access.WRITE, "Access.READ|WRITE"),
        (Access(0), "Access.0"),
        (re.compile("a+"), "a+"),
        (re.compile(b"b+"), b"b+"),
        (re.compile("a", re.IGNORECASE | re.MULTILINE), "(?im)a"),
        (re.compile(b"a", re.DOTALL), b"(?s)a"),
        (re.compile("(?i)a"), "(?i)a"),
        (OrderedDict, "collections.OrderedDict"),
        (int, "builtins.int"),
        (len, "builtins.len"),
        (re.compile, "re.compile"),
        (Point(1, "b"), {"x": 1, "y": "b"}),
        (Typed(1, "b"), {"x": 1, "y": "b"}),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (UserDict({"a": 1}), {"a": 1}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (SimpleNamespace(a=1), {"a": 1}),
    ],
)
def test_each_type_of_python_has_one_spelling(
    given_one: object, expected: object
) -> None:
    assert same(plain(given_one), expected)


class TestSubclasses:
    """The value of a subclass counts, and not what it says of itself."""

    def test_numbers_and_text(self) -> None:
        class Loud(str):
            __slots__ = ()

            def __str__(self) -> str:
                return "LOUD"

        class Odd(int):
            def __int__(self) -> int:
                return 7

            __index__ = __int__

        class Off(float):
            def __float__(self) -> float:
                return 7.0

        found = plain(
            [Loud("quiet"), Odd(1), Off(0.5), type("Raw", (bytes,), {})(b"x")]
        )
        assert same(found, ["quiet", 1, 0.5, b"x"])
        assert [type(one) for one in cast("list[object]", found)] == [
            *(str, int, float, bytes)
        ]

    def test_an_enum_that_hides_its_value_and_name(self) -> None:
        class Sly(enum.Enum):
            ONE = 1

            @property
            def name(self) -> str:  # type: ignore[override] # what is tested
                return "TWO"

        assert plain(Sly.ONE) == "Sly.ONE"

    def test_a_finer_duration_is_refused(self) -> None:
        class Fine(dt.timedelta):
            pass

        assert "Fine" in message({"after": Fine(seconds=1)})


@given(st.datetimes() | st.datetimes(timezones=st.just(dt.UTC)))
def test_moments_come_back_from_their_spelling(moment: dt.datetime) -> None:
    assert dt.datetime.fromisoformat(str(plain(moment))) == moment


@given(st.timedeltas())
def test_durations_of_different_length_are_spelled_differently(
    length: dt.timedelta,
) -> None:
    found = re.fullmatch(
        r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?",
        str(plain(length)),
    )
    assert found is not None
    sign, days, hours, minutes, seconds = found.groups("0")
    whole, _, part = seconds.partition(".")
    read = dt.timedelta(
        days=int(days),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(whole),
        microseconds=int(part.ljust(6, "0") or "0"),
    )
    assert (-read if sign == "-" else read) == length


class TestKeys:
    def test_numbers_bools_none_and_enums_become_text(self) -> None:
        given_one = {1: "a", None: "c", 0.5: "d", Color.RED: "e", Mode.FAST: "f"}
        assert plain({**given_one, False: "g"}) == {
            "1": "a",
            "null": "c",
            "0.5": "d",
            "Color.RED": "e",
            "fast": "f",
            "false": "g",
        }

    def test_two_keys_with_one_spelling_are_an_error(self) -> None:
        assert message({"a": {1: 0, "1": 0}}) == ("two keys at /a are both spelled '1'")

    def test_other_keys_are_an_error(self) -> None:
        assert "a key at /a is a builtins.tuple" in message({"a": {(1, 2): 0}})
        assert "a key at / is a builtins.bytes" in message({b"a": 0})

    def test_paths_in_errors_are_spelled_as_in_the_record(self) -> None:
        assert "at /a~1b/~0 is" in message({"a/b": {"~": object()}})


@dataclasses.dataclass
class DataNode:
    lr: float
    layers: int = 2
    inner: Any = None
    unset: dataclasses.InitVar[int] = 0


@attrs.define
class AttrsNode:
    lr: float
    layers: int = 2
    inner: Any = None


class PydanticNode(pydantic.BaseModel):
    lr: float
    layers: int = 2
    inner: Any = None


def omegaconf_node(**fields: object) -> object:
    return OmegaConf.create({"layers": 2, "inner": None, **fields})


def config_dict_node(**fields: object) -> object:
    return ml_collections.ConfigDict({"layers": 2, "inner": None, **fields})


def namespace_node(**fields: object) -> object:
    return argparse.Namespace(**{"layers": 2, "inner": None, **fields})


MAKERS: dict[str, Callable[..., object]] = {
    "dataclass": DataNode,
    "attrs": AttrsNode,
    "pydantic": PydanticNode,
    "omegaconf": omegaconf_node,
    "ml_collections": config_dict_node,
    "argparse": namespace_node,
}
SECRETS = [pydantic.SecretStr]

if sys.version_info < (3, 14):  # version 1 of pydantic does not run on later ones
    from pydantic import v1

    class OldPydanticNode(v1.BaseModel):
        lr: float
        layers: int = 2
        inner: Any = None

    MAKERS["pydantic v1"] = OldPydanticNode
    SECRETS.append(v1.SecretStr)  # type: ignore[arg-type] # another class of that name


class TestObjectsWithFields:
    @pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
    @given(
        lr=st.floats(allow_nan=False, allow_infinity=False),
        layers=st.integers(0, 2**40),
        inner=st.none() | strategies.unicode_text | st.booleans(),
    )
    def test_equal_content_gives_equal_values(
        self, make: Callable[..., object], lr: float, layers: int, inner: object
    ) -> None:
        if isinstance(inner, str) and "${" in inner:
            inner = "x"  # OmegaConf would look it up
        found = plain(make(lr=lr, layers=layers, inner=inner))
        assert same(found, {"lr": lr, "layers": layers, "inner": inner})

    @pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
    def test_defaults_and_what_is_inside_are_there(
        self, make: Callable[..., object]
    ) -> None:
        inner = make(lr=0.5, inner=[1, "x"])
        expected = {"lr": 0.5, "layers": 2, "inner": [1, "x"]}
        found = plain({"model": make(lr=0.1, inner=inner)})
        assert same(found, {"model": {"lr": 0.1, "layers": 2, "inner": expected}})

    @pytest.mark.parametrize("library", [one for one in MAKERS if one != "omegaconf"])
    def test_what_has_no_spelling_is_named_by_its_path(self, library: str) -> None:
        # OmegaConf refuses such an object itself.
        given_one = {"model": MAKERS[library](lr=0.1, inner=object())}
        assert "/model/inner is a builtins.object" in message(given_one)

    def test_a_field_that_was_never_set_is_named(self) -> None:
        @dataclasses.dataclass
        class Late:
            layers: int = dataclasses.field(init=False)

        assert message([Late()]) == (
            "the value at /0/layers cannot be recorded: "
            "it raised AttributeError when it was read"
        )

    def test_what_only_looks_like_a_settings_object_is_refused(self) -> None:
        class Namespace:
            def __init__(self) -> None:
                self.lr = 0.1

            def to_dict(self) -> dict[str, float]:
                return {"lr": self.lr}

        assert "Namespace; convert it" in message(Namespace())


class TestPydantic:
    def test_extra_fields_count_and_aliases_do_not(self) -> None:
        class Open(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(extra="allow")
            lr: float = pydantic.Field(default=0.1, alias="learningRate")
            _private: int = 1

            @pydantic.computed_field  # type: ignore[prop-decorator] # as it is used
            @property
            def double(self) -> float:
                return self.lr * 2

        assert plain(Open(learningRate=0.2, more=3)) == {"lr": 0.2, "more": 3}  # type: ignore[call-arg] # an extra field

    def test_a_root_model_is_its_root(self) -> None:
        assert plain(pydantic.RootModel[list[int]]([1, 2])) == [1, 2]

    @pytest.mark.parametrize("secret", SECRETS, ids=lambda one: one.__module__)
    def test_a_secret_is_an_error_unless_its_path_is_wanted(self, secret: Any) -> None:
        settings = {"hub": {"token": secret("hunter2")}, "lr": 0.1}
        assert message(settings) == (
            "the value at /hub/token says that it is a secret; "
            "leave it out of what is recorded"
        )
        told: list[str] = []
        assert plain(settings, on_secret=told.append) == {
            "hub": {"token": "hunter2"},
            "lr": 0.1,
        }
        assert told == ["/hub/token"]

    def test_a_secret_in_a_set_has_no_path(self) -> None:
        told: list[str] = []
        with pytest.raises(FormatError, match="the set at /a holds a secret"):
            plain({"a": {pydantic.SecretBytes(b"x")}}, on_secret=told.append)


class TestOmegaConf:
    def test_interpolations_are_resolved(self) -> None:
        config = OmegaConf.create(
            {"a": 1, "b": "${a}", "c": {"d": ["${b}", "x${a}"], "e": "${c.d}"}}
        )
        assert plain(config) == {
            "a": 1,
            "b": 1,
            "c": {"d": [1, "x1"], "e": [1, "x1"]},
        }
        assert config.c.d._get_node(0)._value() == "${b}"  # as it was

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("???", "it has no value yet"),
            ("${nowhere}", "it refers to a key that is not there"),
            ("${oc.env:NO_SUCH_VARIABLE}", "what it refers to cannot be resolved"),
            ("${model.lr}", "what it refers to cannot be resolved"),
        ],
    )
    def test_what_has_no_value_is_named_by_its_path(
        self, value: str, reason: str
    ) -> None:
        found = message(OmegaConf.create({"model": {"lr": value}}))
        assert found.startswith(f"the value at /model/lr cannot be recorded: {reason}")

    def test_an_item_of_a_list_without_a_value_is_named(self) -> None:
        assert "the value at /a/1 " in message({"a": OmegaConf.create([1, "???"])})

    def test_whole_configurations_without_a_value_are_not_empty_ones(self) -> None:
        assert plain(OmegaConf.create({"a": None})) == {"a": None}
        assert plain(DictConfig(None)) is None
        assert plain(ListConfig(None)) is None
        assert "has no value yet" in message(DictConfig("???"))
        assert "has no value yet" in message(ListConfig("${x}"))

    def test_enums_bytes_and_keys_are_spelled_as_elsewhere(self) -> None:
        node = OmegaConf.create({"mode": Color.RED, "raw": b"x", "by": {1: "a"}})
        assert plain(node) == {"mode": "Color.RED", "raw": b"x", "by": {"1": "a"}}

    def test_a_configuration_in_itself_is_an_error(self) -> None:
        config = OmegaConf.create({"a": {"b": "${a}"}})
        assert "the value at /a/b cannot be recorded" in message(config)


class TestOtherLibraries:
    def test_absl_flags_with_defaults(self) -> None:
        found = flags.FlagValues()
        flags.DEFINE_float("lr", 0.1, "", flag_values=found)
        flags.DEFINE_enum("mode", "a", ["a", "b"], "", flag_values=found)
        flags.DEFINE_list("layers", ["1"], "", flag_values=found)
        flags.DEFINE_enum_class("color", Color.RED, Color, "", flag_values=found)
        found(["program", "--mode=b"])
        assert plain(found) == {
            "lr": 0.1,
            "mode": "b",
            "layers": ["1"],
            "color": "Color.RED",
        }

    def test_ml_collections_references_and_frozen_ones(self) -> None:
        config = ml_collections.ConfigDict({"a": 1, "b": {"c": (1, 2)}})
        config.same = config.get_ref("a")
        expected = {"a": 1, "b": {"c": [1, 2]}, "same": 1}
        assert plain(config) == expected
        assert plain(ml_collections.FrozenConfigDict(config)) == expected
        assert plain({"x": ml_collections.FieldReference(3)}) == {"x": 3}

    def test_ml_collections_placeholders_without_a_value(self) -> None:
        config = ml_collections.ConfigDict()
        config.lr = ml_collections.config_dict.required_placeholder(float)
        assert "/lr cannot be recorded: it is required" in message(config)

    def test_only_the_known_libraries_are_asked_for_to_dict(self) -> None:
        space: dict[str, object] = {"__module__": "transformers.configuration_utils"}
        base = type("PreTrainedConfig", (), space)
        mine = type(
            "Mine",
            (base,),
            {"__module__": "m", "to_dict": lambda _: {"layers": (1, 2)}},
        )
        assert plain(mine()) == {"layers": [1, 2]}
        assert "PreTrainedConfig" in message(base())


class TestNumpy:
    @pytest.mark.parametrize(
        ("given_one", "expected"),
        [
            (np.float64(0.1), 0.1),
            (np.float32(0.1), 0.10000000149011612),
            (np.float16(0.1), 0.0999755859375),
            (np.longdouble(0.5), 0.5),
            (np.longdouble("nan"), float("nan")),
            (np.int8(-3), -3),
            (np.uint64(2**64 - 1), 2**64 - 1),
            (np.bool_(1), True),
            (np.str_("a"), "a"),
            (np.bytes_(b"b"), b"b"),
            (np.complex64(1 + 2j), "(1+2j)"),
            (np.datetime64("2026-01-31T00:00:00.000000001"), None),
            (np.timedelta64(90, "s"), "PT1M30S"),
            (np.array(3), 3),
            (np.array([1]), [1]),
            (np.array([[1.5, 2], [3, 4]]), [[1.5, 2.0], [3.0, 4.0]]),
            (np.array([]), []),
            (np.zeros((2, 0)), [[], []]),
            (np.array(["a"], dtype=object), ["a"]),
            (np.zeros(1000, bool), [False] * 1000),
            (np.dtype("float32"), "numpy.float32"),
            (np.dtype("int64"), "numpy.int64"),
            (np.float32, "numpy.float32"),
        ],
    )
    def test_each_has_the_value_that_python_gives_it(
        self, given_one: object, expected: object
    ) -> None:
        if isinstance(given_one, np.datetime64):
            expected = "2026-01-31T00:00:00.000000001"
        assert same(plain(given_one), expected)

    @given(st.floats(width=32), st.integers(-(2**63), 2**63 - 1))
    def test_numbers_are_equal_to_what_they_were(self, real: float, whole: int) -> None:
        assert same(plain([np.float32(real), np.int64(whole)]), [real, whole])

    @pytest.mark.parametrize(
        ("given_one", "reason"),
        [
            (np.zeros(1001), "is an array with more than 1,000 items"),
            (np.zeros((10**6, 0)), "is an array with more than 1,000 items"),
            (np.zeros(1, "i4,f4")[0], "is a numpy.void"),
            (np.array([1, object()]), "is a builtins.object"),
            (np.timedelta64(1, "ns"), "is a numpy.timedelta64"),
            (np.ma.masked_array([1], [True]), "is a numpy.ma.MaskedArray"),
            (np.dtype(">f4"), "DType"),
            (np.dtype("i4,f4"), "VoidDType"),
            (np.exp, "is a numpy.ufunc"),
            (range(1001), "is a range with more than 1,000 items"),
        ],
    )
    def test_what_is_data_or_has_no_equal_is_refused(
        self, given_one: object, reason: str
    ) -> None:
        found = message({"x": given_one})
        assert found.startswith("the value at /x")
        assert reason in found

    @pytest.mark.skipif(
        np.finfo(np.longdouble).nmant == np.finfo(float).nmant,
        reason="long doubles are doubles here",
    )
    def test_a_number_that_is_finer_than_a_float_is_refused(self) -> None:
        finer = np.longdouble(1) + np.finfo(np.longdouble).eps
        assert "no float of Python is equal to" in message({"x": finer})


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("given_one", "words"),
        [
            (object(), "builtins.object"),
            (lambda x: x, "a function without a name"),
            (iter([1]), "builtins.list_iterator"),
            (re, "builtins.module"),
            (..., "builtins.ellipsis"),
            (memoryview(b"x"), "builtins.memoryview"),
        ],
    )
    def test_the_path_and_the_type_are_named(
        self, given_one: object, words: str
    ) -> None:
        found = message({"model": [0, given_one]})
        assert found.startswith("the value at /model/1 ")
        assert words in found

    def test_an_object_that_raises_is_named_and_never_shown(self) -> None:
        assert "the value at /a/0 " in message({"a": [Hostile()]})
        held = np.array([None])
        held[0] = Hostile()
        assert "the value at /a/0 " in message({"a": held})

    def test_a_property_that_raises_is_named(self) -> None:
        @dataclasses.dataclass
        class Broken:
            lr: float = 0.1

            def __getattribute__(self, name: str) -> object:
                if name == "lr":
                    secret = "hunter2"  # noqa: S105 (what must not be quoted)
                    raise RuntimeError(secret)
                return object.__getattribute__(self, name)

        found = message([Broken()])
        assert found == (
            "the value at /0/lr cannot be recorded: "
            "it raised RuntimeError when it was read"
        )

    def test_a_mapping_that_raises_or_never_ends_is_named(self) -> None:
        class Endless(UserDict[str, int]):
            def __iter__(self) -> Iterator[str]:
                at = 0
                while True:
                    yield str(at)
                    at += 1

            def __getitem__(self, key: str) -> int:
                return 1

        with pytest.raises(LimitError, match="number of values"):
            plain({"a": Endless()})

        class Broken(UserDict[str, int]):
            def __iter__(self) -> Iterator[str]:
                yield "a"
                raise OSError

        assert "the value at /a cannot be recorded: it raised KeyError" in message(
            Broken()
        )
        assert "the value at / cannot be recorded: it raised OSError" in message(
            Broken(a=1)
        )

    @pytest.mark.parametrize("wrap", [list, tuple, dict])
    def test_what_contains_itself_is_named(self, wrap: Callable[[Any], object]) -> None:
        inner: dict[str, object] = {}
        inner["self"] = wrap({0: inner} if wrap is dict else [inner])
        assert "/x/self/" in message({"x": inner})
        assert "contains itself" in message({"x": inner})

    def test_what_is_shared_is_no_circle(self) -> None:
        shared = [1]
        assert plain({"a": shared, "b": [shared, shared]}) == {
            "a": [1],
            "b": [[1], [1]],
        }

    def test_sharing_that_would_grow_without_end_is_bounded(self) -> None:
        laughs: list[object] = ["ha"]
        for _ in range(50):
            laughs = [laughs] * 10
        with pytest.raises(LimitError):
            plain(laughs)

    def test_depth_is_bounded_as_in_the_format(self) -> None:
        deep: values.Value = 1
        for _ in range(64):
            deep = [deep]
        assert values.of(plain(deep))
        with pytest.raises(LimitError, match=r"nesting of values at /0/0/"):
            plain([deep])

    def test_half_characters_are_named_when_they_are_spelled(self) -> None:
        with pytest.raises(FormatError, match="at /a holds a lone surrogate"):
            values.of(plain({"a": "\ud800"}))
        assert "an item of the set at /a has no spelling" in message({"a": {"\ud800"}})


class TestHydra:
    @pytest.fixture
    def job(self, tmp_path: Path) -> Iterator[object]:
        (tmp_path / "main.yaml").write_text("lr: 0.1\ndb: {user: x}\n")
        overrides = ["lr=0.2", "+db.password='a=b'", "~db.user"]
        with hydra.initialize_config_dir(str(tmp_path), version_base=None):
            whole = hydra.compose("main", overrides, return_hydra_config=True)
            HydraConfig.instance().set_config(whole)
            yield hydra.compose("main", overrides)
        HydraConfig.instance().cfg = None
        GlobalHydra.instance().clear()

    def test_the_configuration_and_what_was_asked_for(self, job: object) -> None:
        assert plain(job) == {"lr": 0.2, "db": {"password": "a=b"}}
        found = hydra_facts()
        assert found["overrides"] == [
            {"lr": "0.2"},
            {"+db.password": "'a=b'"},
            {"~db.user": None},
        ]
        assert found["config_name"] == "main"
        assert plain(found) == found

    def test_without_a_job_there_is_nothing(self) -> None:
        assert hydra_facts() == {}

    def test_what_was_not_said_is_left_out(self, job: object) -> None:
        assert job
        with_gaps = HydraConfig.get().copy()
        OmegaConf.set_readonly(with_gaps, value=False)
        with_gaps.job.config_name = "???"
        HydraConfig.instance().cfg = OmegaConf.create({"hydra": with_gaps})
        assert "config_name" not in hydra_facts()
        assert "choices" in hydra_facts()


def test_no_library_is_imported() -> None:
    code = """
import sys
from provenance.record.plain import hydra_facts, plain
class Odd: pass
assert plain({"a": (1, {2})}) == {"a": [1, [2]]} and hydra_facts() == {}
wanted = {"numpy", "torch", "omegaconf", "hydra", "pydantic", "absl", "yaml"}
print(sorted(wanted & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
