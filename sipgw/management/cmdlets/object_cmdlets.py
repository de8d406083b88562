"""What chooses and shows among objects: ForEach-Object, Where-, Select-Object, Format-List, -Table, ConvertTo-Json."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.filters import COMPARING, compared, condition, like
from sipgw.management.cmdlets.items import Item, as_text, no_property, text_item
from sipgw.management.cmdlets.output import Formatted, as_json, plain
from sipgw.management.cmdlets.syntax import Script, Value
from sipgw.management.cmdlets.values import items_of


def _script_or_name(value: Value) -> Script | str:
    return value if isinstance(value, Script) else kinds.some_text(value)


def _where(call: Call) -> Iterable[Item]:
    holds = _condition(call)
    return [item for item in call.input if holds(item)]


def _condition(call: Call) -> Any:
    chosen = [name for name in COMPARING if call.given(name)]
    wanted = call.get("FilterScript")
    if isinstance(wanted, Script) and not chosen and not call.given("Value"):
        return condition(wanted)
    if isinstance(wanted, Script) or len(chosen) > 1 or wanted is None or (call.given("Value") and not chosen):
        raise call.fail('write {$_.Property -eq "value"} or Property -eq "value"', "BadCondition")
    if not chosen:
        return lambda item: item.get(wanted)
    return compared(wanted, chosen[0], call.get(chosen[0]))


def _for_each(call: Call) -> Iterable[Item]:
    """A block for each, or of each a property."""
    process = call.get("Process", call.get("MemberName"))
    if process is None:
        raise call.fail("write {…} with what is to be done for each, or a property", "MissingMandatoryParameter")
    if isinstance(process, Script):
        return [found for item in call.input for found in call.block(process, item)]
    return [one for item in call.input for one in items_of(item.get(process))]


def _select(call: Call) -> Iterable[Item]:
    if call.given("ExpandProperty"):
        found = [item.get(call.get("ExpandProperty")) for item in call.input]
        return _cut(call, [item for value in found for item in items_of(value)])
    return _cut(call, [_chosen(item, call.get("Property")) for item in call.input])


def _cut(call: Call, items: list[Item]) -> list[Item]:
    if call.get("Unique"):
        items = first_of_each(items, lambda item: as_json([item]))
    items = items[call.get("Skip", 0) :]
    if call.given("First"):
        items = items[: call.get("First")]
    if call.given("Last"):
        items = items[max(0, len(items) - call.get("Last")) :]
    return items


def first_of_each(items: Iterable[Item], key: Callable[[Item], object]) -> list[Item]:
    """Those with a key that none before them has, in their order."""
    found: dict[object, Item] = {}
    for item in items:
        found.setdefault(key(item), item)
    return list(found.values())


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
        headings = not call.get("HideTableHeaders", False)
        return [Item("Format", {}, source=Formatted(style, chosen, headings))] if chosen else []

    return run


def _to_json(call: Call) -> Iterable[Item]:
    values: list[Any] = [_plain(item) for item in call.input]
    if not values:
        return []
    shown = values[0] if len(values) == 1 else values
    layout = None if call.get("Compress") else 2
    return [text_item(json.dumps(shown, indent=layout, ensure_ascii=False, default=as_text))]


def _plain(item: Item) -> Any:
    if isinstance(item.source, Formatted):
        raise CmdletError("it comes before Format-List and Format-Table", "FormattedAlready")
    return plain(item)


_FORMAT = (
    Parameter("Property", kinds.texts, position=0),
    Parameter("AutoSize", SWITCH, unused="columns are as wide as they have to be"),
    Parameter("Wrap", SWITCH, unused="columns are as wide as they have to be"),
)
_CONDITION = kinds.checked(_script_or_name, "", lambda found: condition(found) if isinstance(found, Script) else None)
_TABLE = (*_FORMAT, Parameter("HideTableHeaders", SWITCH))
CMDLETS = (
    Cmdlet(
        "ForEach-Object",
        "Do something for each object.",
        _for_each,
        (Parameter("Process", kinds.block_or_name, position=0), Parameter("MemberName", kinds.some_text)),
        takes_all=True,
        aliases=("foreach", "%"),
    ),
    Cmdlet(
        "Where-Object",
        "Choose objects by a condition.",
        _where,
        (
            Parameter("FilterScript", _CONDITION, ("Property",), required=True, position=0),
            Parameter("Value", kinds.anything, position=1),
            *(Parameter(name, kinds.anything, (f"i{name}",)) for name in COMPARING if name[0] != "i" or name == "in"),
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
            Parameter("Skip", kinds.number),
            Parameter("Unique", SWITCH),
        ),
        takes_all=True,
        aliases=("select",),
    ),
    Cmdlet("Format-List", "Show objects as a list.", _formatting("list"), _FORMAT[:1], takes_all=True, aliases=("fl",)),
    Cmdlet("Format-Table", "Show objects as a table.", _formatting("table"), _TABLE, takes_all=True, aliases=("ft",)),
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
