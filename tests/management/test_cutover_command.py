"""`sipgw cutover`, `sipgw pool export|import|compare` and `sipgw lookup` as command lines."""

import importlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from sipgw.config import load_config
from sipgw.groupchat.rooms import room_named
from sipgw.management import cutover_steps
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.store_backend import StoreBackend
from sipgw.management.cutover import _ask, _Conversation
from sipgw.management.lookup import default_channels, parse_via
from sipgw.server.room_store import RoomStore
from tests.management.conftest import Run
from tests.server.test_room_archive import RECORDS, said

cutover = importlib.import_module("sipgw.management.cutover")
CUTOVER = ("cutover", "--sip-address", "sip:chat@contoso.com")


@pytest.fixture
def pool(sipgw: Run) -> Callable[..., tuple[int, str, str]]:
    """`sipgw pool ...`, which needs no configuration."""
    return lambda *arguments: sipgw("pool", *map(str, arguments), config=None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with RoomStore(tmp_path / "old.db") as store:
        store.apply(RECORDS)
    return tmp_path / "old.db"


Pool = Callable[..., tuple[int, str, str]]


# cutover


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a gateway ran."""
    monkeypatch.setattr(cutover_steps, "read_running", lambda path: object())


def test_without_a_gateway_nothing_is_begun(sipgw: Run, gw: Path) -> None:
    status, out, err = sipgw(*CUTOVER, "--pool-fqdn", "pc.contoso.com", "--assume-data-moved")
    assert (status, err) == (1, "")
    assert out.startswith("[6/6] FAIL  synthetic transaction: no gateway runs on this store\n")
    assert f"what to do: start it: sipgw serve --config {gw}" in out


@pytest.mark.usefixtures("running")
def test_what_stands_in_the_way_has_a_remedy(sipgw: Run) -> None:
    status, out, err = sipgw(*CUTOVER, "--pool-fqdn", "pc.contoso.com", "--assume-data-moved")
    lines = out.splitlines()
    assert (status, err) == (1, "")
    assert lines[0] == "[1/6] ok    Lookup services: nobody is signed in as sip:chat@contoso.com"
    assert lines[3].startswith("[4/6] FAIL  new pool: tcp:127.0.0.1:1: Connection refused")
    assert lines[4] == "            what to do: start Persistent Chat; `sipgw check` tells more"
    assert lines[5].startswith("Not finished.")


@pytest.mark.usefixtures("running")
def test_machines_get_json(sipgw: Run) -> None:
    status, out, err = sipgw(*CUTOVER, "--pool-fqdn", "PC.contoso.com", "--assume-data-moved", "--json", "--dry-run")
    told = json.loads(out)
    assert (status, err, told["good"], told["dry_run"]) == (1, "", False, True)
    assert (told["sip_address"], told["pool_fqdn"]) == ("sip:chat@contoso.com", "pc.contoso.com")
    assert [step["name"] for step in told["steps"]] == ["lookup", "user", "data", "pool", "endpoint", "conversation"]
    assert [step["state"] for step in told["steps"]] == ["ok", "ok", "ok", "FAIL", "would", "would"]
    assert all(set(step) == {"name", "state", "text", "remedy"} for step in told["steps"])


@pytest.mark.usefixtures("running")
def test_without_a_terminal_nobody_is_asked(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    status, out, _ = sipgw(*CUTOVER, "--pool-fqdn", "pc.contoso.com")
    assert status == 1 and "--assume-data-moved" in out


def test_an_address_that_is_an_endpoint_of_the_file(sipgw: Run) -> None:
    line = ("cutover", "--sip-address", "OCSChat@contoso.com", "--pool-fqdn", "pc.contoso.com", "--dry-run")
    out = sipgw(*line, "--assume-data-moved").out
    assert "endpoint: sip:ocschat@contoso.com leads to pc.contoso.com already" in out


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        ((), 2, "Missing option '--pool-fqdn'"),
        (("--pool-fqdn", "pc.contoso.com", "--legacy-data", "gw.toml"), 2, "gw.toml"),
        (("--rollback",), 1, "no cut-over of sip:chat@contoso.com is known; `sipgw endpoint remove` removes others"),
        (("--pool-fqdn", "nowhere.contoso.com", "--assume-data-moved"), 1, ""),
        (("--pool-fqdn", "x", "--sender", "bob"), 2, "bob"),
        (("--pool-fqdn", "http://pc.contoso.com"), 2, '"http://pc.contoso.com" is not a domain name'),
        (("--pool-fqdn", ""), 2, "Missing option '--pool-fqdn'"),
        (("--pool-fqdn", "x", "--sender-account", "bob"), 2, "--sender-account and --receiver-account go together"),
        (("--pool-fqdn", "x", "--receiver-account", "bob"), 2, "--sender-account and --receiver-account go together"),
    ],
)
def test_what_is_wrong_with_the_line(sipgw: Run, more: tuple[str, ...], status: int, told: str) -> None:
    outcome = sipgw(*CUTOVER, *more)
    assert outcome.status == status
    assert told in outcome.err
    assert outcome.err.count("\n") == (1 if told else 0)


def test_both_data_files_or_none(sipgw: Run, data: Path) -> None:
    outcome = sipgw(*CUTOVER, "--pool-fqdn", "pc.contoso.com", "--legacy-data", str(data))
    assert outcome.status == 2 and "--legacy-data and --pool-data go together" in outcome.err


class Typed(io.StringIO):
    """A terminal at which something is typed."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_at_a_terminal_the_answer_counts(monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool) -> None:
    monkeypatch.setattr("sys.stdin", Typed(typed))
    assert _ask("Disable it?") is answer


NO_ACCOUNTS = {"sender": "", "receiver": "", "room": "", "sender_account": "", "receiver_account": ""}
ABSENT, HEARD = "404 no endpoint has this address", "Success"


@pytest.mark.parametrize(
    ("outcomes", "patience", "state", "tries"),
    [
        ([ABSENT, ABSENT, HEARD], 60.0, "ok", 3),
        (["no answer", HEARD], 60.0, "FAIL", 1),
        ([ABSENT, HEARD], -1.0, "FAIL", 1),
    ],
)
def test_a_gateway_that_follows_the_store_takes_a_moment(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[str], patience: float, state: str, tries: int
) -> None:
    """The synthetic transaction is tried again for a time, but only for that reason."""
    tried: list[str] = []

    class Fake:
        def __init__(self, backend: object, host: object, show: Callable[..., None], complain: object) -> None:
            self._show = show

        def script(self, line: str) -> bool:
            outcome = outcomes[len(tried)]
            tried.append(line)
            values = {"Latency": "00:00:00", "Error": "" if outcome == HEARD else outcome, "Diagnosis": "look"}
            self._show([Item("Output", values)])
            return outcome == HEARD

    monkeypatch.setattr(cutover, "Run", Fake)
    monkeypatch.setattr(cutover, "PAUSE", 0.0)
    monkeypatch.setattr(cutover, "PATIENCE", patience)
    talk = _Conversation("sip:chat@contoso.com", NO_ACCOUNTS, False)
    assert talk(cast(Backend, None), "sip:chat@contoso.com").state == state
    assert len(tried) == tries


def test_the_conversation_is_a_line_of_the_runbook() -> None:
    options = {"sender": "", "receiver": "sip:bob@contoso.com", "room": "R'n'D; Remove-CsUser", "sender_account": ""}
    line = _Conversation("sip:chat@contoso.com", {**options, "receiver_account": ""}, False).line
    assert line == (
        "Test-CsPersistentChatMessage -SenderSipAddress 'sip:monitor1@contoso.com'"
        " -ReceiverSipAddress 'sip:bob@contoso.com' -ContactObject 'sip:chat@contoso.com'"
        " -ChatRoomUri 'R''n''D; Remove-CsUser'"
    )
    accounts = {"sender_account": "CORP\\alice", "receiver_account": "bob"}
    line = _Conversation("sip:chat@contoso.com", {**options, **accounts}, False).line
    assert line.endswith("-Authentication 'Negotiate' -SenderCredential 'CORP\\alice' -ReceiverCredential 'bob'")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("could not sign in: a login is needed, by NTLM", "name two accounts that may sign in: --sender-account NAME"),
        (
            "the pool has no room that both could meet in",
            "make a room in the pool, or name a room that both may join: ",
        ),
        ("cmd:join was refused: 403 not a member of this chat room", "name a room that both may join: --room NAME"),
        ("no gateway runs at tcp:127.0.0.1:1: Connection refused", "start it: sipgw serve"),
        ("something else", "while saying a line; see elsewhere"),
    ],
)
def test_what_to_do_about_a_conversation_that_fails(
    error: str, remedy: str, monkeypatch: pytest.MonkeyPatch, gw: Path
) -> None:
    class Failing:
        def __init__(self, backend: object, host: object, write: Callable[[object], None], complain: object) -> None:
            self._write = write

        def script(self, line: str) -> bool:
            self._write([{"Error": error, "Diagnosis": "while saying a line; see elsewhere"}])
            return False

    monkeypatch.setattr("sipgw.management.cutover.Run", Failing)
    options = {"sender": "", "receiver": "", "room": "", "sender_account": "", "receiver_account": ""}
    verdict = _Conversation("sip:chat@contoso.com", options, False)(
        StoreBackend(load_config(gw)), "sip:chat@contoso.com"
    )
    assert (verdict.state, verdict.text) == ("FAIL", error) and verdict.remedy.startswith(remedy)


