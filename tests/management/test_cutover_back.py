"""A cut-over taken back, and killed at any moment, gone on with or taken back."""

import errno
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from sipgw.management import cutover_steps
from sipgw.management.cmdlets import accounts
from sipgw.management.cmdlets.store_backend import StoreBackend
from sipgw.management.cutover_journal import Journal
from sipgw.management.cutover_steps import Verdict
from sipgw.registry import Endpoint
from sipgw.server.audit import path_of
from sipgw.server.store import StoreError
from tests.management.cutover_site import DONE, OCSCHAT, POOL, USERS, Site, port, site
from tests.management.killing import killed_at

__all__ = ["port", "site"]


# back


def test_back_to_where_it_was(site: Site) -> None:
    site.run()
    assert site.run(back=True, dry_run=True)
    assert site.states == {"endpoint": "would", "user": "would"}
    assert site.endpoints and not site.enabled
    assert site.run(back=True)
    assert site.states == {"endpoint": "done", "user": "done"}
    assert site.endpoints == []
    assert site.users.read_text("utf-8") == USERS
    assert not site.journal.path.exists()
    assert site.run()
    assert site.states == DONE


def test_an_endpoint_that_somebody_has_moved_since_stays(site: Site) -> None:
    site.run()
    backend = StoreBackend(site.config)
    backend.remove_endpoint(OCSCHAT)
    backend.add_endpoint(Endpoint(OCSCHAT, "other.contoso.com"))
    assert not site.run(back=True)
    assert "leads to other.contoso.com, which this cut-over has not made" in site.said("endpoint").text
    assert [one.pool_fqdn for one in site.endpoints] == ["other.contoso.com"]
    assert not site.enabled, "an address is an endpoint or a user"


def test_a_user_that_somebody_has_removed_since(site: Site) -> None:
    site.run()
    site.users.write_text(USERS[: USERS.index('\n[[user]]\nuri = "sip:ocschat')], "utf-8")
    assert not site.run(back=True)
    assert "there is no user sip:ocschat@contoso.com any more" in site.said("user").text
    assert site.endpoints == []
    assert site.journal.find(OCSCHAT) is not None


def test_one_at_a_time_for_an_address(site: Site) -> None:
    site.heard = Verdict("FAIL", "no answer")
    site.run()
    with pytest.raises(StoreError, match=f"a cut-over of {OCSCHAT} to {POOL} is under way; finish it"):
        site.journal.begin(OCSCHAT, "other.contoso.com")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"sip:ocschat@contoso.com": 5}', '{"sip:ocschat@contoso.com": {}}'])
def test_a_journal_that_is_none(site: Site, text: str) -> None:
    site.journal.path.write_text(text, "utf-8")
    with pytest.raises(StoreError, match="is no journal of cut-overs; move it away"):
        site.journal.find(OCSCHAT)


def test_every_change_is_on_record(site: Site) -> None:
    site.run()
    site.run(back=True)
    lines = [json.loads(line) for line in path_of(site.config.store.path).read_text("utf-8").splitlines()]
    done = [(line["what"], line["subject"], line["before"], line["after"]) for line in lines if line["state"] == "done"]
    on, off, made = {"enabled": True}, {"enabled": False}, {**asdict(Endpoint(OCSCHAT, POOL))}
    assert done == [
        ("user.disable", OCSCHAT, on, off),
        ("endpoint.new", OCSCHAT, None, made),
        ("endpoint.remove", OCSCHAT, made, None),
        ("user.enable", OCSCHAT, off, on),
    ]


def test_a_journal_that_cannot_be_written_is_as_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the power going off while it is written would leave nothing to go on with."""
    entry = site.journal.begin(OCSCHAT, POOL)
    site.journal.save(entry)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sipgw.management.cutover_journal.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        site.journal.save(replace(entry, user=True))
    assert site.journal.find(OCSCHAT) == entry


# killed


def killed(at: int, site: Site, back: bool = False) -> bool:
    """In a process that kills itself at the `at`-th moment before or after something is made to last. Whether it came
    to that."""
    wheres: list[tuple[Any, str]] = [
        (Journal, "_write"),
        (StoreBackend, "add_endpoint"),
        (StoreBackend, "remove_endpoint"),
        (cutover_steps, "disable"),
        (accounts, "replace_file"),
    ]
    return killed_at(at, wheres, lambda: site.run(back=back))


def copied(site: Site, to: Path) -> Site:
    """The same state once more, for another way out of it."""
    shutil.copytree(site.folder, to)
    other = Site.__new__(Site)
    other.__dict__ = {**site.__dict__, "folder": to, "path": to / site.path.name, "users": to / site.users.name}
    return other


def test_killed_at_any_step_it_is_finished_or_taken_back(tmp_path: Path, site: Site) -> None:
    at = 0
    while True:
        here = copied(site, tmp_path.parent / f"{tmp_path.name}-{at}")
        if not killed(at, here):
            break
        there = copied(here, tmp_path.parent / f"{tmp_path.name}-{at}-back")
        assert here.run(), f"killed at {at}: {here.told}"
        assert here.endpoints == [Endpoint(OCSCHAT, POOL)] and not here.enabled
        if there.journal.find(OCSCHAT) is not None:
            assert there.run(back=True)
        assert there.endpoints == [] and there.users.read_text("utf-8") == USERS, f"killed at {at}"
        assert not there.journal.path.exists()
        at += 1
    assert at > 12


def test_killed_on_the_way_back_it_is_taken_back(tmp_path: Path, site: Site) -> None:
    site.run()
    at = 0
    while True:
        here = copied(site, tmp_path.parent / f"{tmp_path.name}-{at}")
        was_killed = killed(at, here, back=True)
        if here.journal.find(OCSCHAT) is not None:
            assert here.run(back=True)
        assert here.endpoints == [] and here.users.read_text("utf-8") == USERS, f"killed at {at}"
        if not was_killed:
            break
        at += 1
    assert at >= 6
