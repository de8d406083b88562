"""What is said about a wrong value: one line that names the key, what is wrong and what would be right."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]  # ("pool", 0, "servers", 1)

_WANTED = {  # pydantic's error types, as TOML would have it
    "string_type": "write a text in quotes",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "tuple_type": "write an array in [ ]",
    "model_type": "write a table",
}
_BOUNDS = {"greater_than_equal": "at least {ge}", "greater_than": "more than {gt}", "less_than_equal": "at most {le}"}


def place(location: Location) -> str:
    """`pool[0].servers[1]`"""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in location)
    return shown.removeprefix(".")


def problem(source: object, line: int, location: Location, text: str) -> str:
    """A mistake in a file as it is told: `FILE:LINE: KEY: TEXT`. Line 0 is none, as is the location ()."""
    file = f"{source}:{line}" if line else str(source)
    return f"{file}: {place(location)}: {text}" if location else f"{file}: {text}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_\-]+", name) else json.dumps(name)


def describe(fault: "ErrorDetails", model: type[BaseModel]) -> str:
    """The text for one of pydantic's errors in a table that `model` describes."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return unknown(str(fault["loc"][-1]), keys(model))
    if kind == "missing":
        example = (model.model_fields[str(fault["loc"][-1])].examples or [""])[0]
        return f'is missing; write {fault["loc"][-1]} = "{example}"'
    if kind in _WANTED:
        return f"is {shown(fault['input'])}; {_WANTED[kind]}"
    if kind in _BOUNDS:
        return f"is {shown(fault['input'])}; it has to be {_BOUNDS[kind].format(**context)}"
    if kind == "literal_error":
        return f"is {shown(fault['input'])}; write {context['expected'].replace(chr(39), chr(34))}"
    if kind == "too_short":
        return "is empty; write at least one"
    return f"is {shown(fault['input'])}: {fault['msg']}"


def keys(model: type[BaseModel]) -> list[str]:
    """The keys of a table as the file spells them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def unknown(name: str, known: Iterable[str]) -> str:
    """The text for a key that there is not."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    advice = f'did you mean "{close[0]}"?' if close else f"the keys here are {', '.join(names)}"
    return f"there is no such key; {advice}"


def shown(value: object) -> str:
    """A value as TOML writes it, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:  # TOML's dates and times
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