# data


def test_export_import_compare(pool: Pool, tmp_path: Path, data: Path) -> None:
    archive, new = tmp_path / "rooms.zip", tmp_path / "new.db"
    assert pool("export", archive, "--data", data) == (
        0,
        f"{archive}: 2 rooms, 2 joined, 1 preferences, 6 messages\n",
        "",
    )
    status, out, _ = pool("import", archive, "--data", new, "--what-if")
    assert status == 0 and out.endswith(f"{new}: what would be done\n")
    assert not new.exists()
    status, out, _ = pool("import", archive, "--data", new, "--report", tmp_path / "report.json")
    assert status == 0
    assert ["messages", "6", "6", "0", "0", "0", "0"] in [line.split() for line in out.splitlines()]
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["tallies"]["rooms"] == {"given": 2, "new": 2, "there": 0, "replaced": 0, "kept": 0, "beyond": 0}
    status, out, _ = pool("import", archive, "--data", new)
    assert status == 0 and out.endswith("nothing to do, all of it is there\n")
    status, out, _ = pool("compare", data, new)
    assert status == 0 and out.endswith(f"{new} has all of {data}: 2 rooms, 6 messages\n")


def test_a_report_that_cannot_be_written_is_told_before_anything_is_imported(
    pool: Pool, tmp_path: Path, data: Path
) -> None:
    pool("export", tmp_path / "rooms.zip", "--data", data)
    into = ("import", tmp_path / "rooms.zip", "--data", tmp_path / "new.db")
    status, out, err = pool(*into, "--report", tmp_path / "none" / "r.json")
    assert (status, out) == (1, "") and "r.json" in err and err.count("\n") == 1
    assert not (tmp_path / "new.db").exists()
    report = tmp_path / "r.json"
    report.write_text("of before", "utf-8")
    status, *_ = pool("import", data, "--data", tmp_path / "new.db", "--report", report)
    assert status == 1 and report.read_text("utf-8") == "of before", "an import that fails leaves it"
    assert pool(*into, "--report", report)[0] == 0
    assert json.loads(report.read_text("utf-8"))["tallies"]["messages"]["new"] == 6
    assert not list(tmp_path.glob(".r*"))


