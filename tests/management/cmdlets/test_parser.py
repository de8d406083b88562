"""Reading scripts: never anything but a script or an error that names its place."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipgw.management.cmdlets.binding import bind
from sipgw.management.cmdlets.catalog import CMDLETS, find_cmdlet
from sipgw.management.cmdlets.errors import CmdletError, told
from sipgw.management.cmdlets.filters import condition, like
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.ldap_filter import ldap_condition
from sipgw.management.cmdlets.parser import MAX_SCRIPT, parse
from sipgw.management.cmdlets.syntax import Argument, Named

PIECES = [
    *" \t\n'\"`$@{}()|;,&<>#:-=!*?.\\\u201c\u2019\u2013",
    *("$true", "$null", "$_", "${", "@{", "@(", "<#", "#>", "`\n", "`u{", "-eq", "-and", "-not", "$_.SipAddress"),
    *("Get-CsPersistentChatEndpoint", "Set-CsPersistentChatActiveServer", "-Identity", "-ActiveServers", "-Filter"),
    *("DisplayName", "sip:a@contoso.com", "5", "Add", "\N{COMBINING ACUTE ACCENT}", "\x00", "\ud83d"),
]
SCRIPTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
ITEM = Item("Test", {"SipAddress": "sip:a@contoso.com", "DisplayName": "", "Names": ["a", "b"], "Enabled": True})


def bound(script: str) -> None:
    for pipeline in parse(script):
        for command in pipeline.commands:
            bind(find_cmdlet(command), command)


@given(SCRIPTS | st.text(max_size=60))
@example("Get-X `")
@example("@{")
@example("\ud800")
def test_a_script_is_read_or_told_of(script: str) -> None:
    try:
        bound(script)
    except CmdletError as error:
        lines = told(error, script).splitlines()
        assert len(lines) == 5 and lines[1].startswith("At line:"), lines
        assert error.place is None or 0 <= error.place.start < error.place.end


@given(SCRIPTS | st.text(max_size=60), st.sampled_from([condition, ldap_condition]))
def test_a_filter_is_read_or_told_of(text: str, read: object) -> None:
    assert callable(read)
    try:
        read(text)(ITEM)
    except CmdletError as error:
        assert error.message


QUOTED = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(QUOTED)
def test_what_is_in_quotes_is_taken_as_it_is(text: str) -> None:
    doubled = "".join(char * 2 if char in "'\u2018\u2019\u201a\u201b" else char for char in text)
    assert argument(f"Get-X '{doubled}'") == text


@given(QUOTED)
def test_what_is_escaped_is_taken_as_it_is(text: str) -> None:
    escaped = "".join(f"`{char}" if char in '`$"\u201c\u201d\u201e' else char for char in text)
    assert argument(f'Get-X "{escaped}"') == text


def argument(script: str) -> object:
    element = parse(script)[0].commands[0].elements[0]
    assert isinstance(element, Argument)
    return element.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a,b , c", ["a", "b", "c"]),
        ("@('a')", ["a"]),
        ("('a','b')", ["a", "b"]),
        ("@()", []),
        ("$null", None),
        ("$True", True),
        ("${false}", False),
        ("@{A=1; 'B' = 'x','y'\n c = $null}", {"A": 1, "B": ["x", "y"], "c": None}),
        ('x"y z"w', "xy zw"),
        ("a`,b` c", "a,b c"),
        ('"a`tb`0"', "a\tb\0"),
        ("a#b", "a#b"),
        ("5", "5"),
        ('"$true and $"', "True and $"),
    ],
)
def test_values(written: str, value: object) -> None:
    assert argument(f"Get-X {written}") == value


def test_a_text_that_begins_with_a_quote_ends_with_it() -> None:
    elements = parse("Get-X \"a\"b 'c''d'")[0].commands[0].elements
    assert [one.value for one in elements if isinstance(one, Argument)] == ["a", "b", "c'd"]


def test_joined_and_parted_values() -> None:
    first, second, third = parse("Get-X -A:1 -B: 2 -C")[0].commands[0].elements
    assert isinstance(first, Named) and first.joined is not None and first.joined.value == "1"
    assert isinstance(second, Named) and second.joined is not None and second.joined.value == "2"
    assert isinstance(third, Named) and third.joined is None


def test_nesting_and_size_are_bounded() -> None:
    with pytest.raises(CmdletError, match="too many parentheses"):
        parse("Get-X " + "(" * 10_000)
    with pytest.raises(CmdletError, match="too many parentheses"):
        condition("(" * 10_000)
    with pytest.raises(CmdletError, match="is no filter"):
        ldap_condition("(&" * 10_000)
    with pytest.raises(CmdletError, match=f"more than {MAX_SCRIPT} characters"):
        parse(" " * (MAX_SCRIPT + 1))


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("sip:a@b", "SIP:*", True),
        ("abc", "a?c", True),
        ("abc", "a?", False),
        ("abc", "[a-b]b[bc]", True),
        ("a[b", "a[b", True),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
        ("aXbXc", "a*b*c", True),
        ("ab", "a*b*b", False),
        ("", "*", True),
        ("a\nb", "a*b", True),
    ],
)
def test_patterns(text: str, pattern: str, fits: bool) -> None:
    assert like(text, pattern) is fits


def test_no_pattern_takes_long() -> None:
    assert not like("a" * 5_000, "*a" * 50 + "b")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Enabled", True),
        ("!Enabled -or DisplayName", False),
        ("Enabled -eq 'true'", True),
        ("Names -eq 'B'", True),
        ("Names -like 'c*'", False),
        ("DisplayName -eq $null -and $null -eq DisplayName", True),
        ("Enabled -or Enabled -and DisplayName", False),  # from the left: PowerShell's -and binds no tighter
        ("-not -not Enabled", True),
        ("('x' -ieq \"X\") -and 5 -eq '5'", True),
        ("$_.SipAddress -NotLike '*contoso*'", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert bool(condition(text)(ITEM)) is holds


def test_every_parameter_can_be_told_from_the_others() -> None:
    for cmdlet in CMDLETS:
        names = [name.lower() for one in cmdlet.all_parameters for name in (one.name, *one.aliases)]
        assert len(names) == len(set(names)), cmdlet.name
