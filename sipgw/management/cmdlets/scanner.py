"""Reads quotes, escapes and variables: what an argument, a filter and a hashtable have in common."""

import re
from collections.abc import Iterable, Sequence

from sipgw.management.cmdlets.errors import CmdletError, Place, closest
from sipgw.management.cmdlets.syntax import BLANKS, DOUBLE, ENDS, SINGLE, UNDERSTOOD, Nested, Reference, Template

_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAME = re.compile(r"(?:(?:global|script|local|env):)?\w+", re.IGNORECASE)
_SCOPES = ("global:", "script:", "local:")  # there is one scope
CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
PREFERENCES = ("erroractionpreference",)  # variables that are there from the beginning
Part = str | Reference | Nested


def plain_name(written: str) -> str:
    """A variable's name without its scope, in lower case."""
    name = written.lower()
    if name == "psitem":
        return "_"
    return next((name.removeprefix(scope) for scope in _SCOPES if name.startswith(scope)), name)


def joined(parts: Sequence[Part]) -> str | Template:
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts))
    return Template(tuple(parts))


def parts_of(text: str | Template) -> Sequence[Part]:
    return [text] if isinstance(text, str) else text.parts


class Scanner:
    """A position in a text. Raises CmdletError for what cannot be read."""

    def __init__(self, text: str, at: int = 0, end: int | None = None, names: Iterable[str] = ()) -> None:
        """`names` are the variables that are set, in lower case."""
        self.names = set(names)
        self.text = text
        self.at = at
        self.end = len(text) if end is None else end

    def peek(self, ahead: int = 0) -> str:
        """The next character, "" at the end."""
        at = self.at + ahead
        return self.text[at] if at < self.end else ""

    def error(self, message: str, kind: str = "ParserError", start: int | None = None) -> CmdletError:
        begin = self.at if start is None else start
        return CmdletError(message, kind, Place(begin, max(begin + 1, self.at)))

    def not_understood(self, what: str, start: int | None = None) -> CmdletError:
        return self.error(f"{what} not understood; {UNDERSTOOD}", "NotUnderstood", start)

    def blanks(self, newlines: bool = False) -> None:
        """Pass over blanks, comments and continued lines."""
        while char := self.peek():
            if char in BLANKS or (newlines and char == "\n"):
                self.at += 1
            elif char == "`" and self.peek(1) == "\n":
                self.at += 2
            elif char == "`" and not self.text[self.at + 1 : self.end].strip(" \t\n"):
                self.at = self.end  # at the end of all there is nothing to continue with
            elif char == "#":
                found = self.text.find("\n", self.at, self.end)
                self.at = self.end if found < 0 else found
            elif self.text.startswith("<#", self.at, self.end):
                self._block_comment()
            else:
                return

    def _block_comment(self) -> None:
        start = self.at
        found = self.text.find("#>", start + 2, self.end)
        if found < 0:
            raise self.error("the comment that begins with <# has no #> at its end", start=start)
        self.at = found + 2

    def single_quoted(self) -> str:
        """`'…'`; a doubled quote is one."""
        start, parts = self.at, list[str]()
        self.at += 1
        while char := self.peek():
            self.at += 1
            if char not in SINGLE:
                parts.append(char)
            elif self.peek() and self.peek() in SINGLE:
                parts.append(self.peek())
                self.at += 1
            else:
                return "".join(parts)
        self.at = start + 1
        raise self.error("the text has no ' at its end", start=start)

    def double_quoted(self) -> str | Template:
        """`"…"`; a doubled quote is one, a backtick escapes, variables are put in."""
        start, parts = self.at, list[Part]()
        self.at += 1
        while char := self.peek():
            if char in DOUBLE:
                self.at += 1
                if not self.peek() or self.peek() not in DOUBLE:
                    return joined(parts)
                parts.append(self.peek())
                self.at += 1
            elif char == "`":
                parts.append(self.escaped())
            elif char == "$":
                parts.append(self.dollar())
            else:
                parts.append(char)
                self.at += 1
        self.at = start + 1
        raise self.error('the text has no " at its end', start=start)

    def escaped(self) -> str:
        """What a backtick and the character after it stand for."""
        self.at += 1
        char = self.peek()
        if char == "u" and self.peek(1) == "{":
            return self._code_point()
        self.at += 1
        return _ESCAPES.get(char, char)

    def _code_point(self) -> str:
        start = self.at - 1
        close = self.text.find("}", self.at, self.end)
        digits = self.text[self.at + 2 : close] if close > 0 else ""
        self.at = close + 1 if close > 0 else self.end
        try:
            char = chr(int(digits, 16))
            char.encode("utf-8")
        except (ValueError, OverflowError):
            raise self.error("write a character as `u{20AC}", start=start) from None
        return char

    def dollar(self) -> Part:
        """What `$` begins inside a text."""
        following = self.peek(1)
        if following not in ("_", "{", "(") and not following.isalnum():
            self.at += 1
            return "$"
        value = self.variable()
        if isinstance(value, Reference | Nested):
            return value
        return "" if value is None else str(value)

    def variable(self) -> bool | Reference | Nested | None:
        """`$true`, `$false`, `$null`, or a variable that has been set before."""
        start = self.at
        self.at += 1
        if self.peek() == "(":
            return self.subexpression(start)
        name = plain_name(self._variable_name())
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name not in self.names:
            known = [f"${one}" for one in sorted(self.names - {"_", *PREFERENCES})]
            near = closest(f"${name}", known) or (f" (set are: {', '.join(known)})" if known else "")
            raise self.error(f"the variable ${name} is not set before{near}", "VariableNotSet", start)
        return Reference(name, Place(start, self.at))

    def subexpression(self, start: int) -> Nested:
        """`$(…)`, where there can be one."""
        raise self.not_understood("$(…) is", start)

    def _variable_name(self) -> str:
        if self.peek() == "{":
            close = self.text.find("}", self.at, self.end)
            name = self.text[self.at + 1 : close] if close > 0 else ""
            self.at = close + 1 if close > 0 else self.end
            return name
        found = _NAME.match(self.text, self.at, self.end)
        self.at = found.end() if found else self.at
        return found[0] if found else ""

    def bare_word(self) -> str | Template:
        """What stands without quotes, as far as it goes; quotes within it are read as such."""
        parts: list[Part] = []
        while (char := self.peek()) and char not in BLANKS and char not in ENDS:
            if char in SINGLE:
                parts.append(self.single_quoted())
            elif char in DOUBLE:
                parts += parts_of(self.double_quoted())
            elif char == "`":
                if self.peek(1) in ("", "\n"):
                    break
                parts.append(self.escaped())
            elif char == "$":
                parts.append(self.dollar())
            else:
                parts.append(char)
                self.at += 1
        return joined(parts)

    def in_braces(self) -> Place:
        """Pass over `{…}`, with quotes and braces inside. Returns the place of what is between."""
        start = self.at
        depth = 0
        while char := self.peek():
            if char in SINGLE:
                self.single_quoted()
                continue
            if char in DOUBLE:
                self._pass_double_quoted()
                continue
            self.at += 2 if char == "`" else 1
            depth += (char == "{") - (char == "}")
            if depth == 0:
                return Place(start + 1, self.at - 1)
        self.at = start + 1
        raise self.error("the { has no } that belongs to it", start=start)

    def _pass_double_quoted(self) -> None:
        """Without looking at variables: that is for who reads what stands in the braces."""
        start = self.at
        self.at += 1
        while char := self.peek():
            self.at += 2 if char == "`" else 1
            if char in DOUBLE:
                return
        self.at = start + 1
        raise self.error('the text has no " at its end', start=start)
