"""What chooses and shows among objects: Where-Object, Select-Object, Format-List, Format-Table, ConvertTo-Json."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.filters import compared, condition, like
from sipgw.management.cmdlets.items import Item, no_property, text_item
from sipgw.management.cmdlets.output import Formatted
from sipgw.management.cmdlets.syntax import Script, Value

OPERATORS = ("EQ", "NE", "Like", "NotLike")


def _script_or_name(value: Value) -> Script | str:
    return value if isinstance(value, Script) else kinds.some_text(value)


def _where(call: Call) -> Iterable[Item]:
    holds = _condition(call)
    return [item for item in call.input if holds(item)]


def _condition(call: Call) -> Any:
    chosen = [name for name in OPERATORS if call.given(name)]
    wanted = call.get("FilterScript")
    if isinstance(wanted, Script) and not chosen and not call.given("Value"):
        return condition(wanted)
    if isinstance(wanted, Script) or len(chosen) != 1 or wanted is None:
        raise call.fail('write {$_.Property -eq "value"} or Property -eq "value"', "BadCondition")
    value = call.get(chosen[0])
    return compared(wanted, chosen[0].lower(), value)


def _select(call: Call) -> Iterable[Item]:
    if call.given("ExpandProperty"):
        found = [item.get(call.get("ExpandProperty")) for item in call.input]
        flat = [one for value in found for one in (value if isinstance(value, list) else [value])]
        return _cut(call, [text_item(kinds.text(one)) for one in flat])
    return _cut(call, [_chosen(item, call.get("Property")) for item in call.input])


def _cut(call: Call, items: list[Item]) -> list[Item]:
    if call.given("First"):
        items = items[: call.get("First")]
    if call.given("Last"):
        items = items[max(0, len(items) - call.get("Last")) :]
    return items


def _chosen(item: Item, wanted: list[str] | None) -> Item:
    """With the properties that were asked for alone, by their names or patterns. Raises CmdletError."""
    if wanted is None:
        return item
    names: dict[str, None] = {}
    for one in wanted:
        found = [name for name in item.properties if like(name, one)]
        if not found:
            raise no_property(one, list(item.properties))
        names |= dict.fromkeys(found)
    return replace(item, properties={name: item.properties[name] for name in names})


def _formatting(style: Literal["list", "table"]) -> Any:
    def run(call: Call) -> Iterable[Item]:
        if any(isinstance(item.source, Formatted) for item in call.input):
            raise call.fail("it comes last in a pipeline, and once", "FormattedAlready")
        chosen = [_chosen(item, call.get("Property")) for item in call.input]
        return [Item("Format", {}, source=Formatted(style, chosen))] if chosen else []

    return run


def _to_json(call: Call) -> Iterable[Item]:
    values: list[Any] = [_plain(item) for item in call.input]
    if not values:
        return []
    shown = values[0] if len(values) == 1 else values
    layout = None if call.get("Compress") else 2
    return [text_item(json.dumps(shown, indent=layout, ensure_ascii=False))]


def _plain(item: Item) -> Any:
    if isinstance(item.source, Formatted):
        raise CmdletError("it comes before Format-List and Format-Table", "FormattedAlready")
    return item.properties["Value"] if item.kind == "String" else dict(item.properties)


_FORMAT = (
    Parameter("Property", kinds.texts, position=0),
    Parameter("AutoSize", SWITCH, unused="columns are as wide as they have to be"),
    Parameter("Wrap", SWITCH, unused="columns are as wide as they have to be"),
)
CMDLETS = (
    Cmdlet(
        "Where-Object",
        "Choose objects by a condition.",
        _where,
        (
            Parameter("FilterScript", _script_or_name, ("Property",), required=True, position=0),
            Parameter("Value", kinds.anything, position=1),
            *(Parameter(name, kinds.anything, (f"I{name}",)) for name in OPERATORS),
        ),
        takes_all=True,
        aliases=("where", "?"),
    ),
    Cmdlet(
        "Select-Object",
        "Choose properties, and how many objects.",
        _select,
        (
            Parameter("Property", kinds.texts, position=0),
            Parameter("ExpandProperty", kinds.some_text),
            Parameter("First", kinds.number),
            Parameter("Last", kinds.number),
        ),
        takes_all=True,
        aliases=("select",),
    ),
    Cmdlet("Format-List", "Show objects as a list.", _formatting("list"), _FORMAT[:1], takes_all=True, aliases=("fl",)),
    Cmdlet("Format-Table", "Show objects as a table.", _formatting("table"), _FORMAT, takes_all=True, aliases=("ft",)),
    Cmdlet(
        "ConvertTo-Json",
        "Show objects as JSON.",
        _to_json,
        (
            Parameter("Compress", SWITCH),
            Parameter("Depth", kinds.number, unused="all of an object is shown"),
        ),
        takes_all=True,
    ),
)
