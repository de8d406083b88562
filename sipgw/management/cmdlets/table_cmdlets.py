"""What orders and counts objects: Sort-Object, Group-Object, Measure-Object."""

from collections.abc import Iterable
from typing import Any

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.filters import sort_key
from sipgw.management.cmdlets.items import Item, as_text
from sipgw.management.cmdlets.object_cmdlets import first_of_each

SUMS = ("Sum", "Average", "Maximum", "Minimum")


def _value(item: Item, name: str | None) -> Any:
    return item.get(name) if name is not None else item


def _sort(call: Call) -> Iterable[Item]:
    names = call.get("Property", [None])
    found = sorted(
        call.input,
        key=lambda item: tuple(sort_key(_value(item, name)) for name in names),
        reverse=call.get("Descending", False),
    )
    if not call.get("Unique", False):
        return found
    return first_of_each(found, lambda item: tuple(sort_key(_value(item, name)) for name in names))


def _group(call: Call) -> Iterable[Item]:
    groups: dict[str, tuple[str, list[Item]]] = {}
    for item in call.input:
        name = ", ".join(as_text(_value(item, one)) for one in call.get("Property", [None]))
        groups.setdefault(name.lower(), (name, []))[1].append(item)
    without = call.get("NoElement", False)
    return [
        Item("GroupInfo", {"Count": len(items), "Name": name, **({} if without else {"Group": items})})
        for name, items in groups.values()
    ]


def _measure(call: Call) -> Iterable[Item]:
    name = call.get("Property")
    wanted = [one for one in SUMS if call.get(one, False)]
    if wanted and name is None:
        raise call.fail(f"-{wanted[0]} needs a -Property", "MissingMandatoryParameter")
    values = [item.get(name) for item in call.input] if name is not None else call.input
    told: dict[str, Any] = {"Count": len(values), **dict.fromkeys(("Average", "Sum", "Maximum", "Minimum"))}
    for one in wanted:
        told[one] = _summed(call, one, values)
    return [Item("GenericMeasureInfo", {**told, "Property": name})]


def _summed(call: Call, what: str, values: list[Any]) -> Any:
    if not values:
        return None
    if what in ("Maximum", "Minimum"):
        return (max if what == "Maximum" else min)(values, key=sort_key)
    try:
        total = sum(int(as_text(value)) for value in values)
    except ValueError:
        raise call.fail(f"-{what} needs numbers", "NonNumericInputObject") from None
    return total if what == "Sum" else total / len(values)


CMDLETS = (
    Cmdlet(
        "Sort-Object",
        "Put objects in order.",
        _sort,
        (Parameter("Property", kinds.texts, position=0), Parameter("Descending", SWITCH), Parameter("Unique", SWITCH)),
        takes_all=True,
        aliases=("sort",),
    ),
    Cmdlet(
        "Group-Object",
        "Count objects by what they have in common.",
        _group,
        (Parameter("Property", kinds.texts, position=0), Parameter("NoElement", SWITCH)),
        takes_all=True,
        aliases=("group",),
    ),
    Cmdlet(
        "Measure-Object",
        "Count objects, and sum up a property.",
        _measure,
        (Parameter("Property", kinds.some_text, position=0), *(Parameter(name, SWITCH) for name in SUMS)),
        takes_all=True,
        aliases=("measure",),
    ),
)
