"""Mistakes are told with their line: where keys stand in a TOML text, whichever of its forms they have."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.config.locator import Lines, locate
from sipgw.config.problems import Location

DOCUMENTED = Path(__file__).parent.parent / "config/sipgw.toml"
TEXT = '''\
top = 1  # = "no key"
[gateway]  # a [comment]
fqdn = "a # b"
listen = [
  "udp:127.0.0.1:1",  # one, "two"
  """
tcp
]""", 'tls', [1,
  2],
]
sub.key . "with.dot" = { x = 1, y = [ { z = 2 } ] }
long = """
[pool]
fqdn = "not a key"
\\"""
"""""
literal = \'\'\'
[[no]]
\'\'\'\'

[[ pool ]]
fqdn = 'a'
[pool.extra]
when = 1979-05-27 07:32:00
[[pool.port]]
n = 1
[[pool.port]]
n = 2

[[pool]]
"fqdn" = "b"
  [[pool.port]]
  'n\\' = 3
["quoted [x]".b]
c = true
d = 9
'''
WHERE: dict[Location, int] = {
    ("top",): 1,
    ("gateway",): 2,
    ("gateway", "fqdn"): 3,
    ("gateway", "listen"): 4,
    ("gateway", "listen", 0): 5,
    ("gateway", "listen", 1): 6,
    ("gateway", "listen", 2): 8,
    ("gateway", "listen", 3): 8,
    ("gateway", "listen", 3, 0): 8,
    ("gateway", "listen", 3, 1): 9,
    ("gateway", "sub"): 11,
    ("gateway", "sub", "key"): 11,
    ("gateway", "sub", "key", "with.dot"): 11,
    ("gateway", "sub", "key", "with.dot", "x"): 11,
    ("gateway", "sub", "key", "with.dot", "y"): 11,
    ("gateway", "sub", "key", "with.dot", "y", 0): 11,
    ("gateway", "sub", "key", "with.dot", "y", 0, "z"): 11,
    ("gateway", "long"): 12,
    ("gateway", "literal"): 17,
    ("pool",): 21,
    ("pool", 0): 21,
    ("pool", 0, "fqdn"): 22,
    ("pool", 0, "extra"): 23,
    ("pool", 0, "extra", "when"): 24,
    ("pool", 0, "port"): 25,
    ("pool", 0, "port", 0): 25,
    ("pool", 0, "port", 0, "n"): 26,
    ("pool", 0, "port", 1): 27,
    ("pool", 0, "port", 1, "n"): 28,
    ("pool", 1): 30,
    ("pool", 1, "fqdn"): 31,
    ("pool", 1, "port"): 32,
    ("pool", 1, "port", 0): 32,
    ("pool", 1, "port", 0, "n\\"): 33,
    ("quoted [x]",): 34,
    ("quoted [x]", "b"): 34,
    ("quoted [x]", "b", "c"): 35,
    ("quoted [x]", "b", "d"): 36,
}


def places(value: Any, at: Location = ()) -> set[Location]:
    """Of all that there is in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ({at} if at else set()) | {place for key, one in inside for place in places(one, (*at, key))}


def test_every_form_of_a_key_and_what_only_looks_like_one() -> None:
    assert locate(TEXT) == WHERE
    assert set(WHERE) == places(tomllib.loads(TEXT))


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_documented_file_whatever_its_line_ends(ends: str) -> None:
    text = DOCUMENTED.read_text("utf-8")
    found = locate(text.replace("\n", ends))
    assert set(found) == places(tomllib.loads(text))
    lines = text.splitlines()
    for location, line in found.items():
        named = [part for part in location if isinstance(part, str)]
        assert named[-1] in lines[line - 1]


def test_what_is_missing_is_where_its_table_is() -> None:
    lines = Lines("[tls]\nca = 1\n\n[[pool]]\nservers = [\n1]\n")
    assert lines.of(("tls", "certificate")) == 1
    assert lines.of(("pool", 0, "fqdn")) == 4
    assert lines.of(("pool", 0, "servers", 5)) == 5
    assert lines.of(("store", "url")) == 0
    assert Lines().of(("store", "url")) == 0


KEYS = st.text(st.characters(codec="ascii", exclude_characters="\x7f", min_codepoint=32), max_size=6)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def written(value: Any, pause: str) -> str:
    """As TOML, with a pause wherever one may be."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{pause}{f',{pause}'.join(written(one, pause) for one in value)}{pause}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {written(one, pause)}" for key, one in value.items()) + "}"
    return str(value)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(one):08x}" if one in '"\\' or not one.isprintable() else one for one in text) + '"'


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from(["", " ", "\n", " # ] } \" '\n"]))
def test_whatever_a_document_has_is_found(document: dict[str, Any], pause: str) -> None:
    text = "".join(f"{quoted(key)} = {written(value, pause)}\n" for key, value in document.items())
    assert tomllib.loads(text) == document
    assert set(locate(text)) == places(document)


@given(st.text(st.sampled_from("ab=[]{}.,#\"'\\\n 1"), max_size=40))
def test_what_is_no_toml_does_no_harm(text: str) -> None:
    found = locate(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
