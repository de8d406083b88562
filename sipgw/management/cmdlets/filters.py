"""Conditions: `-Filter {DisplayName -like "Chat*"}` and `Where-Object {$_.PoolState -eq "FailedOver"}`.

`-and` and `-or` bind alike and from the left, as in PowerShell; comparing disregards case.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from sipgw.management.cmdlets.errors import CmdletError, Place
from sipgw.management.cmdlets.items import Item, as_text, no_property
from sipgw.management.cmdlets.scanner import Scanner
from sipgw.management.cmdlets.syntax import DASHES, DOUBLE, SINGLE, Script

Condition = Callable[[Item], Any]
OPERATORS = "-eq, -ne, -like, -notlike, -and, -or, -not, !"
MAX_DEPTH = 50
_OPERATOR = re.compile(rf"[{DASHES}]([A-Za-z]+)(?![A-Za-z0-9_])")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?[0-9]{1,19}(?![A-Za-z0-9_])")
_THIS = re.compile(r"\$(?:_|PSItem)\.([A-Za-z_][A-Za-z0-9_]*)", re.IGNORECASE)


def condition(source: Script | str, known: Sequence[str] = ()) -> Condition:
    """The condition that is written. A bare word is a property; with `known`, it has to be one of these.

    Raises CmdletError, whose place is right for a script block and missing for a text.
    """
    text = source.text if isinstance(source, Script) else source
    reader = _Reader(text, known)
    try:
        return reader.whole()
    except CmdletError as error:
        if isinstance(source, Script) and error.place is not None:
            error.place = Place(*(at + source.place.start for at in error.place))
        else:
            error.place = None
        raise


class _Reader(Scanner):
    def __init__(self, text: str, known: Sequence[str]) -> None:
        super().__init__(text)
        self._known = {name.lower() for name in known}
        self._names = list(known)
        self._depth = 0

    def whole(self) -> Condition:
        found = self._either()
        if self.peek():
            raise self._unexpected()
        return found

    def _either(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error("too many parentheses within each other")
        left = self._negated()
        while (word := self._operator()) in ("and", "or"):
            left = _combined(word, left, self._negated())
        if word:
            raise self._no_operator(word)
        self._depth -= 1
        return left

    def _operator(self) -> str:
        """The name of the operator that stands here, which is then passed over; "" where there is none."""
        self.blanks(newlines=True)
        found = _OPERATOR.match(self.text, self.at, self.end)
        if found is None:
            return ""
        self.at = found.end()
        return found[1].lower()

    def _no_operator(self, word: str) -> CmdletError:
        return self.error(f"-{word} is not understood; write one of {OPERATORS}", start=self.at - len(word) - 1)

    def _negated(self) -> Condition:
        negations = 0
        while True:
            self.blanks(newlines=True)
            if self.peek() == "!":
                self.at += 1
            elif (word := self._operator()) == "not":
                pass
            elif word:
                raise self._no_operator(word)
            else:
                break
            negations += 1
        found = self._comparison()
        return (lambda item: not found(item)) if negations % 2 else found

    def _comparison(self) -> Condition:
        left = self._operand()
        start = self.at
        word = self._operator()
        if word in _COMPARISONS:
            compare, right = _COMPARISONS[word], self._operand()
            return lambda item: compare(left(item), right(item))
        self.at = start
        return left

    def _operand(self) -> Condition:
        self.blanks(newlines=True)
        char = self.peek()
        if char == "(":
            return self._in_parentheses()
        if char in (*SINGLE, *DOUBLE):
            text = self.single_quoted() if char in SINGLE else self.double_quoted()
            return lambda item: text
        if char == "$":
            return self._variable()
        number = _NUMBER.match(self.text, self.at, self.end)
        if number is not None:
            self.at = number.end()
            return lambda item: int(number[0])
        return self._property(_WORD)

    def _in_parentheses(self) -> Condition:
        self.at += 1
        found = self._either()
        if self.peek() != ")":
            raise self._unexpected()
        self.at += 1
        return found

    def _variable(self) -> Condition:
        if _THIS.match(self.text, self.at, self.end):
            return self._property(_THIS)
        if self.text.startswith("$_", self.at, self.end):
            raise self.error("write $_.PropertyName")
        value = self.variable()
        return lambda item: value

    def _property(self, form: re.Pattern[str]) -> Condition:
        found = form.match(self.text, self.at, self.end)
        if found is None:
            raise self._unexpected()
        start, name = self.at, found[form.groups]
        self.at = found.end()
        place = Place(start, self.at)
        if self.peek() == ".":
            raise self.error(f"what follows {name} is not understood")
        if self._known and name.lower() not in self._known:
            error = no_property(name, self._names)
            error.place = place
            raise error
        return lambda item: item.get(name)

    def _unexpected(self) -> CmdletError:
        if not self.peek():
            text = "the filter ends too early" if self.text.strip() else "the filter is empty"
            return self.error(f'{text}; write one like {{DisplayName -like "Chat*"}}', start=max(0, self.at - 1))
        return self.error(f"{self.peek()} is not expected in a filter; operators are {OPERATORS}")


def _combined(word: str, left: Condition, right: Condition) -> Condition:
    if word == "and":
        return lambda item: bool(left(item)) and bool(right(item))
    return lambda item: bool(left(item)) or bool(right(item))


def _each(left: Any, holds: Callable[[Any], bool]) -> bool:
    """Of a list, whether there is one that it holds for."""
    return any(map(holds, left)) if isinstance(left, list | tuple) else holds(left)


def _same(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return (left in (None, "")) and (right in (None, ""))  # an attribute that is empty is not there
    return as_text(left).lower() == as_text(right).lower()


def like(left: Any, right: Any) -> bool:
    """Whether a text fits a pattern with *, ? and [a-z], whatever its case."""
    return _pattern(as_text(right)).fullmatch(as_text(left)) is not None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return wildcards([_segment(part) for part in text.split("*")])
    except re.error:
        raise CmdletError(f'"{text}" is no pattern; write one with *, ? and [a-z]', "BadPattern") from None


def wildcards(segments: list[str]) -> re.Pattern[str]:
    """Regular expressions with anything between them. Of each the first place that fits is as good as any: what was
    passed is not tried again, so that no pattern takes long."""
    first, *others = segments
    middle = "".join(f"(?>.*?{segment})" for segment in others[:-1])
    last = f".*{others[-1]}" if others else ""
    return re.compile(first + middle + last, re.IGNORECASE | re.DOTALL)


def _segment(text: str) -> str:
    parts = re.split(r"(\?|\[[^\]]+\])", text)
    return "".join("." if part == "?" else part if _is_set(part) else re.escape(part) for part in parts)


def _is_set(part: str) -> bool:
    return re.fullmatch(r"\[(?:[A-Za-z0-9](?:-[A-Za-z0-9])?)+\]", part) is not None


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: _each(left, lambda one: _same(one, right)),
    "ne": lambda left, right: _each(left, lambda one: not _same(one, right)),
    "like": lambda left, right: _each(left, lambda one: like(one, right)),
    "notlike": lambda left, right: _each(left, lambda one: not like(one, right)),
}
_COMPARISONS |= {f"i{name}": compare for name, compare in _COMPARISONS.items()}


def compared(name: str, operator: str, wanted: Any) -> Condition:
    """`Where-Object Property -eq Value`; the operator is one of -eq, -ne, -like, -notlike."""
    compare = _COMPARISONS[operator]
    return lambda item: compare(item.get(name), wanted)
