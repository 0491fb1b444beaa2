r"""Secrets that stand apart from their name: below it, in a list, as a default.

>>> text = "password = os.environ.get(\n    'PW', 'hunter2'\n)"
>>> [text[start:end] for start, end in spans(text)]
['hunter2']

Behind the name of a secret a statement is read as far as its brackets go, in Python and
what looks like it, and a block as far as it is indented. All of it is bounded, and no
part of a text is read as a statement twice.
"""

from __future__ import annotations

import re
from string import ascii_letters
from typing import TYPE_CHECKING

from attrs import define, field

from provenance.encoding.secret_assignments import (
    CODE,
    HINT,
    MIXED,
    NAMED,
    QUOTED,
    TEMPLATE,
)
from provenance.encoding.secret_names import TEXT, strength, words

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 4_000
"""Characters of a statement that are looked at."""
_LONGEST_CALL = 600
"""Characters behind an argument, in which its default is looked for."""

_SIGN = re.compile(
    r"(?P<quote>(?<!\\)(?:\b[A-Za-z]{1,2})?(?:\"\"\"|'''|\"|'))"
    r"|(?P<word>[A-Za-z_][\w.]*+)(?:[ ]?(?P<call>[(\[{])|[ ]?(?P<keyword>=)(?!=))?"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)|(?P<or>\|\||\?\?)"
    r"|(?P<mark>[=+])|(?P<colon>[:;])|(?P<comment>\#)|(?P<line>\n)"
)
_ENDS = {
    '"': re.compile(r'(?:[^"\\\n]|\\.)*+(?=")'),
    "'": re.compile(r"(?:[^'\\\n]|\\.)*+(?=')"),
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+(?=""")', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*+(?=''')", re.DOTALL),
}
_WRAPS = re.compile(r"(?:\w+\.)*(?:str|bytes|Secret\w*|Field|field|quote|b64decode)")
_GETS = re.compile(r"(?:\w+\.)*(?:get|getenv|get_secret|getattr|pop|setdefault|env)")
_DEFAULTS = frozenset({"default", "default_value", "fallback", "initial", "value"})
_SETS = re.compile(r"setattr\([ \t]{0,4}[\w.]{1,60},[ \t]{0,4}[\"']\Z")
_NEXT_LINE = re.compile(r"[+ -]?[ \t]+\S")
_OTHER_PART = ("@@ ", "diff ")
"""How the next part of a patch begins."""

_TARGETS = re.compile(
    r"[+ -]?[ \t]*+"
    r"(?P<names>(?:[A-Za-z_][\w.]{0,60}[ ]?,[ ]?){1,8}[A-Za-z_][\w.]{0,60})[ ]=[ ](?!=)"
)
_BESIDE = re.compile(
    r"(?<![\w.-])(?:name|key)[\"']?[ \t]{0,8}:[ \t]{0,8}[\"']?"
    r"(?P<name>[A-Za-z][\w.-]{1,100})[\"']?[ \t]{0,8},?[ \t]{0,8}"
    r"(?:\r?\n[+ -]?[ \t]{0,40})?[\"']?value[\"']?[ \t]{0,8}:[ \t]{0,8}"
    r"(?:\"(?P<double>[^\"\n]+)\"|'(?P<single>[^'\n]+)'|(?P<bare>(?:\$\{|[^\s\"',{}\[\]])[^\s\"',{\[\]]*+))",
    re.IGNORECASE,
)
_ELEMENT = re.compile(
    r"<(?P<name>[A-Za-z][\w.-]{0,60})(?:[ \t][^<>\n]{0,100})?>"
    r"\s{0,40}(?P<value>[^<>\s](?:[^<>]{0,500}[^<>\s])?)\s{0,40}</"
)

_LEAD = re.compile(r"[+ -]?[ \t]*+(?:-[ ])*+")
_KEY = re.compile(
    r"[\"']?(?P<name>[A-Za-z_][\w.-]{0,100})[\"']?[ \t]{0,8}[:=][ \t]{0,8}"
    r"(?P<how>[|>][+-]?[0-9]?[+-]?)?[ \t]*+(?:\#.*)?"
)
_ITEM = re.compile(r"[\"']?(?P<value>[^\s\"':(){}\[\]=]+)[\"']?,?")
_PARENT = re.compile(
    r"[\"']?(?P<name>[A-Za-z_][\w.-]{0,100})[\"']?[ \t]{0,8}:[ \t]{0,8}\{?[ \t]*+"
    r"|\[(?P<section>[\w. \"-]{1,100})\][ \t]*+"
)
_CHILD = re.compile(
    r"[\"']?(?P<name>keys?|pass|string)[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
    r"(?P<value>[^\s\"'#,{\[|>](?:[^\"',#\n]*[^\s\"',#])?)",
    re.IGNORECASE,
)
_INSIDE = re.compile(
    r"(?<![\w.-])[\"']?(?P<parent>[A-Za-z_][\w.-]{0,60})[\"']?[ \t]{0,4}:[ \t]{0,4}"
    r"\{[ \t]{0,4}[\"']?(?P<name>keys?|pass|string)[\"']?[ \t]{0,4}:[ \t]{0,4}"
    r"[\"']?(?P<value>[^\s\"',{}\[\]]+)",
    re.IGNORECASE,
)


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where values stand that belong to the names of secrets."""
    if not HINT.search(text):
        return
    lines = _lines(text)
    yield from _in_statements(text, lines)
    yield from _in_targets(lines)
    yield from _in_blocks(lines)
    yield from _below_parents(lines)
    for pattern in (_BESIDE, _ELEMENT, _INSIDE):
        for match in pattern.finditer(text):
            parent = match.groupdict().get("parent", "")
            name = f"{parent}.{match['name']}" if parent else match["name"]
            last = match.lastgroup or 0
            if _is_secret(match[last], name, strength(name)):
                yield match.span(last)


def _lines(text: str) -> list[tuple[int, str]]:
    """Return each line without what ends it, and where it begins."""
    found = []
    at = 0
    for line in text.split("\n"):
        found.append((at, line.rstrip()))
        at += len(line) + 1
    return found


def _is_secret(value: str, name: str, strong: int) -> bool:
    """Tell whether a value is a secret, and no template, sentence or other name."""
    if not strong or value.isspace() or TEMPLATE.fullmatch(value):
        return False
    if strong == TEXT and not MIXED.fullmatch(value):
        return False
    is_name = re.fullmatch(r"[A-Za-z_][\w.-]*", value)
    if is_name and words(value)[-1:] == words(name)[-1:]:
        return False
    return not (" " in value and value[0].isupper() and value.endswith((".", ":")))


def _in_statements(
    text: str, lines: list[tuple[int, str]]
) -> Iterator[tuple[int, int]]:
    done = 0
    for at, line in lines:
        for match in NAMED.finditer(line) if HINT.search(line) else ():
            name = match["name"] or ""
            statement = _statement(text, at + match.end(), line, match)
            if statement is None or statement.at < done or not strength(name):
                continue
            for span in statement.strings():
                if _is_secret(text[slice(*span)], name, strength(name)):
                    yield span
            done = statement.at


def _statement(
    text: str, at: int, line: str, match: re.Match[str]
) -> _Statement | None:
    """Return what stands behind a name, to be read; None when that is no value."""
    if match["sep"] in (None, "==", "===", "!=", "!=="):
        return None
    if match["sep"] != ",":
        return _Statement(text, at, min(at + _LONGEST, len(text)))
    if line[: match.start()][-1:] not in ("'", '"'):
        return None
    end = min(at + _LONGEST_CALL, len(text))
    sets = _SETS.search(line, max(match.start() - 80, 0), match.start())
    return _Statement(text, at, end, "start" if sets else "comma", ["outer"])


@define
class _Statement:
    """Reads what stands behind a name, as far as its brackets go.

    Attributes:
        at: where to go on reading.
        end: where to stop at the latest.
        before: what was read last: a kind of sign, or a word.
        inside: the brackets that are open: of a list, of some kind of call, or of what
            the name stands in.
    """

    text: str
    at: int
    end: int
    before: str = "start"
    inside: list[str] = field(factory=list)
    _told: bool = False

    def strings(self) -> Iterator[tuple[int, int]]:
        """Yield from where to where those strings go that may be the value."""
        while sign := _SIGN.search(self.text, self.at, self.end):
            self.at = sign.end()
            kind = sign.lastgroup or ""
            if kind == "quote":
                mark = sign[0].lstrip(ascii_letters)
                end = _ENDS[mark].match(self.text, self.at, self.end)
                if end is None:
                    line = self.text.find("\n", self.at, self.end)
                    self.at = self.end if line < 0 or len(mark) > 1 else line
                    return
                self._told = self._is_value()
                if self._told and end[0]:
                    yield end.span()
                self.at = end.end() + len(mark)
                self.before = "string"
            elif not self._goes_on(kind, sign):
                return
        self.at = self.end

    def _is_value(self) -> bool:
        """Tell whether a string at this place may be what the name stands for."""
        top = self.inside[-1] if self.inside else ""
        if self.before == "open":
            return top in ("list", "wraps")
        if self.before == "comma":
            return top in ("list", "gets")
        if self.before in ("string", "+"):
            return self._told
        return self.before in ("start", "or", "else", "default", "=")

    def _goes_on(self, kind: str, sign: re.Match[str]) -> bool:
        """Take a sign that begins no string; tell whether the statement goes on."""
        if kind == "line":
            return self._goes_on_below()
        if kind == "comment":
            line = self.text.find("\n", self.at, self.end)
            self.at = self.end if line < 0 else line
            return True
        if kind in ("call", "open"):
            self.inside.append(self._opened(sign))
            self.before = "open"
            return True
        if kind == "close":
            self.before = "close"
            return bool(self.inside) and self.inside.pop() != "outer"
        self.before = self._named(kind, sign)
        return bool(self.inside) or kind not in ("comma", "colon")

    def _opened(self, sign: re.Match[str]) -> str:
        word = sign["word"]
        if not word or word in ("or", "else", "in", "return"):
            return "dict" if sign[0].endswith("{") else "list"
        if _WRAPS.fullmatch(word):
            return "wraps"
        return "gets" if _GETS.fullmatch(word) else "call"

    def _named(self, kind: str, sign: re.Match[str]) -> str:
        if kind == "keyword":
            return "default" if sign["word"] in _DEFAULTS or not self.inside else "name"
        if kind in ("word", "mark", "or"):
            return "or" if kind == "or" else sign[0]
        return kind

    def _goes_on_below(self) -> bool:
        if self.text.startswith(_OTHER_PART, self.at):
            return False
        if self.inside or self.text[: self.at - 1].endswith("\\"):
            return True
        if self.before != "start":
            return False
        self.before = "="
        return _NEXT_LINE.match(self.text, self.at) is not None


def _in_targets(lines: list[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Yield the strings of `user, password = "me", "hunter2"`."""
    for at, line in lines:
        if (match := _TARGETS.match(line)) is None:
            continue
        name = max(re.split(r"[ ]?,[ ]?", match["names"]), key=strength)
        for quoted in QUOTED.finditer(line, match.end()):
            start, end = quoted.span(quoted.lastgroup or 0)
            if _is_secret(line[start:end], name, strength(name)):
                yield at + start, at + end


def _in_blocks(lines: list[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Yield what is indented below a name: lines of a text, or single words."""
    number = 0
    while number < len(lines):
        line = lines[number][1]
        number += 1
        lead = _lead(line)
        match = _KEY.fullmatch(line, lead)
        if match is None or not strength(match["name"]):
            continue
        while number < len(lines):
            at, below = lines[number]
            start = _lead(below)
            if start == len(below):
                number += 1
                continue
            content = _content(match, below[start:]) if start > lead else None
            if content is None:
                break
            yield at + start + content[0], at + start + content[1]
            number += 1


def _content(key: re.Match[str], below: str) -> tuple[int, int] | None:
    """Return what of a line below a name is secret; None where the block ends."""
    if key["how"] is not None:
        return 0, len(below)
    item = _ITEM.fullmatch(below)
    if item is None or CODE.fullmatch(item["value"]) or below.endswith("."):
        return None
    name = key["name"]
    return (
        item.span("value") if _is_secret(item["value"], name, strength(name)) else None
    )


def _lead(line: str) -> int:
    """Return where the content of a line begins."""
    match = _LEAD.match(line)
    return match.end() if match else 0


def _below_parents(lines: list[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Yield values whose name is a secret's only with that of the block around it."""
    parents: list[tuple[int, str]] = []
    for at, line in lines:
        lead = _lead(line)
        if lead == len(line):
            continue
        while parents and parents[-1][0] >= lead:
            parents.pop()
        if parent := _PARENT.fullmatch(line, lead):
            is_section = parent["section"] is not None
            parents = [] if is_section else parents
            # Whatever stands below a section belongs to it, indented or not.
            parents.append((-1 if is_section else lead, parent[parent.lastgroup or 0]))
        elif parents and (child := _CHILD.match(line, lead)):
            name = f"{parents[-1][1]}.{child['name']}"
            if _is_secret(child["value"], name, strength(name)):
                yield at + child.start("value"), at + child.end("value")
