"""Entries of the file of users as text: added and cut out without touching what else somebody wrote there."""

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sipgw.auth.accounts import Account
from sipgw.auth.password import ALGORITHMS
from sipgw.config.load import ConfigError

_HEADER = re.compile(r"(?m)^[ \t]*\[")
_USER = re.compile(r"(?m)^[ \t]*\[\[[ \t]*user[ \t]*\]\]")
_ABOUT = """\
# Users of sipgw, written by `sipgw user add`. Who can read nt_hash can sign in with it: keep this file to its owner.

# What the ha1 below were made for: the first of gateway.domains.
realm = {realm}
"""


def entry(account: Account, password: str | None = None) -> str:
    """An account as an entry; with its password in clear when that is given."""
    lines = ["[[user]]", f"uri = {_quoted(account.uri)}", f"names = [{', '.join(map(_quoted, account.names))}]"]
    if password is not None:
        lines.append(f"password = {_quoted(password)}")
    if password is None and account.nt_hash:
        lines.append(f'nt_hash = "{account.nt_hash.hex()}"')
    if password is None and account.ha1:
        ha1 = ", ".join(f'{name} = "{account.ha1[name]}"' for name in ALGORITHMS if name in account.ha1)
        lines.append(f"ha1 = {{ {ha1} }}")
    if not account.enabled:
        lines.append("enabled = false")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes, of which TOML knows all but the slash that is never written."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def with_entry(text: str, account: Account, realm: str, password: str | None = None) -> str:
    """The file's text with one more entry, and with the realm where it had none."""
    if "realm" not in tomllib.loads(text):
        text = f"{_ABOUT.format(realm=_quoted(realm))}\n{text}" if text.strip() else _ABOUT.format(realm=_quoted(realm))
    return f"{text.rstrip()}\n\n{entry(account, password)}"


def without_entry(text: str, at: int, path: Path) -> str:
    """The file's text without its entry number `at`. Raises ConfigError where that is not written as [[user]]."""
    wanted = _without(tomllib.loads(text), at)
    for found in _USER.finditer(text):  # one of them may stand in a text of several lines, so they are not counted
        cut = _cut(text, found)
        with suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(cut) == wanted:
                return cut
    raise ConfigError([f"{path}: user[{at}]: is not written as [[user]] is; remove it in an editor"])


def _cut(text: str, header: re.Match[str]) -> str:
    """Without what stands from a header on until the next."""
    following = _HEADER.search(text, header.end())
    rest = text[_before_comments(text, following.start()) :] if following else ""
    return f"{text[: header.start()].rstrip()}\n\n{rest.lstrip()}".strip() + "\n"


def _without(data: Mapping[str, Any], at: int) -> dict[str, Any]:
    users = [user for position, user in enumerate(data["user"]) if position != at]
    rest = {key: value for key, value in data.items() if key != "user"}
    return {**rest, "user": users} if users else rest


def _before_comments(text: str, at: int) -> int:
    """Where the comments begin that stand right before a header: they belong to what follows."""
    lines = text[:at].splitlines(keepends=True)
    while lines and lines[-1].lstrip().startswith("#"):
        at -= len(lines.pop())
    return at


@contextmanager
def editing(path: Path) -> Iterator[None]:
    """Keep other commands from the file meanwhile."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def replace_file(path: Path, text: str) -> None:
    """Another file under the same name, whole or not at all, with the owner and the permissions of the old one; a new
    one is for its owner's eyes only. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if path.exists():
                before = path.stat()
                with suppress(PermissionError):  # who does not own it cannot give it away either
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
