"""XML in and out: bounds, refusals, and that what is written reads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.groupchat.element import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    NAMESPACE,
    Element,
    XccosError,
    parse_xml,
    printable,
    write_xml,
    written_size,
)
from tests.groupchat.captured import FROM_CLIENT, TO_CLIENT

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,8}", fullmatch=True)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda char: char in "\t\n\r" or char >= " "
)
TEXTS = st.text(CHARACTERS, max_size=12)
LEAVES = st.builds(Element, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), st.just([]), TEXTS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        Element, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), st.lists(inner, max_size=3), TEXTS
    ),
    max_leaves=8,
)


@given(TREES)
def test_what_is_written_reads_back(tree: Element) -> None:
    assert parse_xml(write_xml(tree).encode()) == tree


@given(st.text(max_size=20))
def test_any_text_can_be_written(text: str) -> None:
    tree = Element("a", {"b": text}, text=text)
    assert parse_xml(write_xml(tree).encode()) == Element("a", {"b": printable(text)}, text=printable(text))


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert printable("a\x00b\ud800c\ufffed\n") == "a\ufffdb\ufffdc\ufffdd\n"


@given(TREES)
def test_the_size_is_that_of_the_written_bytes(tree: Element) -> None:
    assert written_size(tree) == len(write_xml(tree).encode())


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_the_one_error(body: bytes) -> None:
    try:
        parse_xml(body)
    except XccosError as error:
        assert error.reason
        assert "\n" not in error.reason


@given(st.sampled_from(FROM_CLIENT + TO_CLIENT), st.data())
def test_damaged_envelopes_parse_or_raise_the_one_error(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 6)))
    patch = data.draw(st.binary(max_size=6) | st.sampled_from([b"<", b"&", b"&#0;", b"]]>", b'"', b"<!--", b"<?x"]))
    try:
        parse_xml(body[:start] + patch + body[end:])
    except XccosError as error:
        assert error.reason


@pytest.mark.parametrize("body", [b"", b" ", b"plain", b"<a>", b"<a/><b/>", b"<a b=c/>", b"<a>&nbsp;</a>", b"\xff<a/>"])
def test_what_is_not_well_formed_is_refused(body: bytes) -> None:
    with pytest.raises(XccosError, match="not well-formed XML"):
        parse_xml(body)


BOMBS = {
    "laughs": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><l>&c;</l>',
    "laughs in an attribute": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l x="&b;"/>',
    "quadratic": b'<!DOCTYPE l [<!ENTITY a "' + b"h" * 1000 + b'">]><l>' + b"&a;" * 1000 + b"</l>",
    "file": b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><l>&a;</l>',
    "parameter": b'<!DOCTYPE l [<!ENTITY % a SYSTEM "http://127.0.0.1/x.dtd"> %a;]><l/>',
    "external subset": b'<!DOCTYPE l SYSTEM "http://127.0.0.1/x.dtd"><l/>',
    "default attribute": b'<!DOCTYPE l [<!ATTLIST l x CDATA "y">]><l/>',
    "bare": b"<!DOCTYPE l><l/>",
    "after a comment": b"<?xml version='1.0'?><!-- x --><!DOCTYPE l []><l/>",
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_a_doctype_is_refused(body: bytes) -> None:
    with pytest.raises(XccosError, match=r"^a DOCTYPE is not allowed$"):
        parse_xml(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-7", "cp037"])
def test_other_encodings_are_no_way_around(encoding: str) -> None:
    with pytest.raises(XccosError):
        parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE l><l/>'.encode(encoding))


def test_a_declared_encoding_is_not_believed() -> None:
    assert parse_xml('<?xml version="1.0" encoding="iso-8859-1"?><l>ö</l>'.encode()).text == "ö"


def test_depth_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return b"<a>" * depth + b"</a>" * depth

    parse_xml(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, MAX_BYTES // 8):
        with pytest.raises(XccosError, match=f"more than {MAX_DEPTH} inside one another"):
            parse_xml(nested(depth))


def test_the_number_of_elements_is_bounded() -> None:
    assert len(parse_xml(b"<a>" + b"<b/>" * (MAX_ELEMENTS - 1) + b"</a>").children) == MAX_ELEMENTS - 1
    with pytest.raises(XccosError, match=f"more than {MAX_ELEMENTS} elements"):
        parse_xml(b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>")


def test_the_size_is_bounded() -> None:
    assert parse_xml(b"<a>" + b"x" * 93 + b"</a>", 100).text == "x" * 93
    with pytest.raises(XccosError, match="101 bytes are more than the 100 allowed"):
        parse_xml(b"<a>" + b"x" * 94 + b"</a>", 100)
    with pytest.raises(XccosError, match="allowed"):
        parse_xml(b" " * (MAX_BYTES + 1))


def test_names_in_the_namespace_are_bare_and_others_are_not() -> None:
    body = f'<x:a xmlns:x="{NAMESPACE}" xmlns:y="urn:y" b="1" y:c="2"><x:d/><y:d/><d/></x:a>'
    root = parse_xml(body.encode())
    assert (root.name, root.attributes) == ("a", {"b": "1", "{urn:y}c": "2"})
    assert [child.name for child in root.children] == ["d", "{urn:y}d", "d"]


def test_text_around_children_is_taken_together_and_comments_are_not() -> None:
    root = parse_xml(b"<a>one<b>two</b> three<!-- four --><?five?><![CDATA[<6>]]></a>")
    assert (root.text, root.children) == ("one three<6>", [Element("b", text="two")])


def test_access_to_children_and_attributes() -> None:
    first, second = Element("b", {"n": "1"}), Element("b", {"n": "2"})
    tree = Element("a", children=[first, Element("c"), second])
    assert (tree.find("b"), tree.find("x"), tree.all("b")) == (first, None, [first, second])
    assert (first.get("n"), first.get("m"), first.get("m", "0")) == ("1", "", "0")


def test_the_form_of_what_is_written() -> None:
    tree = Element("a", {"b": 'x"<&\n\r\t'}, [Element("c")], "\r\n<]]>&")
    assert write_xml(tree) == '<a b="x&quot;&lt;&amp;&#10;&#13;&#9;">&#13;\n&lt;]]&gt;&amp;<c/></a>'
