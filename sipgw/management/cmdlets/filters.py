"""Conditions: `-Filter {DisplayName -like "Chat*"}` and `Where-Object {$_.PoolState -eq "FailedOver"}`.

`-and` and `-or` bind alike and from the left, as in PowerShell; comparing disregards case.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sipgw.management.cmdlets.errors import CmdletError, Place
from sipgw.management.cmdlets.items import Item, as_text, no_property
from sipgw.management.cmdlets.scanner import Scanner
from sipgw.management.cmdlets.syntax import DASHES, DOUBLE, SINGLE, Reference, Script
from sipgw.management.cmdlets.values import at_path, filled, looked_up

Condition = Callable[[Item], Any]
COMPARISONS = "-eq, -ne, -like, -notlike, -match, -notmatch, -gt, -ge, -lt, -le, -in, -notin, -contains, -notcontains"
OPERATORS = f"{COMPARISONS} (with c in front by case), -and, -or, -xor, -not, !"
MAX_DEPTH = 50
_OPERATOR = re.compile(rf"[{DASHES}]([A-Za-z]+)(?![A-Za-z0-9_])")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?[0-9]{1,19}(?![A-Za-z0-9_])")
_THIS = re.compile(r"\$(?:_|PSItem)(?![A-Za-z0-9_])", re.IGNORECASE)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)")


def condition(source: Script | str, known: Sequence[str] = ()) -> Condition:
    """The condition that is written. A bare word is a property; with `known`, it has to be one of these. Variables are
    those of the script block.

    Raises CmdletError, whose place is right for a script block and missing for a text.
    """
    text = source.text if isinstance(source, Script) else source
    reader = _Reader(text, known, source if isinstance(source, Script) else None)
    try:
        return reader.whole()
    except CmdletError as error:
        if isinstance(source, Script) and error.place is not None:
            error.place = Place(*(at + source.place.start for at in error.place))
        else:
            error.place = None
        raise


class _Reader(Scanner):
    def __init__(self, text: str, known: Sequence[str], source: Script | None) -> None:
        super().__init__(text, names=source.names if source is not None else ())
        self._start = source.place.start if source is not None else None
        self._variables = source.variables if source is not None else {}
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
        while (word := self._operator()) in _LOGICAL:
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
        left = self._operands()
        start = self.at
        word = self._operator()
        if word in COMPARING:
            compare, right = COMPARING[word], self._operands()
            return lambda item: compare(left(item), right(item))
        self.at = start
        return left

    def _operands(self) -> Condition:
        """One, or several with commas between them."""
        found = [self._operand()]
        while self.peek() == ",":
            self.at += 1
            found.append(self._operand())
            self.blanks(newlines=True)
        if len(found) == 1:
            return found[0]
        return lambda item: [one(item) for one in found]

    def _operand(self) -> Condition:
        self.blanks(newlines=True)
        char = self.peek()
        if char == "(" or self.text.startswith("@(", self.at, self.end):
            self.at += char == "@"
            return self._in_parentheses()
        if char in (*SINGLE, *DOUBLE):
            text = self.single_quoted() if char in SINGLE else self.double_quoted()
            return lambda item: filled(text, self._variables)
        if char == "$":
            return self._variable()
        number = _NUMBER.match(self.text, self.at, self.end)
        if number is not None:
            self.at = number.end()
            return lambda item: int(number[0])
        return self._property()

    def _in_parentheses(self) -> Condition:
        self.at += 1
        found = self._either()
        if self.peek() != ")":
            raise self._unexpected()
        self.at += 1
        return found

    def _variable(self) -> Condition:
        this = _THIS.match(self.text, self.at, self.end)
        if this is not None:
            start, self.at = self.at, this.end()
            return self._of(lambda item: item, self._path(), Place(start, self.at))
        value = self.variable()
        if not isinstance(value, Reference):
            return lambda item: value
        return self._of(lambda item: looked_up(value, self._variables), self._path(), value.place)

    def _path(self) -> tuple[str, ...]:
        path: list[str] = []
        while found := _STEP.match(self.text, self.at, self.end):
            path.append(found[1])
            self.at = found.end()
        return tuple(path)

    def _of(self, whole: Condition, path: tuple[str, ...], place: Place) -> Condition:
        if self.peek() == "." or (self.peek() == "(" and path):
            raise self.error("what follows it is not understood")
        where = Place(*(at + self._start for at in place)) if self._start is not None else None

        def value(item: Item) -> Any:
            try:
                return at_path(whole(item), path)
            except CmdletError as error:
                error.place = where
                raise

        return value

    def _property(self) -> Condition:
        found = _WORD.match(self.text, self.at, self.end)
        if found is None:
            raise self._unexpected()
        start, name = self.at, found[0]
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


_LOGICAL: dict[str, Callable[[Callable[[], Any], Callable[[], Any]], bool]] = {
    "and": lambda left, right: bool(left()) and bool(right()),
    "or": lambda left, right: bool(left()) or bool(right()),
    "xor": lambda left, right: bool(left()) != bool(right()),
}


def _combined(word: str, left: Condition, right: Condition) -> Condition:
    combine = _LOGICAL[word]
    return lambda item: combine(lambda: left(item), lambda: right(item))


def _each(left: Any, holds: Callable[[Any], bool]) -> bool:
    """Of a list, whether there is one that it holds for."""
    return any(map(holds, left)) if isinstance(left, list | tuple) else holds(left)


def _same(left: Any, right: Any, by_case: bool = False) -> bool:
    if left is None or right is None:
        return (left in (None, "")) and (right in (None, ""))  # an attribute that is empty is not there
    return _key(left, by_case) == _key(right, by_case)


def _key(value: Any, by_case: bool) -> str:
    return as_text(value) if by_case else as_text(value).lower()


def _order(left: Any, right: Any, by_case: bool) -> int:
    """-1, 0 or 1: numbers as such where both are, everything else as texts."""
    keys: list[Any] = [_key(left, by_case), _key(right, by_case)]
    if all(_A_NUMBER.fullmatch(key) for key in keys):
        keys = [float(key) for key in keys]
    return int(keys[0] > keys[1]) - int(keys[0] < keys[1])


def sort_key(value: Any) -> tuple[bool, float, str]:
    """Numbers in their order, and before texts in theirs, whatever the case."""
    text = _key(value, False)
    number = _A_NUMBER.fullmatch(text) is not None
    return (not number, float(text) if number else 0.0, text)


def _matches(left: Any, right: Any, by_case: bool) -> bool:
    try:
        return re.search(as_text(right), as_text(left), 0 if by_case else re.IGNORECASE) is not None
    except re.error as error:
        raise CmdletError(f'"{as_text(right)}" is no regular expression: {error}', "BadPattern") from None


def _among(left: Any, right: Any, by_case: bool) -> bool:
    return any(_same(one, left, by_case) for one in (right if isinstance(right, list) else [right]))


def like(left: Any, right: Any, by_case: bool = False) -> bool:
    """Whether a text fits a pattern with *, ? and [a-z], whatever its case."""
    return _pattern(as_text(right), by_case).fullmatch(as_text(left)) is not None


def _pattern(text: str, by_case: bool) -> re.Pattern[str]:
    try:
        return wildcards([_segment(part) for part in text.split("*")], by_case)
    except re.error:
        raise CmdletError(f'"{text}" is no pattern; write one with *, ? and [a-z]', "BadPattern") from None


def wildcards(segments: list[str], by_case: bool = False) -> re.Pattern[str]:
    """Regular expressions with anything between them. Of each the first place that fits is as good as any: what was
    passed is not tried again, so that no pattern takes long."""
    first, *others = segments
    middle = "".join(f"(?>.*?{segment})" for segment in others[:-1])
    last = f".*{others[-1]}" if others else ""
    return re.compile(first + middle + last, re.DOTALL if by_case else re.DOTALL | re.IGNORECASE)


def _segment(text: str) -> str:
    parts = re.split(r"(\?|\[[^\]]+\])", text)
    return "".join("." if part == "?" else part if _is_set(part) else re.escape(part) for part in parts)


def _is_set(part: str) -> bool:
    return re.fullmatch(r"\[(?:[A-Za-z0-9](?:-[A-Za-z0-9])?)+\]", part) is not None


_A_NUMBER = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,19})?")
Comparison = Callable[[Any, Any, bool], bool]
_OF_ONE: dict[str, Comparison] = {  # of a list: whether there is one that it holds for
    "eq": _same,
    "ne": lambda left, right, by_case: not _same(left, right, by_case),
    "like": like,
    "notlike": lambda left, right, by_case: not like(left, right, by_case),
    "match": _matches,
    "notmatch": lambda left, right, by_case: not _matches(left, right, by_case),
    "gt": lambda left, right, by_case: _order(left, right, by_case) > 0,
    "ge": lambda left, right, by_case: _order(left, right, by_case) >= 0,
    "lt": lambda left, right, by_case: _order(left, right, by_case) < 0,
    "le": lambda left, right, by_case: _order(left, right, by_case) <= 0,
}
_OF_ALL: dict[str, Comparison] = {
    "in": _among,
    "notin": lambda left, right, by_case: not _among(left, right, by_case),
    "contains": lambda left, right, by_case: _among(right, left, by_case),
    "notcontains": lambda left, right, by_case: not _among(right, left, by_case),
}


def _table() -> Iterator[tuple[str, Callable[[Any, Any], bool]]]:
    """With i in front, as without, case makes no difference; with c it does."""
    for prefix in ("", "i", "c"):
        by_case = prefix == "c"
        for name, one in _OF_ONE.items():
            yield prefix + name, partial(_of_one, one, by_case)
        for name, of_all in _OF_ALL.items():
            yield prefix + name, partial(_of_all, of_all, by_case)


def _of_one(compare: Comparison, by_case: bool, left: Any, right: Any) -> bool:
    return _each(left, lambda one: compare(one, right, by_case))


def _of_all(compare: Comparison, by_case: bool, left: Any, right: Any) -> bool:
    return compare(left, right, by_case)


COMPARING = dict(_table())


def compared(name: str, operator: str, wanted: Any) -> Condition:
    """`Where-Object Property -eq Value`."""
    compare = COMPARING[operator]
    return lambda item: compare(item.get(name), wanted)
