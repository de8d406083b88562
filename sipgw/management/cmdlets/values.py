"""What variables, parentheses and texts with variables in them come to, when a line is carried out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from sipgw.management.cmdlets.errors import CmdletError, Place
from sipgw.management.cmdlets.items import Item, as_text, text_item
from sipgw.management.cmdlets.syntax import (
    Argument,
    Command,
    Deferred,
    Element,
    Named,
    Nested,
    Pipeline,
    Reference,
    Script,
    Splat,
    Template,
    Value,
)


class Scope(Protocol):
    """Where values come from: variables by their names in lower case, and pipelines that are carried out."""

    @property
    def variables(self) -> Mapping[str, Any]: ...

    def nested(self, pipeline: Pipeline) -> list[Item]: ...


def is_deferred(value: Value) -> bool:
    """Whether it is only known when the line is carried out."""
    if isinstance(value, Mapping):
        return any(map(is_deferred, value.values()))
    return isinstance(value, Deferred) or (isinstance(value, list) and any(map(is_deferred, value)))


def resolved(value: Value, scope: Scope) -> Any:
    """The value itself. Raises CmdletError."""
    if isinstance(value, Reference):
        return looked_up(value, scope.variables)
    if isinstance(value, Nested):
        found = values_of(scope.nested(value.pipeline))
        whole = found if value.is_list or len(found) > 1 else found[0] if found else None
        return at_path(whole, value.path, value.place)
    if isinstance(value, Template):
        return "".join(part if isinstance(part, str) else _in_text(resolved(part, scope)) for part in value.parts)
    if isinstance(value, Script):
        return replace(value, variables=scope.variables)
    if isinstance(value, list):
        return [one for part in value for one in _flat(part, resolved(part, scope))]
    if isinstance(value, dict):
        return {key: resolved(one, scope) for key, one in value.items()}
    return value


def _flat(written: Value, value: Any) -> list[Any]:
    """A list that a variable or a pipeline gives within a list is part of that."""
    return value if isinstance(written, Deferred) and isinstance(value, list) else [value]


def _in_text(value: Any) -> str:
    return " ".join(map(as_text, value)) if isinstance(value, list) else as_text(value)


def filled(text: str | Template, variables: Mapping[str, Any]) -> str:
    """A text of a condition, where there are no pipelines."""
    if isinstance(text, str):
        return text
    parts = (part if isinstance(part, str | Nested) else looked_up(part, variables) for part in text.parts)
    return "".join(map(_in_text, parts))


def looked_up(reference: Reference, variables: Mapping[str, Any]) -> Any:
    if reference.name not in variables:
        raise CmdletError(f"the variable ${reference.name} is not set", "VariableNotSet", reference.place)
    return at_path(variables[reference.name], reference.path, reference.place)


def at_path(value: Any, path: tuple[str | int, ...], place: Place | None = None) -> Any:
    try:
        for step in path:
            value = _property(value, step) if isinstance(step, str) else _element(value, step)
    except CmdletError as error:
        error.place = error.place or place
        raise
    return value


def _property(value: Any, name: str) -> Any:
    known = value.name_of(name) if isinstance(value, Item) else None
    if name.lower() in ("count", "length") and known is None and not isinstance(value, Mapping):
        if isinstance(value, list) or (isinstance(value, str) and name.lower() == "length"):
            return len(value)
        return 0 if value is None else 1
    if value is None:
        return None
    if isinstance(value, list):
        return [_property(one, name) for one in value]
    if isinstance(value, Item):
        return value.get(name)
    if isinstance(value, Mapping):
        return next((one for key, one in value.items() if key.lower() == name.lower()), None)
    raise CmdletError(f'"{as_text(value)}" is a text and has no property {name}', "UnknownProperty")


def _element(value: Any, at: int) -> Any:
    several = value if isinstance(value, list) else [] if value is None else [value]
    return several[at] if -len(several) <= at < len(several) else None


def values_of(items: list[Item]) -> list[Any]:
    """What comes out of a pipeline as values: texts as such, objects as they are."""
    return [item.properties["Value"] if item.kind == "String" else item for item in items]


def items_of(value: Any) -> list[Item]:
    """A value at the beginning of a pipeline."""
    if isinstance(value, list):
        return [item for one in value for item in items_of(one)]
    if isinstance(value, Item):
        return [value]
    if isinstance(value, Mapping):
        return [Item("Hashtable", dict(value))]
    return [Item("String", {"Value": value})] if isinstance(value, bool | int) else [text_item(as_text(value))]


def made_ready(command: Command, scope: Scope) -> Command:
    """The command with its values in place of what stands for them. Raises CmdletError."""
    elements: list[Element] = []
    for element in command.elements:
        if isinstance(element, Splat):
            elements += _splatted(element, scope.variables)
        elif isinstance(element, Argument):
            elements.append(replace(element, value=resolved(element.value, scope)))
        elif element.joined is not None:
            elements.append(
                replace(element, joined=replace(element.joined, value=resolved(element.joined.value, scope)))
            )
        else:
            elements.append(element)
    return replace(command, elements=tuple(elements))


def _splatted(splat: Splat, variables: Mapping[str, Any]) -> list[Element]:
    value = looked_up(Reference(splat.name, splat.place), variables)
    if isinstance(value, Mapping):
        return [Named(name, splat.place, Argument(one, splat.place)) for name, one in value.items()]
    if isinstance(value, list):
        return [Argument(one, splat.place) for one in value]
    raise CmdletError(f"@{splat.name} has to be a table @{{…}} or a list", "BadSplatting", splat.place)
