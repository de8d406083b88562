"""From an administrator's text to pipelines, by PowerShell's rules of quoting and continuing."""

import re
from typing import Any

from sipgw.management.cmdlets.errors import CmdletError, Place
from sipgw.management.cmdlets.scanner import Scanner
from sipgw.management.cmdlets.syntax import (
    BLANKS,
    DASHES,
    DOUBLE,
    ENDS,
    SINGLE,
    Argument,
    Command,
    Named,
    Pipeline,
    Script,
    Value,
)

MAX_SCRIPT = 1 << 20  # characters: more is no runbook
MAX_DEPTH = 20  # parentheses and tables within each other
_NUMBER = re.compile(r"[-+]?[0-9]{1,19}\Z")
_KEYWORDS = frozenset(
    (
        *("if", "else", "elseif", "switch", "foreach", "for", "while", "do", "until", "in", "break", "continue"),
        *("function", "filter", "param", "begin", "process", "end", "return", "exit", "class", "using", "data", "var"),
        *("try", "catch", "finally", "throw", "trap", "workflow", "dynamicparam"),
    )
)


def parse(text: str) -> list[Pipeline]:
    """The statements of a script. Raises CmdletError for the first thing that cannot be read; then nothing is done."""
    if len(text) > MAX_SCRIPT:
        raise CmdletError(f"the script has more than {MAX_SCRIPT} characters", "ParserError")
    return _Parser(text).statements()


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
                found.append(self._pipeline())

    def _pipeline(self) -> Pipeline:
        start = self.at
        source = self._source()
        commands: list[Command] = []
        while source is None or self.peek() == "|":
            if commands or source is not None:
                self._pipe()
            commands.append(self._command())
            if self.peek() != "|":
                break
        if self.peek() not in ("", ";", "\n"):
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
            if self.peek() == "=":
                raise self.not_understood("an assignment is", argument.place.start)
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

    def _command(self) -> Command:
        start = self.at
        if self.peek() in ("&", ".") or self.peek() in ENDS:
            raise self.not_understood(f"{self.peek()} is") if self.peek() in "&." else self._unexpected()
        if self._word_ahead().lower() in _KEYWORDS:
            self.at += len(self._word_ahead())
            raise self.not_understood(f"{self.text[start : self.at]} is", start)
        name = self.bare_word()
        place = Place(start, self.at)
        if not name:
            raise self._unexpected()
        elements: list[Argument | Named] = []
        while True:
            self.blanks()
            char = self.peek()
            if not char or char in "\n;|":
                return Command(name, place, tuple(elements))
            elements.append(self._element())

    def _element(self) -> Argument | Named:
        char, following = self.peek(), self.peek(1)
        if char in DASHES and (following.isalpha() or following in ("_", "?")) and following:
            return self._named()
        if char in DASHES and following and following in DASHES:
            raise self.not_understood(f"{self._word_ahead()} is")
        return self._argument()

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
            return Script(self.text[place.start : place.end], place)
        if char in "(@":
            return self._nested()
        if char == "$":
            return self._lone_variable(bare)
        return self._bare(bare)

    def _lone_variable(self, bare: bool) -> Value:
        start = self.at
        value = self.variable()
        following = self.peek()
        if following and following in ".[":
            raise self.not_understood("what follows the variable is")
        if following and following not in BLANKS and following not in ENDS + "=`":
            self.at = start
            return self._bare(bare)
        return value

    def _bare(self, bare: bool) -> Value:
        start = self.at
        if self.peek() in "<>&)}":
            raise self._unexpected()
        word = self.bare_word()
        if not word and self.at == start:
            raise self._unexpected()
        if not bare and not _NUMBER.match(word):
            raise self.error(f'{word} has to stand in quotes here: "{word}"', start=start)
        return word if bare else int(word)

    def _nested(self) -> Value:
        start = self.at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error("too many parentheses within each other")
        try:
            return self._in_parentheses(start)
        finally:
            self._depth -= 1

    def _in_parentheses(self, start: int) -> Value:
        opening = self.text[start : min(start + 2, self.end)]
        if opening == "@{":
            self.at += 2
            return self._table(start)
        if opening == "@(":
            self.at += 2
            value = self._inner(start)
            return value if isinstance(value, list) else [value]
        if opening.startswith("("):
            self.at += 1
            return self._inner(start)
        what = "a here-string" if opening[1:] and opening[1:] in SINGLE + DOUBLE else self._word_ahead()
        raise self.not_understood(f"{what} is")

    def _inner(self, start: int) -> Value:
        """What stands between parentheses: values alone."""
        self.blanks(newlines=True)
        if self.peek() == ")":
            self.at += 1
            return []
        if re.match(r"[A-Za-z]+-[A-Za-z]", self._word_ahead()):
            raise self.not_understood("a command in parentheses is", start)
        value = self._argument(bare=False).value
        self.blanks(newlines=True)
        if self.peek() != ")":
            raise (
                self.error("the ( has no ) that belongs to it", start=start) if not self.peek() else self._unexpected()
            )
        self.at += 1
        return value

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
            return self.double_quoted()
        start = self.at
        while (char := self.peek()).isalnum() or char == "_":
            self.at += 1
        return self.text[start : self.at]
