"""From an administrator's text to pipelines, by PowerShell's rules of quoting and continuing."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sipgw.management.cmdlets.errors import CmdletError, Place
from sipgw.management.cmdlets.scanner import CONSTANTS, PREFERENCES, Scanner, plain_name
from sipgw.management.cmdlets.syntax import (
    BLANKS,
    DASHES,
    DOUBLE,
    ENDS,
    SINGLE,
    Argument,
    Command,
    Element,
    Named,
    Nested,
    Pipeline,
    Reference,
    Script,
    Splat,
    Value,
)

MAX_SCRIPT = 1 << 20  # characters: more is no runbook
MAX_DEPTH = 20  # parentheses and tables within each other
_ASSIGNMENT = re.compile(r"\$(?:\{([^}\n]+)\}|(\w+(?::\w+)?))[ \t]*=(?!=)")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(-?[0-9]{1,9})\]")
_CMDLET = re.compile(r"(?:\w+\\)?[A-Za-z]+-[A-Za-z]")
_NUMBER = re.compile(r"[-+]?[0-9]{1,19}\Z")
_KEYWORDS = frozenset(
    (
        *("if", "else", "elseif", "switch", "foreach", "for", "while", "do", "until", "in", "break", "continue"),
        *("function", "filter", "param", "begin", "process", "end", "return", "exit", "class", "using", "data", "var"),
        *("try", "catch", "finally", "throw", "trap", "workflow", "dynamicparam"),
    )
)


def parse(text: str, names: Iterable[str] = (), start: int = 0, end: int | None = None) -> list[Pipeline]:
    """The statements of a script, or of a part of it; `names` are the variables that are set before. Raises CmdletError
    for the first thing that cannot be read; then nothing is done."""
    if len(text) > MAX_SCRIPT:
        raise CmdletError(f"the script has more than {MAX_SCRIPT} characters", "ParserError")
    return _Parser(text, start, end, {*PREFERENCES, *names}).statements()


class _Parser(Scanner):
    _depth = 0

    def statements(self) -> list[Pipeline]:
        found: list[Pipeline] = []
        while True:
            self.blanks(newlines=True)
            if self.peek() == ";":
                self.at += 1
            elif not self.peek():
                return found
            else:
                found.append(self._statement())

    def _statement(self) -> Pipeline:
        assigned = _ASSIGNMENT.match(self.text, self.at, self.end)
        if assigned is None:
            return self._pipeline()
        start = self.at
        self.at = assigned.end()
        target = plain_name(assigned[1] or assigned[2])
        if target in CONSTANTS or target.startswith("env:"):
            raise self.error(f"${target} cannot be set", "VariableNotWritable", start)
        self.blanks(newlines=True)
        if not self.peek() or self.peek() in ";|":
            raise self.error("a value is missing here")
        found = self._pipeline()
        self.names.add(target)
        return replace(found, target=target)

    def _pipeline(self, ends: str = ";\n") -> Pipeline:
        start = self.at
        source = self._source()
        commands: list[Command] = []
        while source is None or self.peek() == "|":
            if commands or source is not None:
                self._pipe()
            commands.append(self._command(piped=bool(commands) or source is not None))
            if self.peek() != "|":
                break
        if self.peek() and self.peek() not in ends:
            raise self._unexpected()
        return Pipeline(source, tuple(commands), Place(start, self.at))

    def _pipe(self) -> None:
        self.at += 1
        if self.peek() == "|":
            raise self.not_understood("|| is", self.at - 1)
        self.blanks(newlines=True)
        if not self.peek() or self.peek() in "|;":
            raise self.error("after | there has to be a cmdlet", start=self.at - 1)

    def _source(self) -> Argument | None:
        """Values at the beginning of a pipeline."""
        char = self.peek()
        if char in SINGLE or char in DOUBLE or char in "$(@" or _NUMBER.match(self._word_ahead()):
            argument = self._argument(bare=False)
            self.blanks()
            if self.peek() in ("=", "+", "-", "*", "/") or self.text.startswith("..", self.at, self.end):
                self.at, start = self.at + len(self._word_ahead()), self.at
                raise self.not_understood(f"{self.text[start : self.at]} after a value is", start)
            return argument
        return None

    def _word_ahead(self) -> str:
        at = self.at
        while at < self.end and self.text[at] not in BLANKS and self.text[at] not in ENDS:
            at += 1
        return self.text[self.at : at]

    def _unexpected(self) -> CmdletError:
        char = self.peek()
        line = self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at]
        if char == ">" and line.upper().startswith("PS "):
            self.at += 1
            return self.error("leave the prompt out", "NotUnderstood", self.at - 1 - len(line))
        if char in "<>":
            return self.not_understood("redirection is")
        if char == "&":
            return self.not_understood("& is")
        if char in ")}":
            return self.error(f"there is no {'(' if char == ')' else '{'} that this {char} belongs to")
        return self.error(f"{char} is not expected here")

    def _command(self, piped: bool = False) -> Command:
        start = self.at
        if self.peek() in ("&", ".") or self.peek() in ENDS:
            raise self.not_understood(f"{self.peek()} is") if self.peek() in "&." else self._unexpected()
        word = self._word_ahead().lower()
        if word in _KEYWORDS and not (piped and word == "foreach"):
            self.at += len(self._word_ahead())
            raise self.not_understood(f"{self.text[start : self.at]} is", start)
        name = self.bare_word()
        place = Place(start, self.at)
        if not name or not isinstance(name, str):
            raise self._unexpected() if not name else self.error("a cmdlet's name is written out", start=start)
        elements: list[Element] = []
        while True:
            self.blanks()
            char = self.peek()
            if not char or char in "\n;|" or (char == ")" and self._depth):
                return Command(name, place, tuple(elements))
            elements.append(self._element())

    def _element(self) -> Element:
        char, following = self.peek(), self.peek(1)
        if char == "@" and (following.isalpha() or following == "_"):
            return self._splat()
        if char in DASHES and (following.isalpha() or following in ("_", "?")) and following:
            return self._named()
        if char in DASHES and following and following in DASHES:
            raise self.not_understood(f"{self._word_ahead()} is")
        return self._argument()

    def _splat(self) -> Splat:
        reference = self.variable()  # passes over the @ as over a $
        assert isinstance(reference, Reference)
        return Splat(reference.name, reference.place)

    def _named(self) -> Named:
        start = self.at
        self.at += 1
        while (char := self.peek()) and char not in BLANKS and char not in ENDS and char not in ":'\"`":
            self.at += 1
        name, place = self.text[start + 1 : self.at], Place(start, self.at)
        if self.peek() != ":":
            return Named(name, place)
        self.at += 1
        self.blanks()
        if self.peek() in ("", "\n", ";", "|"):
            raise self.error(f"after -{name}: there has to be a value", start=start)
        return Named(name, place, self._argument())

    def _argument(self, bare: bool = True) -> Argument:
        """A value, or several with commas between them."""
        start = self.at
        values = [self._value(bare)]
        end = self.at
        self.blanks()
        while self.peek() == ",":
            self.at += 1
            self.blanks(newlines=True)
            values.append(self._value(bare))
            end = self.at
            self.blanks()
        self.at = end
        return Argument(values if len(values) > 1 else values[0], Place(start, end))

    def _value(self, bare: bool) -> Value:
        char = self.peek()
        if not char or char in ",;|\n":
            raise self.error("a value is missing here")
        if char in SINGLE:
            return self.single_quoted()
        if char in DOUBLE:
            return self.double_quoted()
        if char == "{":
            place = self.in_braces()
            return Script(self.text[place.start : place.end], place, frozenset(self.names))
        if char in "(@":
            return self._nested()
        if char == "$":
            return self._lone_variable(bare)
        return self._bare(bare)

    def _lone_variable(self, bare: bool) -> Value:
        start = self.at
        value = self.variable()
        if isinstance(value, Reference | Nested):
            path = self._path()
            value = replace(value, path=path) if path else value
        following = self.peek()
        if following and following not in BLANKS and following not in ENDS + "=`":
            self.at = start
            return self._bare(bare)
        return value

    def _path(self) -> tuple[str | int, ...]:
        """`.Property` and `[0]`, as often as they follow each other."""
        path: list[str | int] = []
        while found := _STEP.match(self.text, self.at, self.end):
            self.at = found.end()
            path.append(found[1] if found[1] else int(found[2]))
        if path and self.peek() == "(":
            raise self.not_understood("a method is")
        return tuple(path)

    def _bare(self, bare: bool) -> Value:
        start = self.at
        if self.peek() in "<>&)}":
            raise self._unexpected()
        word = self.bare_word()
        if not word and self.at == start:
            raise self._unexpected()
        if not bare and not (isinstance(word, str) and _NUMBER.match(word)):
            written = self.text[start : self.at]
            raise self.error(f'{written} has to stand in quotes here: "{written}"', start=start)
        return word if bare or not isinstance(word, str) else int(word)

    def subexpression(self, start: int) -> Nested:
        with self._deeper():
            self.at += 1
            return Nested(self._inside(start), Place(start, self.at))

    def _nested(self) -> Value:
        with self._deeper():
            return self._in_parentheses(self.at)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error("too many parentheses within each other")
        try:
            yield
        finally:
            self._depth -= 1

    def _in_parentheses(self, start: int) -> Value:
        opening = self.text[start : min(start + 2, self.end)]
        if opening == "@{":
            self.at += 2
            return self._table(start)
        if opening == "@(":
            self.at += 2
            value = self._inner(start, is_list=True)
            return value if isinstance(value, list | Nested) else [value]
        if opening.startswith("("):
            self.at += 1
            return self._inner(start)
        what = "a here-string" if opening[1:] and opening[1:] in SINGLE + DOUBLE else self._word_ahead()
        raise self.not_understood(f"{what} is")

    def _inner(self, start: int, is_list: bool = False) -> Value:
        """What stands between parentheses: values, or a pipeline, and what is asked for of it."""
        self.blanks(newlines=True)
        if self.peek() == ")":
            self.at += 1
            return []
        if not (self.peek() in (*SINGLE, *DOUBLE, *"$(@") or _CMDLET.match(self.text, self.at, self.end)):
            value = self._argument(bare=False).value
            self._close(start)
            return value
        found = self._inside(start)
        place, path = Place(start, self.at), self._path()
        if found.source is not None and not found.commands and not path:
            return (
                found.source.value
                if not (is_list and isinstance(found.source.value, Reference))
                else Nested(found, place, (), True)
            )
        return Nested(found, place, path, is_list)

    def _inside(self, start: int) -> Pipeline:
        self.blanks(newlines=True)
        if not self.peek():
            raise self._unclosed(start)
        found = self._pipeline(")\n")
        self._close(start)
        return found

    def _close(self, start: int) -> None:
        self.blanks(newlines=True)
        if self.peek() != ")":
            raise self._unclosed(start) if not self.peek() else self._unexpected()
        self.at += 1

    def _unclosed(self, start: int) -> CmdletError:
        return self.error("the ( has no ) that belongs to it", start=start)

    def _table(self, start: int) -> Value:
        table: dict[str, Any] = {}
        while True:
            self.blanks(newlines=True)
            if self.peek() == "}":
                self.at += 1
                return table
            if self.peek() == ";":
                self.at += 1
                continue
            if not self.peek():
                raise self.error("the @{ has no } that belongs to it", start=start)
            self._entry(table)

    def _entry(self, table: dict[str, Any]) -> None:
        start = self.at
        key = self._key()
        self.blanks()
        if not key or self.peek() != "=":
            raise self.error('write @{Name="value"; …}', start=start)
        if key.lower() in (known.lower() for known in table):
            raise self.error(f"{key} is there twice", start=start)
        self.at += 1
        self.blanks(newlines=True)
        table[key] = self._argument(bare=False).value
        self.blanks()
        if self.peek() not in (";", "\n", "}", ""):
            raise self._unexpected()

    def _key(self) -> str:
        if self.peek() in SINGLE:
            return self.single_quoted()
        if self.peek() in DOUBLE:
            return str(self.double_quoted())
        start = self.at
        while (char := self.peek()).isalnum() or char == "_":
            self.at += 1
        return self.text[start : self.at]
