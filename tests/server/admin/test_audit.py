"""The record of changes."""

import errno
import json
import os
from pathlib import Path

import pytest

from sipgw.server.audit import Actor, audited, command_line_user, path_of, user_name
from sipgw.server.store_file import StoreError

OPS = Actor("api", "token ops", "10.1.2.3:5000")


def lines(store: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path_of(store).read_text("utf-8").splitlines()]


def test_a_change_has_a_line_with_what_came_of_it(tmp_path: Path) -> None:
    store = tmp_path / "gw.db"
    with audited(store, OPS, "endpoint.new", "sip:ü@contoso.com") as entry:
        entry.after = {"pool": "a\nb"}
    with audited(store, command_line_user(), "pool.state", "pc.contoso.com") as entry:
        entry.before, entry.after = {"path": tmp_path}, None
    first, second = [line for line in lines(store) if line["state"] == "done"]
    assert first["who"] == {"via": "api", "name": "token ops", "peer": "10.1.2.3:5000"}
    assert (first["what"], first["subject"], first["before"]) == ("endpoint.new", "sip:ü@contoso.com", None)
    assert first["after"] == {"pool": "a\nb"}
    assert str(first["when"]).endswith("Z")
    assert (second["before"], second["after"]) == ({"path": str(tmp_path)}, None)
    assert path_of(store).stat().st_mode & 0o777 == 0o600


def test_what_is_about_to_be_changed_is_on_record_before(tmp_path: Path) -> None:
    """So that a change is known of that was made just before the power went off."""
    store = tmp_path / "gw.db"
    with audited(store, OPS, "user.disable", "sip:a@contoso.com"):
        (begun,) = lines(store)
    assert (begun["state"], begun["what"], begun["subject"]) == ("begun", "user.disable", "sip:a@contoso.com")
    assert begun["who"] == {"via": "api", "name": "token ops", "peer": "10.1.2.3:5000"}
    assert "before" not in begun and "after" not in begun
    assert [(line["state"], line["id"] == begun["id"]) for line in lines(store)] == [("begun", True), ("done", True)]
    with audited(store, OPS, "user.disable", "sip:a@contoso.com"):
        pass
    assert lines(store)[2]["id"] != begun["id"]


def test_a_change_that_fails_says_so(tmp_path: Path) -> None:
    store = tmp_path / "gw.db"
    with pytest.raises(ValueError, match="no such"), audited(store, OPS, "x", "y"):
        raise ValueError("no such thing")
    begun, failed = lines(store)
    assert (begun["state"], failed["state"], failed["reason"]) == ("begun", "failed", "no such thing")
    assert failed["id"] == begun["id"]


def test_without_a_record_nothing_is_changed(tmp_path: Path) -> None:
    changed = False
    with pytest.raises(StoreError, match="No such file"), audited(tmp_path / "none" / "gw.db", OPS, "x", "y"):
        changed = True
    assert not changed


def test_without_room_for_a_record_nothing_is_changed(tmp_path: Path) -> None:
    store = tmp_path / "gw.db"
    path_of(store).symlink_to("/dev/full")
    changed = False
    with pytest.raises(StoreError, match=r"No space left.*without it nothing"), audited(store, OPS, "x", "y"):
        changed = True
    assert not changed


def test_a_record_that_cannot_be_written_any_more_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, line: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = tmp_path / "gw.db"
    with pytest.raises(StoreError, match="made, but not recorded"), audited(store, OPS, "x", "y"):
        monkeypatch.setattr("sipgw.server.audit.os.write", full)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="why"), audited(store, OPS, "x", "y"):
        monkeypatch.setattr("sipgw.server.audit.os.write", full)
        raise ValueError("why")


def test_it_may_be_moved_away_between_changes(tmp_path: Path) -> None:
    store = tmp_path / "gw.db"
    for name in ("one", "two"):
        with audited(store, OPS, name, ""):
            pass
        path_of(store).rename(tmp_path / name)
    texts = [(tmp_path / name).read_text("utf-8").splitlines() for name in ("one", "two")]
    assert [[json.loads(line)["what"] for line in text] for text in texts] == [["one", "one"], ["two", "two"]]


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "somebody-else")
    assert command_line_user().name == f"{user_name(os.getuid())} (somebody-else by sudo)"
    monkeypatch.delenv("SUDO_USER")
    assert command_line_user() == Actor("command line", user_name(os.getuid()))
    assert user_name(4_000_000) == "uid 4000000"
    assert [str(Actor("api", "", "127.0.0.1:5")), str(Actor("signal")), str(OPS)] == [
        *("127.0.0.1:5", "signal", "token ops")
    ]