def test_what_is_missing(pool: Pool, tmp_path: Path, data: Path) -> None:
    with RoomStore(tmp_path / "new.db") as store:
        store.apply([RECORDS[0], said(1), room_named("New", "contoso.com")])
    status, out, _ = pool("compare", data, tmp_path / "new.db")
    assert status == 1
    assert ["Lobby", "5", "1", "4", "FAIL"] in [line.split() for line in out.splitlines()]
    assert f"only in {tmp_path / 'new.db'}: New\n" in out
    status, out, _ = pool("compare", data, tmp_path / "new.db", "--json")
    told = json.loads(out)
    assert status == 1 and not told["complete"] and told["only_there"] == ["New"]


@pytest.mark.parametrize("level", ["content", "CONTENT"])
def test_levels_and_dates(pool: Pool, tmp_path: Path, data: Path, level: str) -> None:
    archive = tmp_path / "x.zip"
    status, out, _ = pool("export", archive, "--data", data, "--level", level, "--start-date", "2999-01-01")
    assert (status, out) == (0, f"{archive}: 0 messages\n")


def test_errors_are_one_line(pool: Pool, tmp_path: Path, data: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("x", "x")
    for line in (
        ("export", tmp_path / "y.zip", "--data", tmp_path / "none.db"),
        ("export", tmp_path / "none" / "y.zip", "--data", data),
        ("import", tmp_path / "x.zip", "--data", tmp_path / "new.db"),
        ("import", data, "--data", tmp_path / "new.db"),
        ("compare", data, tmp_path / "x.zip"),
    ):
        status, out, err = pool(*line)
        assert (status, out) == (1, "")
        assert err.startswith(("sipgw: ", "room store")) and err.count("\n") == 1
    with RoomStore(data):
        pool("export", tmp_path / "rooms.zip", "--data", data)
        status, _, err = pool("import", tmp_path / "rooms.zip", "--data", data)
    assert status == 1 and "another process has it open; stop that" in err


# lookup


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--services", "4"), "--services"),
        (("--services", "0"), "--services"),
        (("--channel-uri", "sip:ocschat@contoso.com"), "needs an address of its own"),
        (("--channel-uri", "sip:a@x.test", "--channel-uri", "sip:A@x.test"), "needs an address of its own"),
        (("--via", "127.0.0.1"), "127.0.0.1"),
        (("--via", "sctp:127.0.0.1:5060"), "sctp"),
    ],
)
def test_lookup_lines_that_are_wrong(sipgw: Run, more: tuple[str, ...], told: str) -> None:
    line = ("lookup", "--register", "sip:ocschat@contoso.com", "--via", "127.0.0.1:5060")
    outcome = sipgw(*line, *more, config=None)
    assert outcome.status == 2
    assert told in outcome.err and outcome.err.count("\n") == 1


def test_where_the_gateway_is() -> None:
    assert [str(parse_via(text)) for text in ("10.0.0.1:5060", "tls:[::1]:5061", "UDP:x.test:1")] == [
        "tcp:10.0.0.1:5060",
        "tls:[::1]:5061",
        "udp:x.test:1",
    ]
    assert default_channels("sip:ocschat@x.test", 2) == ("sip:ocschat-channel-1@x.test", "sip:ocschat-channel-2@x.test")
