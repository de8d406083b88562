"""What the suite runs against: plain Python, or with SIPGW_BUILD=compiled the modules that mypyc has made."""

import os
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from runpy import run_path

import pytest

from sipgw.build import kind

ROOT = Path(__file__).parent.parent
WANTED = os.environ.get("SIPGW_BUILD", "interpreted")


def compiled_sources(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What setup.py would compile."""
    monkeypatch.setattr("setuptools.setup", lambda **settings: None)
    monkeypatch.setenv("SIPGW_COMPILE", "0")
    return list(run_path(str(ROOT / "setup.py"))["sources"]())


def test_it_is_what_was_asked_for() -> None:
    assert kind() == WANTED


def test_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = compiled_sources(monkeypatch)
    assert "sipgw/message/parser.py" in sources and "sipgw/server/datagram.py" in sources
    for source in sources:
        file = str(import_module(source.removesuffix(".py").replace("/", ".")).__file__)
        assert file.startswith(str(ROOT)), "the checkout's own, and no other copy that is installed"
        assert file.endswith(tuple(EXTENSION_SUFFIXES)) == (WANTED == "compiled"), file
