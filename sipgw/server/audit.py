"""The record of what administrators have changed: who, what, before, after, when; JSON lines beside the store.

Whoever changes something wraps the change:

    with audited(config.store.path, command_line_user(), "endpoint.new", made.sip_address) as entry:
        store.add_endpoint(made, time.time()); entry.after = {...}

A line with the state "begun" is on the disk before the change, one with "done" or "failed" after it; both have the same
`id`. So a change is on record also when the process or the machine is gone before it could say what came of it, and
where no record can be kept the change is refused. Every line is written in one piece to the end of the file, so that
the gateway and commands share it; the file is opened anew for each, so that it may be moved away at any time.
"""

import json
import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sipgw.server.store_file import StoreError

SUFFIX = "-audit.jsonl"


@dataclass(frozen=True)
class Actor:
    """Who acts, and how: `via` is "api", "command line" or "signal". `name` is that of a token, or a user of this
    machine; "" where nobody has proved to be anybody. `peer` is where an API call came from."""

    via: str
    name: str = ""
    peer: str = ""

    def __str__(self) -> str:
        return self.name or self.peer or self.via


@dataclass
class Entry:
    """A change under way. `before` and `after` are plain values, None for nothing there."""

    who: Actor
    what: str
    subject: str
    before: Any = None
    after: Any = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def as_json(self, state: str, reason: str = "") -> str:
        """A line of it at this moment; `state` is "begun", "done", or "failed" with a reason."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        who = {"via": self.who.via, "name": self.who.name, "peer": self.who.peer}
        told = {"when": when, "who": who, "what": self.what, "subject": self.subject, "state": state, "id": self.id}
        told |= {"before": self.before, "after": self.after} if state == "done" else {}
        return json.dumps({**told, **({"reason": reason} if reason else {})}, default=str)


def path_of(store: Path) -> Path:
    """The file that belongs to a store."""
    return store.with_name(store.name + SUFFIX)


def user_name(uid: int) -> str:
    """A user of this machine as people write it; the number where it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def command_line_user() -> Actor:
    """Who runs this process, and who that was before sudo."""
    name, before = user_name(os.getuid()), os.environ.get("SUDO_USER", "")
    return Actor("command line", f"{name} ({before} by sudo)" if before and before != name else name)


@contextmanager
def audited(store: Path, who: Actor, what: str, subject: str) -> Iterator[Entry]:
    """Around a change: set `before` and `after` of what it gives. Raises StoreError when no record can be kept."""
    path = path_of(store)
    try:
        file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"audit log {path}: {error.strerror}; without it nothing is changed") from None
    try:
        entry = Entry(who, what, subject)
        _write(file, path, entry.as_json("begun"), "without it nothing is changed")
        try:
            yield entry
        except BaseException as error:
            with suppress(StoreError):  # what it failed of is to be told
                _write(file, path, entry.as_json("failed", str(error) or type(error).__name__), "")
            raise
        _write(file, path, entry.as_json("done"), "the change is made, but not recorded")
    finally:
        os.close(file)


def _write(file: int, path: Path, line: str, so: str) -> None:
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    except OSError as error:
        raise StoreError(f"audit log {path}: {error.strerror}; {so}") from None
