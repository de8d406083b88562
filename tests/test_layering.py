"""Import direction, absence of I/O below the shell, and sizes: what keeps the architecture from eroding."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "sipgw").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# What each part may import of ours, beside itself. A part that is not listed fails: it has to be given its place.
_PROTOCOL = {"auth", "message", "events", "transport", "transaction", "registry", "core", "locating"}
_BELOW_SHELL = _PROTOCOL | {"frontend", "groupchat", "engine"}
ALLOWED = {
    "build": set[str](),
    "message": set[str](),
    "auth": {"message", "events"},
    "events": {"locating"},
    "registry": {"message"},
    "locating": {"message"},
    "transport": {"message", "events"},
    "transaction": {"message", "events", "transport", "locating"},
    "core": {"auth", "message", "events", "transport", "transaction", "registry", "locating"},
    "frontend": _PROTOCOL,
    "groupchat": _PROTOCOL - {"registry"} | {"config"},  # a file of rooms is checked as the configuration is
    "engine": _PROTOCOL | {"frontend"},
    "config": {"auth", "message", "registry"},  # a file of users is checked as the configuration is
    "options": {"config", "registry"},
    "observability": _PROTOCOL,
    "server": _BELOW_SHELL | {"config", "options", "observability"},
    "management": _BELOW_SHELL | {"build", "config", "options", "observability", "server"},
    "__main__": {"management"},
}
SHELL = {"server", "management", "testing", "__main__"}
IO_MODULES = {
    "asyncio", "asyncio_dgram", "concurrent", "http", "multiprocessing", "secrets", "select", "selectors", "signal",
    "socket", "socketserver", "sqlite3", "ssl", "subprocess", "threading", "time", "urllib.request", "uvloop",
}  # fmt: skip
IMPURE = {  # single names of modules that are pure otherwise
    ("os", "urandom"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("uuid", "uuid1"), ("uuid", "uuid4"),
}  # fmt: skip
MAX_FILE, MAX_FUNCTION = 500, 60


def part_of(path: Path) -> str:
    """`sipgw/core/proxy.py` is of the part core; `sipgw/events.py` is the part events."""
    return path.relative_to(ROOT / "sipgw").with_suffix("").parts[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of imported modules and of names imported from modules, lazy and typing-only ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_parts(tree: ast.AST) -> set[str]:
    """The parts of sipgw that are imported; of the package itself only names, such as its version, count for none."""
    names = [name.split(".") for name in imports(tree)]
    return {name[1] for name in names if name[0] == "sipgw" and len(name) > 1 and not name[1].startswith("__version")}


def impurities(tree: ast.AST) -> Iterator[str]:
    """Imports and uses that do I/O, read a clock or make randomness of their own."""
    for name in imports(tree):
        module, _, last = name.rpartition(".")
        if name.split(".")[0] in IO_MODULES or any(name.startswith(f"{io}.") for io in IO_MODULES):
            yield name
        elif name == "random" or (module == "random" and last != "Random"):
            yield f"{name} (only the class Random, given as an argument)"
        elif (module, last) in IMPURE:
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = (node.value.id, node.attr)
            if used in IMPURE:
                yield ".".join(used)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_import_direction(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        assert own_parts(parse(path)) == set()
        return
    assert part in ALLOWED, f"give {part} its place in ALLOWED"
    upward = own_parts(parse(path)) - ALLOWED[part] - {part}
    assert not upward, f"{part} must not import {', '.join(sorted(upward))}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_io_below_the_shell(path: Path) -> None:
    found = [] if part_of(path) in SHELL else list(impurities(parse(path)))
    assert not found, f"belongs into the shell: {', '.join(found)}"


@pytest.mark.parametrize("path", MODULES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_FILE
    functions = [node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert not {name: length for name, length in lengths.items() if length > MAX_FUNCTION}


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio",
        "def lazy():\n    import socket",
        "from time import monotonic",
        "from urllib.request import urlopen",
        "import concurrent.futures",
        "import random",
        "from random import randint",
        "import os\nkey = os.urandom(8)",
        "from os import urandom",
        "from datetime import datetime\nwhen = datetime.now()",
    ],
)
def test_impurities_are_seen(text: str) -> None:
    assert list(impurities(ast.parse(text)))


def test_pure_imports_pass() -> None:
    assert not list(impurities(ast.parse("from random import Random\nfrom urllib.parse import quote\nimport os")))


def test_own_parts_are_seen() -> None:
    tree = ast.parse("import sipgw.core.proxy\nfrom sipgw import __version__, engine\nfrom sipgw.events import Flow")
    assert own_parts(tree) == {"core", "engine", "events"}
