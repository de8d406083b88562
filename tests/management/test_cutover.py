"""The steps of a cut-over: what each finds, does and says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sipgw.management import cutover_steps
from sipgw.management.cmdlets.accounts import disable, enable, read_accounts
from sipgw.management.cmdlets.store_backend import StoreBackend
from sipgw.management.cutover_steps import Verdict
from sipgw.registry import Endpoint
from sipgw.server.room_store import RoomStore
from sipgw.server.store import StoreError
from tests.groupchat.talk import LOBBY
from tests.management.cutover_site import DONE, HEARD, OCSCHAT, POOL, Site, port, site
from tests.server.test_room_archive import RECORDS, said

__all__ = ["port", "site"]


def test_all_of_it_and_once_more(site: Site) -> None:
    assert site.run(display_name="Legacy")
    assert site.states == DONE
    assert site.endpoints == [Endpoint(OCSCHAT, POOL, "Legacy")]
    assert not site.enabled
    assert site.users.read_text("utf-8").count("enabled = false") == 1
    assert site.run()
    assert site.states == dict.fromkeys(DONE, "ok")
    entry = site.journal.find(OCSCHAT)
    assert entry is not None and entry.finished and entry.endpoint and entry.user


def test_a_dry_run_looks_at_everything_and_changes_nothing(site: Site) -> None:
    site.sign_in("10.0.0.1:5060")
    before = {path.name: path.read_bytes() for path in site.folder.iterdir() if path.suffix == ".toml"}
    assert not site.run(dry_run=True, moved=False)
    assert site.states == {**dict.fromkeys(DONE, "would"), "lookup": "FAIL", "pool": "ok"}
    assert site.asked == []
    assert {path.name: path.read_bytes() for path in site.folder.iterdir() if path.suffix == ".toml"} == before
    assert not site.journal.path.exists()
    assert site.endpoints == []


def test_lookup_services_that_are_signed_in(site: Site) -> None:
    site.sign_in("10.0.0.1:5060", "10.0.0.2:5060", "10.0.0.3:5060")
    assert not site.run()
    assert site.states == {"lookup": "FAIL"}
    told = site.said("lookup")
    assert told.text == (
        f"3 services are still signed in as {OCSCHAT}: tcp:10.0.0.1:5060, tcp:10.0.0.2:5060, tcp:10.0.0.3:5060"
    )
    assert "gone in 300 s" in told.remedy
    assert site.enabled


def test_registrations_that_have_run_out_do_not_count(site: Site) -> None:
    site.sign_in("10.0.0.1:5060", expires=-1.0)
    assert site.run()


@pytest.mark.parametrize(("answer", "state"), [(True, "done"), (False, "FAIL"), (None, "FAIL")])
def test_the_user_is_disabled_when_that_is_wanted(site: Site, answer: bool | None, state: str) -> None:
    site.answer = answer
    assert site.run(disable_user=False) == bool(answer)
    assert site.said("user").state == state
    assert "ocschat" in site.asked[0]
    assert site.enabled != bool(answer)
    if not answer:
        assert "--disable-user" in site.said("user").remedy


def test_users_that_cannot_be_read_do_not_keep_it_waiting(site: Site) -> None:
    """The endpoint is refused by whoever can read them."""
    site.users.write_text("[[user]]\nuri = 5\n", "utf-8")
    assert site.run()
    assert site.said("user").state == "note"
    assert "users.toml" in site.said("user").text


def test_a_user_in_a_directory_is_for_its_own_tools(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    held = read_accounts(site.config)
    monkeypatch.setattr(cutover_steps, "read_accounts", lambda config: held)
    text = site.path.read_text("utf-8").replace('"users.toml"', '"ldap://127.0.0.1:1"')
    site.path.write_text(f'{text}[directory]\nbase = "dc=contoso,dc=com"\n', "utf-8")
    assert not site.run()
    assert site.said("user").state == "FAIL"
    assert "directory's own tools" in site.said("user").remedy


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """A legacy pool's data and the new one's, which lacks a message."""
    paths = {"legacy_data": tmp_path / "legacy.db", "pool_data": tmp_path / "new.db"}
    for path, records in zip(paths.values(), (RECORDS, [one for one in RECORDS if one != said(5)]), strict=True):
        with RoomStore(path) as store:
            store.apply(records)
    return paths


def test_data_that_was_not_moved_is_named(site: Site, data: dict[str, Any]) -> None:
    assert not site.run(**data, moved=True)
    told = site.said("data")
    assert told.state == "FAIL"
    assert f"{LOBBY.name} (1 of 5 messages)" in told.text
    assert told.remedy.startswith("sipgw pool export rooms.zip --data ")
    with RoomStore(data["pool_data"]) as pool:
        pool.apply([replace(said(5), chat_id=5)])
        assert site.run(**data), "while the new pool runs"
    assert "2 rooms and 6 messages" in site.said("data").text


def test_data_that_cannot_be_read(site: Site, data: dict[str, Any], tmp_path: Path) -> None:
    assert not site.run(legacy_data=data["legacy_data"], pool_data=site.path)
    assert site.said("data").text == f"room store {site.path}: not a database; name another file"
    assert "same line again" in site.said("data").remedy


@pytest.mark.parametrize("answer", [True, False, None])
def test_otherwise_it_is_asked_once(site: Site, answer: bool | None) -> None:
    site.answer = answer
    assert site.run(moved=False) == bool(answer)
    assert len(site.asked) == 1 and "exported" in site.asked[0]
    if answer:
        assert site.run(moved=False)
        assert len(site.asked) == 1
    else:
        assert "--assume-data-moved" in site.said("data").remedy


def test_a_pool_that_is_not_there(site: Site) -> None:
    """As by a typing error: it is told before anything is changed, and does not stand in the way of the right line."""
    before = site.users.read_text("utf-8")
    for dry_run in (True, False):
        assert not site.run(pool_fqdn="pcpol.contoso.com", dry_run=dry_run)
        told = site.said("pool")
        assert told.text == (
            f"pcpol.contoso.com is not a configured pool; did you mean {POOL}? (pools: {POOL}, other.contoso.com)"
        )
        assert "correct --pool-fqdn, or add [[pool]]" in told.remedy
    assert site.states == {"pool": "FAIL"}
    assert site.users.read_text("utf-8") == before and site.endpoints == []
    assert not site.journal.path.exists()
    assert site.run()


def test_what_is_foreseen_is_told_all_at_once_and_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutover_steps, "read_running", lambda path: None)
    site.path.write_text(site.path.read_text("utf-8").replace("[gateway]", '[gateway]\ndomains = ["x.test"]'), "utf-8")
    site.users.write_text("", "utf-8")
    assert not site.run(pool_fqdn="none.contoso.com")
    assert site.states == {"pool": "FAIL", "conversation": "FAIL"}
    assert not site.run()
    assert site.states == {"endpoint": "FAIL", "conversation": "FAIL"}
    assert site.said("endpoint").text == f"{OCSCHAT}: the domain contoso.com is not served here (domains: x.test)"
    assert "gateway.domains" in site.said("endpoint").remedy or "add the domain" in site.said("endpoint").remedy
    assert not site.journal.path.exists()


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_address_of_a_pool_itself(site: Site, dry_run: bool) -> None:
    text = site.path.read_text("utf-8").replace(f'fqdn = "{POOL}"', f'fqdn = "{POOL}"\nservice_uri = "{OCSCHAT}"')
    site.path.write_text(text, "utf-8")
    site.users.write_text("", "utf-8")
    assert not site.run(dry_run=dry_run)
    assert site.said("endpoint").text == f"{OCSCHAT} is the contact object of pool {POOL} itself"


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_gateway_that_asks_for_passwords_needs_accounts(site: Site, dry_run: bool) -> None:
    site.path.write_text(site.path.read_text("utf-8").replace("[auth]", '[auth]\nschemes = ["ntlm"]'), "utf-8")
    assert not site.run(dry_run=dry_run)
    assert site.said("conversation").text == "a login is needed here (ntlm)"
    assert "--sender-account and --receiver-account" in site.said("conversation").remedy
    assert site.enabled
    assert site.run(dry_run=dry_run, has_accounts=True)
    peers = '[gateway]\ntrusted_peers = ["127.0.0.1/32"]'
    site.path.write_text(site.path.read_text("utf-8").replace("[gateway]", peers), "utf-8")
    assert site.run(dry_run=dry_run), "whoever is trusted is not asked"


def test_a_pool_that_is_down(site: Site, port: int) -> None:
    site.path.write_text(site.path.read_text("utf-8").replace(f"127.0.0.1:{port}", "127.0.0.1:9"), "utf-8")
    assert not site.run()
    assert "Connection refused" in site.said("pool").text
    assert "start Persistent Chat" in site.said("pool").remedy
    assert site.endpoints == []


def test_a_pool_with_a_server_that_is_down(site: Site, port: int) -> None:
    servers = f'"tcp:127.0.0.1:{port}", "tcp:127.0.0.1:9"'
    site.path.write_text(site.path.read_text("utf-8").replace(f'"tcp:127.0.0.1:{port}"', servers), "utf-8")
    assert site.run()
    assert site.said("pool").state == "note"
    assert "Connection refused" in site.said("pool").text


def test_an_endpoint_that_leads_elsewhere(site: Site) -> None:
    StoreBackend(site.config).add_endpoint(Endpoint(OCSCHAT, "other.contoso.com"))
    assert not site.run()
    assert site.said("endpoint").remedy == f"sipgw endpoint remove {OCSCHAT}"
    assert [one.pool_fqdn for one in site.endpoints] == ["other.contoso.com"]


def test_an_endpoint_that_is_declared(site: Site) -> None:
    table = f'[[endpoint]]\nsip_address = "{OCSCHAT}"\npool_fqdn = "other.contoso.com"\n'
    site.path.write_text(f"{site.path.read_text('utf-8')}{table}", "utf-8")
    assert not site.run()
    assert "change its [[endpoint]]" in site.said("endpoint").remedy


def test_an_endpoint_that_was_there_is_not_taken_back(site: Site) -> None:
    StoreBackend(site.config).add_endpoint(Endpoint(OCSCHAT, POOL))
    assert site.run()
    assert site.said("endpoint").state == "ok"
    assert not site.run(back=True), "Group Chat cannot have the address"
    assert site.said("endpoint").text == f"{OCSCHAT} leads to {POOL}, which this cut-over has not made"
    assert len(site.endpoints) == 1 and site.journal.find(OCSCHAT) is not None
    StoreBackend(site.config).remove_endpoint(OCSCHAT)
    assert site.run(back=True)
    assert site.enabled


def test_an_endpoint_that_was_declared_since_is_left_to_the_file(site: Site) -> None:
    site.run()
    table = f'[[endpoint]]\nsip_address = "{OCSCHAT}"\npool_fqdn = "{POOL}"\n'
    site.path.write_text(f"{site.path.read_text('utf-8')}{table}", "utf-8")
    assert not site.run(back=True)
    assert site.said("endpoint").text == f"{OCSCHAT} is an endpoint of the configuration file, to {POOL}"
    assert "[[endpoint]]" in site.said("endpoint").remedy
    assert site.states == {"endpoint": "FAIL"}


def test_a_finished_one_is_not_forgotten_for_another_pool(site: Site) -> None:
    """What it has changed has to be known for going back."""
    site.run()
    with pytest.raises(
        StoreError, match=f"a cut-over of {OCSCHAT} to {POOL} is finished; take it back with --rollback"
    ):
        site.run(pool_fqdn="other.contoso.com")
    assert site.run(back=True)
    assert site.endpoints == [] and site.enabled


def test_one_that_has_changed_nothing_makes_room(site: Site) -> None:
    site.sign_in("10.0.0.1:5060")
    assert not site.run(pool_fqdn="other.contoso.com")
    entry = site.journal.find(OCSCHAT)
    assert entry is not None and entry.pool_fqdn == "other.contoso.com"
    site.sign_in("10.0.0.1:5060", expires=-1.0)
    assert site.run()


def test_a_user_whom_another_has_disabled_is_told(site: Site) -> None:
    disable(site.users, site.config, OCSCHAT)
    assert site.run()
    assert not site.run(back=True)
    assert site.states == {"endpoint": "done", "user": "FAIL"}
    assert "who is disabled, and not by this cut-over" in site.said("user").text
    assert f"sipgw user enable {OCSCHAT}" in site.said("user").remedy
    enable(site.users, site.config, OCSCHAT)
    assert site.run(back=True)
    assert not site.journal.path.exists()


def test_users_that_cannot_be_read_do_not_keep_it_from_going_back(site: Site) -> None:
    disable(site.users, site.config, OCSCHAT)
    site.run()
    site.users.write_text("[[user]]\nuri = 5\n", "utf-8")
    assert site.run(back=True)
    assert site.said("user").state == "note"


def test_a_transaction_that_fails(site: Site) -> None:
    site.heard = Verdict("FAIL", "no answer", "look at the pool")
    assert not site.run()
    assert site.states["endpoint"] == "done" and site.states["conversation"] == "FAIL"
    site.heard = HEARD
    assert site.run()
    assert site.states["endpoint"] == "ok"


def test_no_gateway_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutover_steps, "read_running", lambda path: None)
    assert not site.run()
    assert site.said("conversation").remedy == f"start it: sipgw serve --config {site.path}"
