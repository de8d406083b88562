"""What goes through a pipeline: objects with named properties."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sipgw.management.cmdlets.errors import CmdletError, closest


@dataclass(frozen=True)
class Item:
    """An object of a class `kind`. A property is a text, a number, a truth value, None, or a list of these.

    `labels` has what a list calls a property other than by its name; `source` is what the object stands for.
    """

    kind: str
    properties: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    source: object = None

    def name_of(self, wanted: str) -> str | None:
        """The property of this name, whatever its case."""
        return next((name for name in self.properties if name.lower() == wanted.lower()), None)

    def get(self, wanted: str) -> Any:
        """Raises CmdletError, saying which properties there are."""
        name = self.name_of(wanted)
        if name is None:
            raise no_property(wanted, list(self.properties))
        return self.properties[name]


@dataclass(frozen=True)
class Credential:
    """A name and its password; None is asked for when it is needed. The password is never shown."""

    name: str
    password: str | None = field(default=None, repr=False)


_NAMING = ("Value", "Identity", "SipAddress", "UserName", "Name")  # what an object is called by, where a text is wanted


def no_property(wanted: str, known: list[str]) -> CmdletError:
    text = f"there is no property {wanted}{closest(wanted, known)} (properties: {', '.join(known)})"
    return CmdletError(text, "UnknownProperty")


def as_text(value: Any) -> str:
    """As PowerShell writes a value on one line."""
    if value is None:
        return ""
    if isinstance(value, Item):
        return as_text(next((value.properties[name] for name in _NAMING if name in value.properties), value.kind))
    if isinstance(value, list | tuple):
        return f"{{{', '.join(map(as_text, value))}}}"
    return str(value)


def text_item(text: str) -> Item:
    """A text as an object: it is shown as it is."""
    return Item("String", {"Value": text})
