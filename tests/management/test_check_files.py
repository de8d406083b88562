"""`sipgw check` on the files of the API's tokens and of the log."""

import os
import re
from pathlib import Path

import pytest

from tests.management.conftest import Run, edit

TOKEN = "0123456789abcdef0123456789abcdef"


def findings(sipgw: Run, folder: Path, subject: str) -> list[str]:
    """The lines about one thing, with the folder left out; the pool is down, so the status says nothing."""
    lines = [" ".join(line.split()) for line in sipgw("check").out.splitlines()]
    found = [line.replace(str(folder), "").replace(f" {subject}", "") for line in lines if f" {subject}:" in line]
    return [re.sub(r" \(/gw\.toml:3\)\Z", "", line) for line in found]  # where a mistake has its key


def tokens(sipgw: Run, gw: Path, text: str, mode: int = 0o600) -> list[str]:
    edit(gw, ("[gateway]", '[admin]\ntoken_file = "tokens"\n[gateway]'))
    path = gw.parent / "tokens"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    found = findings(sipgw, gw.parent, "admin.token_file")
    assert TOKEN not in "".join(found)
    return found


def test_tokens(sipgw: Run, gw: Path) -> None:
    assert tokens(sipgw, gw, f"{TOKEN}\n", 0o640) == ["ok: /tokens: 1 token"]


def test_several_tokens(sipgw: Run, gw: Path) -> None:
    assert tokens(sipgw, gw, f"# ours\nann {TOKEN}\nbob {TOKEN}x\n") == ["ok: /tokens: 2 tokens"]


def test_tokens_that_everybody_can_read(sipgw: Run, gw: Path) -> None:
    advice = "whoever reads a token can administer the gateway: chmod o-rwx"
    assert tokens(sipgw, gw, TOKEN, 0o644) == [f"note: /tokens can be read by everybody on this machine; {advice}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ": holds no token"),
        ("\n# none\n", ": holds no token"),
        ("short\n", ":1: a token of 5 characters, which can be guessed"),
        (f"{TOKEN}\none two {TOKEN}\n", ":2: more than a name and a token"),
    ],
)
def test_tokens_that_are_none(sipgw: Run, gw: Path, text: str, told: str) -> None:
    advice = "write a token of at least 16 characters a line, such as openssl rand -hex 32 makes"
    assert tokens(sipgw, gw, text) == [f"FAIL: /tokens{told}; {advice}"]


def test_tokens_that_this_user_cannot_read(sipgw: Run, gw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    def read(path: Path, *arguments: str) -> str:
        return denied() if path.name == "tokens" else original(path, *arguments)

    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", read)
    (found,) = tokens(sipgw, gw, TOKEN)
    assert found.startswith("FAIL: /tokens: Permission denied; make it readable for this user")


def test_no_file_of_tokens(sipgw: Run, gw: Path) -> None:
    edit(gw, ("[gateway]", '[admin]\ntoken_file = "tokens"\n[gateway]'))
    found = sipgw("check")
    assert found.status == 1
    assert "admin.token_file" in found.out and f"there is no file {gw.parent / 'tokens'}" in found.out


def log(sipgw: Run, gw: Path, name: str) -> list[str]:
    edit(gw, ("[gateway]", f'[log]\nfile = "{name}"\n[gateway]'))
    return findings(sipgw, gw.parent, "log.file")


def test_a_log_that_will_be_made(sipgw: Run, gw: Path) -> None:
    assert log(sipgw, gw, "sipgw.log") == ["ok: /sipgw.log will be made"]
    assert not (gw.parent / "sipgw.log").exists(), "asking makes no file"


def test_a_log_that_there_is(sipgw: Run, gw: Path) -> None:
    (gw.parent / "sipgw.log").write_text("so far\n")
    assert log(sipgw, gw, "sipgw.log") == ["ok: /sipgw.log is writable"]
    assert (gw.parent / "sipgw.log").read_text() == "so far\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none/sipgw.log", "there is no folder /none"),
        ("gw.toml/sipgw.log", "there is no folder /gw.toml"),
        (".", "is a folder"),
    ],
)
def test_a_log_that_cannot_be(sipgw: Run, gw: Path, name: str, told: str) -> None:
    path = "" if name == "." else f"/{name}"
    assert log(sipgw, gw, name) == [f"FAIL: {path}: {told}; name a file that this user can write"]


def test_a_log_in_a_folder_that_this_user_may_not_enter(sipgw: Run, gw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_dir(path: Path) -> bool:
        if path.name == "sipgw.log":
            raise PermissionError(13, "Permission denied")
        return original(path)

    original = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", is_dir)
    assert log(sipgw, gw, "sipgw.log") == ["FAIL: /sipgw.log: Permission denied; name a file that this user can write"]


@pytest.mark.parametrize(
    ("exists", "told"), [(True, "this user may not write it"), (False, "this user may make no files in ")]
)
def test_a_log_that_this_user_may_not_write(
    sipgw: Run, gw: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, told: str
) -> None:
    """As root, who may write anything, tests do not find out otherwise."""
    folder = gw.parent / "logs"
    folder.mkdir()
    if exists:
        (folder / "sipgw.log").touch()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "logs" not in str(path) and access(path, mode))
    (found,) = log(sipgw, gw, "logs/sipgw.log")
    told += "" if exists else "/logs"
    assert found == f"FAIL: /logs/sipgw.log: {told}; name a file that this user can write"
