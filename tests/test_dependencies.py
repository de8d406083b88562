"""pyproject.toml, docs/dependencies.md and the code name the same dependencies."""

import ast
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PAGE = (ROOT / "docs/dependencies.md").read_text("utf-8")


_EXTRAS = ("kerberos", "ldap", "speed")  # used by sipgw/
_SHIPPED = [text for extra in _EXTRAS for text in PROJECT["optional-dependencies"][extra]]


def split(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9.\-]+)(.*)", requirement)
    assert found is not None
    return found[1], found[2]


def imported_as(package: str) -> str:
    return {"dnspython": "dns", "pyspnego": "spnego"}.get(package, package.replace("-", "_"))


def test_each_has_its_line_with_its_range_and_extra() -> None:
    run_time = [f"| {name} | {version} |" for name, version in map(split, PROJECT["dependencies"])]
    optional = [
        f"| {name} | {version} | {extra} |"
        for extra, requirements in PROJECT["optional-dependencies"].items()
        for name, version in map(split, requirements)
    ]
    assert [line for line in run_time + optional if line not in PAGE] == []


def test_every_range_is_bounded() -> None:
    requirements = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    assert [text for text in requirements if ">=" not in text and "==" not in text] == []


def test_the_program_imports_what_it_depends_on_and_nothing_else() -> None:
    imported: set[str] = set()
    for path in (ROOT / "sipgw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    depended = {imported_as(split(text)[0]) for text in PROJECT["dependencies"]}
    optional = {imported_as(split(text)[0]) for text in _SHIPPED}
    foreign = imported - set(sys.stdlib_module_names) - {"sipgw"}
    assert depended <= foreign
    assert foreign <= depended | optional | {"pydantic_core"}  # a part of pydantic, for a type's name
