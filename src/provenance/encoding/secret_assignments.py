r"""Secrets that a text assigns to a name: `password = "x"`, `token: x`, `--api-key x`.

>>> text = "lr = 0.1; password = 'hunter2'"
>>> [text[start:end] for start, end in spans(text)]
['hunter2']

The text may be a file of variables, YAML, JSON, a command or source code, or lines of a
patch of these. In source code most values behind such names are other names, calls and
types; they are left, for a patch without them would say nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from attrs import frozen

from provenance.encoding.secret_names import TEXT, strength, words

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lines without any of these words have no secret name; most lines have none.
HINT = re.compile(
    r"pass|pw|secret|token|key|auth|cred|cookie|dsn|bearer|jwt|otp|sas|conn"
    r"|netrc|wort|senha|contrase",
    re.IGNORECASE,
)
# `name = `, `"name": `, `x["name"] = `, `setenv("name", `, or `--name `.
NAMED = re.compile(
    r"(?<![\w.-])(?:"
    r"(?P<flag>-?--[A-Za-z][\w.-]{0,100})[ \t]{1,8}(?!-)"
    r"|(?P<name>-{0,3}[A-Za-z_][\w.-]{0,100})\\?[\"']?\]?[ \t]{0,8}"
    r"(?P<sep>[:!]?={1,3}>?|:|,)[ \t]{0,8})"
)
# The `str | None = ` of `name: str | None = "value"`.
_KIND = re.compile(
    r"[A-Za-z_][\w.]{0,40}(?:\[[\w., |]{0,40}\])?(?:[ ]\|[ ][\w.]{1,20}){0,3}"
    r"[ ]=[ ]"
)
QUOTED = re.compile(
    r"\\\"(?P<escaped>[^\"\\]+)\\\""
    r"|[A-Za-z]{0,2}(?:\"(?P<double>(?:[^\"\\]|\\.)+)\"|'(?P<single>(?:[^'\\]|\\.)+)')"
)
_BARE = re.compile(r"[^\s\"'&]+")
_THREE_QUOTES = ('"""', "'''")
_BARE_START = re.compile(r"[^\s\"'&]{1,200}")
_CLOSED = re.compile(r"[,;)\]}`]*+(?:[\s\"'&]|\Z)")
_NO_VALUE = frozenset({",", "==", "!=", "===", "!=="})
# What comes before a value that an option sets: `--env=`, `-H "`, and ` /` on Windows,
# which may have been taken for a path and shortened.
_OPTION = re.compile(
    r"(?:\A|[\s\"'…])(?:-{1,2}[A-Za-z][\w.-]{0,60}(?:=[\"']?| [\"'])|/"
    r"|(?:-e|--env|--build-arg|--from-literal) )\Z"
)
_LONGEST_OPTION = 70
_ENV_LINE = re.compile(r"[+ -]?(?:- )?(?:export |set |ENV |ARG )?[+~]{0,2}")
_PAIR_END = re.compile(r"[ \t]{0,8}\]")
_INDENT = re.compile(r"[+ -]?[ \t]*(?:- )?[\"']?")
# Stands for a value that somebody fills in.
TEMPLATE = re.compile(
    r"\$\{[^{}]*\}|\$[A-Z_][A-Z0-9_]*|\$\(.*|\{{1,2}[\w. ()'\"\[\]:!-]*\}{1,2}"
    r"|<[\w|/. -]{1,40}>|\[[A-Z_]{1,16}\]|%\(\w+\)s|%[A-Z_]+%|\[secret.*|\*+|\.\.\."
)
CODE = re.compile(
    r"None|True|False|null|true|false|undefined|str|int|bytes|bool|float|string|String"
    r"|Any|[A-Za-z_][\w.]*[(\[].*"
    r"|(?:args|cfg|conf|config|env|environ|flags|FLAGS|opt|options|opts|os|self"
    r"|settings|this)\..*|[\[({].*|[|>][+-]?|#|\\"
)
_VARIABLE = re.compile(r"[A-Za-z_]\w{0,15}")
MIXED = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z]).{6,}")


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where values stand behind names that tell a secret."""
    at = 0
    for line in text.splitlines(keepends=True):
        if HINT.search(line):
            bare = line.rstrip()
            for start, end in _assigned_in(bare):
                yield at + start, at + end
        at += len(line)


def _assigned_in(line: str) -> Iterator[tuple[int, int]]:
    at = 0
    while match := NAMED.search(line, at):
        at = match.end()
        name = match["flag"] or match["name"]
        strong = strength(name)
        if strong and (span := _value(_Named(line, match, name, strong))):
            yield span
            at = span[1]


@frozen
class _Named:
    """A name of a secret in a line, and what comes before its value."""

    line: str
    match: re.Match[str]
    name: str
    strong: int

    @property
    def start(self) -> int:
        return self.match.start()

    @property
    def sep(self) -> str | None:
        """What stands between name and value; nothing behind a flag."""
        return self.match["sep"]

    @property
    def is_quoted(self) -> bool:
        return self.line[max(self.start - 1, 0) : self.start] in ("'", '"')

    @property
    def is_set_by_option(self) -> bool:
        """Tell whether this is `name:value` or `name=value` behind an option."""
        before = self.line[max(self.start - _LONGEST_OPTION, 0) : self.start]
        return self.sep in ("=", ":") and _OPTION.search(before) is not None

    @property
    def is_env_line(self) -> bool:
        return _ENV_LINE.fullmatch(self.line, 0, self.start) is not None

    def is_after(self, marks: str) -> bool:
        """Tell whether one of these marks stands before the name, quotes aside."""
        before = self.line[max(self.start - 4, 0) : self.start].rstrip(" \t\\\"'")
        return before.endswith(tuple(marks))

    def is_same(self, value: str) -> bool:
        """Tell whether a value is only a name again, as in `password=db_password`."""
        is_name = re.fullmatch(r"[A-Za-z_][\w.-]*", value)
        return bool(is_name and words(value)[-1:] == words(self.name)[-1:])


def _value(named: _Named) -> tuple[int, int] | None:
    """Return where the secret behind a name stands, if what stands there is one."""
    line, at = named.line, named.match.end()
    if named.sep == ":" and (kind := _KIND.match(line, at)):
        at = kind.end()
    if quoted := QUOTED.match(line, at):
        start, end = quoted.span(quoted.lastgroup or 0)
        is_last = _PAIR_END.match(line, quoted.end()) is not None
        is_secret = _is_secret_string(named, line[start:end], ends_list=is_last)
        return (start, end) if is_secret else None
    bare = _BARE_START.match(line, at)
    # Whether it is a secret shows at its start; only then is it read to its end.
    if (
        bare is None
        or line.startswith(_THREE_QUOTES, bare.end())
        or not _is_secret_word(named, bare[0].rstrip(",;)]}`"), at)
    ):
        return None
    if _is_whole_line(named, at):
        return at, len(line)
    # The part that was looked at is not empty, and neither is the whole.
    whole = cast("re.Match[str]", _BARE.match(line, at))[0]
    return at, at + len(whole.rstrip(",;)]}`"))


def _is_secret_string(named: _Named, value: str, *, ends_list: bool) -> bool:
    """Tell whether a quoted value is a secret, and no template or other name."""
    if named.sep == ",":
        # `setenv("NAME", "value")` and `["--name", "value"]`, but no list of names.
        is_argument = named.is_quoted and named.is_after("(")
        is_pair = named.is_quoted and ends_list and _is_in_pair(named, value)
        is_flag = named.name.startswith("-")
        if value.startswith("-") or not (is_argument or is_pair or is_flag):
            return False
    return not (value.isspace() or TEMPLATE.fullmatch(value) or named.is_same(value))


def _is_in_pair(named: _Named, value: str) -> bool:
    """Tell whether a list begins with the name, and a value is not another column."""
    is_word = named.strong != TEXT or MIXED.fullmatch(value) is not None
    return is_word and named.is_after("[")


def _is_secret_word(named: _Named, value: str, at: int) -> bool:
    """Tell whether a value without quotes is a secret, and no code or prose."""
    if not value or named.sep in _NO_VALUE or _is_template(named.line, at):
        return False
    if _is_near(named, at) and (
        named.is_env_line or named.is_after("?&") or named.name.startswith("--")
    ):
        return True  # a file of variables, a part of a URL or a command: never code
    if named.is_set_by_option:
        return True
    if CODE.fullmatch(value) or named.is_same(value):
        return False
    if named.strong == TEXT:
        is_code = named.sep not in (":", None) and _VARIABLE.fullmatch(value)
        if is_code or not MIXED.fullmatch(value):
            return False
    if named.sep != ":":
        return True
    if named.is_quoted and named.match[0].endswith(":"):
        return named.match[0][-2] in "\"'"  # `"passwd":1`, but not `"passwd:home"`
    if not _is_first(named):
        return named.is_after("{,")
    # `password: correct horse battery staple`, but not `password: The word to use.`
    whole = named.line[at:]
    return " " not in whole or not (whole[0].isupper() or whole.endswith("."))


def _is_whole_line(named: _Named, at: int) -> bool:
    """Tell whether a value without quotes goes on to the end of its line."""
    if _is_near(named, at):
        return named.is_env_line and not named.name.startswith("--")
    return named.sep is not None and _is_first(named)


def _is_template(line: str, at: int) -> bool:
    template = TEMPLATE.match(line, at)
    return template is not None and _CLOSED.match(line, template.end()) is not None


def _is_near(named: _Named, at: int) -> bool:
    return named.sep == "=" and named.line[at - 1] == "="


def _is_first(named: _Named) -> bool:
    return named.start <= cast("re.Match[str]", _INDENT.match(named.line)).end()
