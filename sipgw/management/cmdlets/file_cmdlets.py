"""What objects are written to: Export-Csv, ConvertTo-Csv, Out-File, Tee-Object, Out-String, Out-Null, Write-Host."""

from collections.abc import Iterable
from pathlib import Path

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.items import Item, as_text, text_item
from sipgw.management.cmdlets.output import Formatted, as_lines
from sipgw.management.cmdlets.values import items_of


def _csv_lines(call: Call) -> list[str]:
    items = call.input
    if any(isinstance(item.source, Formatted) for item in items):
        raise call.fail("it comes before Format-List and Format-Table", "FormattedAlready")
    if not items:
        return []
    names = list(items[0].properties)  # those of the first, as PowerShell has it
    rows = [names, *([as_text(item.properties.get(name)) for name in names] for item in items)]
    between = call.get("Delimiter", ",")
    return [between.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]


def _write(call: Call, path: Path, lines: list[str]) -> None:
    if not call.should(str(path)) or call.backend.rehearses:
        return
    append = call.get("Append", False)
    if call.get("NoClobber", False) and not append and path.exists():
        raise call.fail(f"{path} is there already, and -NoClobber is given", "NoClobber")
    with path.open("a" if append else "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _export_csv(call: Call) -> Iterable[Item]:
    path, lines = Path(call.get("Path")), _csv_lines(call)
    again = call.get("Append", False) and path.exists() and path.stat().st_size
    _write(call, path, lines[1:] if again else lines)
    return []


def _to_csv(call: Call) -> Iterable[Item]:
    return [text_item(line) for line in _csv_lines(call)]


def _out_file(call: Call) -> Iterable[Item]:
    _write(call, Path(call.get("FilePath")), as_lines(call.input))
    return []


def _tee(call: Call) -> Iterable[Item]:
    _write(call, Path(call.get("FilePath")), as_lines(call.input))
    return call.input


def _out_string(call: Call) -> Iterable[Item]:
    return [text_item("\n".join(as_lines(call.input)))]


def _out_null(call: Call) -> Iterable[Item]:
    return []


def _same(call: Call) -> Iterable[Item]:
    return call.input


def _write_host(call: Call) -> Iterable[Item]:
    value = call.get("Object")
    several = value if isinstance(value, list) else [value]
    return [text_item(" ".join(map(as_text, several)))] if call.given("Object") else call.input


def _write_output(call: Call) -> Iterable[Item]:
    return items_of(call.get("Object")) if call.given("Object") else call.input


_CSV = (
    Parameter("Delimiter", kinds.some_text),
    Parameter("NoTypeInformation", SWITCH, ("nti",), unused="types are never written"),
    Parameter("UseCulture", SWITCH, unused="-Delimiter says what parts the columns"),
)
_FILE = (
    Parameter("Append", SWITCH),
    Parameter("NoClobber", SWITCH),
    Parameter("Force", SWITCH, unused="there is nothing to be forced"),
    Parameter("Encoding", kinds.some_text, unused="files are UTF-8"),
    Parameter("Width", kinds.number, unused="lines are as wide as they have to be"),
)
_PATH = Parameter("FilePath", kinds.some_text, ("Path", "LiteralPath"), required=True, position=0)
_OBJECT = (Parameter("Object", kinds.anything, position=0), Parameter("ForegroundColor", kinds.some_text, unused="no"))
CMDLETS = (
    Cmdlet(
        "Export-Csv",
        "Write objects into a file, a line each.",
        _export_csv,
        (Parameter("Path", kinds.some_text, ("LiteralPath",), required=True, position=0), *_CSV, *_FILE[:4]),
        changes=True,
        takes_all=True,
        aliases=("epcsv",),
    ),
    Cmdlet("ConvertTo-Csv", "Show objects as lines of CSV.", _to_csv, _CSV, takes_all=True),
    Cmdlet(
        "Out-File",
        "Write into a file what would be shown.",
        _out_file,
        (_PATH, *_FILE),
        changes=True,
        takes_all=True,
    ),
    Cmdlet(
        "Tee-Object",
        "Write into a file what would be shown, and hand it on.",
        _tee,
        (_PATH, _FILE[0]),
        changes=True,
        takes_all=True,
        aliases=("tee",),
    ),
    Cmdlet("Out-String", "What would be shown, as one text.", _out_string, (_FILE[4],), takes_all=True),
    Cmdlet("Out-Null", "Show nothing.", _out_null, takes_all=True),
    Cmdlet("Out-Host", "Show.", _same, takes_all=True, aliases=("oh",)),
    Cmdlet("Write-Host", "Show a text.", _write_host, _OBJECT, takes_all=True),
    Cmdlet("Write-Output", "Hand values on.", _write_output, _OBJECT[:1], takes_all=True, aliases=("echo", "write")),
)
