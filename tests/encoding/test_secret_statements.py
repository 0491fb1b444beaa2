"""Secrets that stand apart from their name: below it, in a list, as a default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.encoding import secret_statements, secrets
from provenance.model import values

CUT = {
    # Defaults.
    "argument": 'add_argument("--password", "-p", default="V", help="Of what")',
    "argument below": 'add_argument(\n    "--password",\n    default="V",\n)',
    "environ.get": 'password = os.environ.get("X", "V")',
    "typed": 'password: str = os.environ.get("X", "V")',
    "getenv or": 'password = getenv("X") or "V"',
    "else": 'password = args.x if y else "V"',
    "in JavaScript": 'password = this.x || "V"',
    "field": 'password: str = Field(default="V", title="Of what")',
    "wrapped": 'password = SecretStr("V")',
    "setattr": 'setattr(cfg, "password", "V")',
    # On other lines.
    "brackets": 'password = (\n    "V"\n)',
    "comment": 'password = (  # later\n    "V"  # now\n)',
    "brackets, joined": 'password = (\n    "V"\n    "V" + "V"\n)',
    "backslash": 'password = \\\n    "V"',
    "backslash later": 'password = get("X") \\\n    or "V"',
    "nothing, quoted": 'password:\n    "V"',
    "nothing": "password:\n    V\nx: 1",
    "nothing, ini": "password =\n    V",
    "three quotes": 'password = """V"""',
    "three quotes, lines": "password = f'''\nV\nV\n'''",
    "block": "password: |\n  V\n\n  V\nx: 1",
    "folded block, added": "+password: >-\n+  V\n+x: 1",
    "block in an item": "- password: |\n    V\n  x: 1",
    "items": "passwords:\n  - V\n  - V\nx: 1",
    "changed": '-password = (\n-    "V"\n+password = (\n+    "V"\n )',
    # Several.
    "list": 'passwords = ["V", "V"]',
    "list in a dict": '{"password": ["V"], "x": ["y"]}',
    "list in a list": 'passwords = [["V"], {"x": ["V"]}]',
    "flow": 'password: [\n  "V"\n]',
    "last target": 'x, password = "V", "V"',
    "first target": 'password, x = "V", "V"',
    # Beside.
    "item of YAML": "- name: DB_PASSWORD\n  value: V\n",
    "item, added": "+- name: DB_PASSWORD\n+  value: 'V'\n",
    "JSON": '{"name": "DB_PASSWORD", "value": "V"}',
    "XML": "<x><password>V</password></x>",
    "XML, below": "<password a='b'>\n  V\n</password>",
    # Below a name that tells it only together.
    "parent": "api:\n  key: V\n",
    "parent, not next": "openai:\n  x:\n    y: 1\n\n  key: 'V'  # one\n",
    "parent in JSON": '"openai": {\n  "key": "V"\n}',
    "parent in a line": '{"openai": {"key": "V"}}',
    "section": "[openai]\nx = 1\nkey = V\n",
}
LEFT = [
    'password = getpass("Password: ")',
    'password = os.environ["X"]',
    'password = get("X") + get("Y")',
    'password = config.get("db", "password")',
    'password = f(x, "y", z="a")',
    'password = {"x": "y"}',
    'password = ""',
    'password = get("X", "")',
    'password = args.x\ny = ["z"]',
    "password = args.x  # or 'y'",
    "password = (x  # or 'y'",
    'f(password=args.x, y=["z"])',
    '{"password": args.x, "y": ["z"]}',
    'password, "x"',
    'add_argument("--password", help="Of what")\nf(default="x")',
    'add_argument("--password", *x, default="${PASSWORD}")',
    "password = [\n@@ -1 +1 @@\n 'x']",
    "password = [\ndiff --git a b\n 'x']",
    "password = ['it",
    "password:\n'x'",
    'token = ["a", "b"]',
    'api_key = os.environ.get("X", "EMPTY")',
    '{"password": ["This field is required."]}',
    'x, y = "a", "b"',
    "x, password = args.y, args.z",
    'x, password = "${X}", "${PASSWORD}"',
    "    password:\n        The word that opens it.\n",
    "    password:\n        str\n",
    "    password:\n        word.\n",
    "    token:\n        tokenizer\n",
    "    password:\n    x\n",
    "password:\n  length: 8\n",
    "x: |\n  y\n",
    "- name: LR\n  value: x1y2z3\n",
    "- name: PASSWORD\n  value: ${PASSWORD}\n",
    "<password>{password}</password>",
    "<title>x1y2z3</title>",
    "sort:\n  key: x1y2z3\n",
    "openai:\n  x: 1\nkey: x1y2z3\n",
    "openai:\n  key: x\n",
    "[openai]\nx = 1\n[sort]\nkey = x1y2z3\n",
]


@pytest.mark.parametrize("text", CUT.values(), ids=CUT)
def test_a_value_apart_from_its_name_is_cut(text: str) -> None:
    planted = text.replace("V", "hunter2")
    cut, _ = secrets.cut(planted)
    assert cut == text.replace("V", "[secret]")
    assert secrets.find(values.of([planted])) == {1}


@pytest.mark.parametrize("text", LEFT)
def test_other_text_is_left(text: str) -> None:
    assert secrets.cut(text) == (text, 0)


@pytest.mark.parametrize(
    "text",
    ["password = [" + "x, " * 2_000 + "'y']", "password = [#" + "x" * 5_000 + "\n'y']"],
)
def test_a_statement_is_read_no_further_than_so_far(text: str) -> None:
    assert secrets.cut(text) == (text, 0)


PARTS = [
    *(text.replace("V", "hunter2") for text in CUT.values()),
    *LEFT,
    *"\n \t'\"[](){}=:,+-#|>",
    "\r\n",
    "\x0b",
    "\u2028",
    "password",
    "'''",
]


@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=10).map("".join))
def test_spans_lie_in_the_text_and_lines_stay_lines(text: str) -> None:
    for start, end in secret_statements.spans(text):
        assert 0 <= start < end <= len(text)
    cut, _ = secrets.cut(text)
    assert cut.count("\n") == text.count("\n")
    assert len(cut.splitlines()) == len(text.splitlines())
