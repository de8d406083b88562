"""`sipgw pool-state`, `sipgw completion`, and what a shell suggests."""

import json
from pathlib import Path

import pytest

from sipgw.management.cli import main
from tests.management.conftest import Run, edit

SERVERS = '["tcp:127.0.0.1:1", "tcp:127.0.0.1:2", "tcp:chat.contoso.com:3"]\nstandby = ["tcp:chat.contoso.com:3"]'


@pytest.fixture(autouse=True)
def three_servers(gw: Path) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', SERVERS))


def roles(sipgw: Run) -> str:
    (pool,) = json.loads(sipgw("pool-state", "get", "--json").out)
    return " ".join(one["role"] for one in pool["servers"])


def test_the_surface_of_the_cmdlets(sipgw: Run) -> None:
    assert sipgw("pool-state", "get").out.splitlines() == [
        "pc.contoso.com: Normal, as configured",
        "  active   tcp:127.0.0.1:1",
        "  active   tcp:127.0.0.1:2",
        "  standby  tcp:chat.contoso.com:3",
    ]
    done = sipgw("pool-state", "set", "PC.contoso.com", "--remove", "127.0.0.1:1", "--add", "chat.contoso.com")
    assert done.status == 0 and done.out.splitlines()[0] == "pc.contoso.com: Normal, set by command"
    assert roles(sipgw) == "drained active active"
    sipgw("pool-state", "set", "pc.contoso.com", "--swap")
    assert roles(sipgw) == "active drained drained"
    sipgw("pool-state", "set", "pc.contoso.com", "--only", "127.0.0.1")
    assert roles(sipgw) == "active active standby", "as configured"
    sipgw("pool-state", "set", "pc.contoso.com", "--none")
    assert roles(sipgw) == "drained drained drained"
    (told,) = json.loads(sipgw("pool-state", "set", "pc.contoso.com", "--failed-over", "--json").out)
    assert (told["state"], told["as_configured"]) == ("FailedOver", False)
    assert roles(sipgw) == "drained drained active"
    sipgw("pool-state", "set", "pc.contoso.com", "--normal")
    assert roles(sipgw) == "active active standby"


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("get", "pc9.contoso.com"), 1, "pc9.contoso.com is not a configured pool (pools: pc.contoso.com)"),
        (("set", "pc9.contoso.com", "--swap"), 1, "pc9.contoso.com is not a configured pool (pools: pc.contoso.com)"),
        (("set", "pc.contoso.com"), 2, "say one of --add and --remove, --only, --none, --swap"),
        (("set", "pc.contoso.com", "--swap", "--add", "x"), 2, "say one of"),
        (("set", "pc.contoso.com", "--add", "chat9"), 1, 'no pool has a server "chat9" (servers: tcp:127.0.0.1:1'),
    ],
)
def test_mistakes(sipgw: Run, arguments: tuple[str, ...], status: int, text: str) -> None:
    found = sipgw("pool-state", *arguments)
    assert (found.status, found.out) == (status, "")
    assert text in found.err and found.err.count("\n") == 1


def test_changes_are_recorded(sipgw: Run, tmp_path: Path) -> None:
    sipgw("pool-state", "set", "pc.contoso.com", "--remove", "127.0.0.1:1")
    sipgw("endpoint", "new", "--sip-address", "a@contoso.com", "--pool-fqdn", "pc.contoso.com")
    sipgw("endpoint", "remove", "a@contoso.com")
    lines = [json.loads(line) for line in (tmp_path / "sipgw.db-audit.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["state"] == "done"]
    assert [line["what"] for line in lines] == ["pool-state.set", "endpoint.new", "endpoint.remove"]
    assert lines[0]["after"]["inactive"] == ["tcp:127.0.0.1:1"]
    assert lines[2]["before"]["pool_fqdn"] == "pc.contoso.com"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(sipgw: Run, shell: str) -> None:
    found = sipgw("completion", shell, config=None)
    assert found.status == 0
    assert "_SIPGW_COMPLETE" in found.out and "sipgw" in found.out


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        ("sipgw pool-st", ["pool-state"]),
        ("sipgw cmdlet New-", ["New-CsPersistentChatEndpoint"]),
        ("sipgw endpoint remove --config gw.toml sip:o", ["sip:ocschat@contoso.com"]),
        ("sipgw pool-state set --config gw.toml p", ["pc.contoso.com"]),
        ("sipgw pool-state set --config missing.toml p", []),
    ],
)
def test_suggestions(
    words: str,
    suggested: list[str],
    gw: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(gw.parent)
    monkeypatch.setenv("_SIPGW_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert [line.partition(",")[2] for line in capsys.readouterr().out.splitlines() if line] == suggested
