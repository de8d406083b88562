"""`sipgw endpoint`: the cmdlets' work, for people and for machines."""

import json
import re
import time
from pathlib import Path
from queue import Queue

import pytest

from sipgw.server.store import Store
from tests.management.conftest import Run

NEW = ("endpoint", "new", "--pool-fqdn", "pc.contoso.com", "--sip-address")
MADE = {
    "sip_address": "sip:chat2@contoso.com",
    "pool_fqdn": "pc.contoso.com",
    "display_name": "New chat",
    "declared": False,
    "enabled": True,
}


def addresses(sipgw: Run) -> list[str]:
    return [one["sip_address"] for one in json.loads(sipgw("endpoint", "get", "--json").out)]


def test_new_get_remove(sipgw: Run) -> None:
    made = sipgw(*NEW, "SIP:Chat2@Contoso.com", "--display-name", "New chat")
    assert made == (0, "sip:chat2@contoso.com now leads to pc.contoso.com\n", "")
    assert addresses(sipgw) == ["sip:ocschat@contoso.com", "sip:chat2@contoso.com"]
    assert sipgw("endpoint", "remove", "new chat") == (0, "sip:chat2@contoso.com is removed\n", "")
    assert addresses(sipgw) == ["sip:ocschat@contoso.com"]


def test_json(sipgw: Run) -> None:
    made = sipgw(*NEW, "chat2@contoso.com", "--display-name", "New chat", "--json")
    assert json.loads(made.out) == MADE
    assert json.loads(sipgw("endpoint", "get", "CHAT2@contoso.com", "--json").out) == [MADE]
    assert json.loads(sipgw("endpoint", "remove", "chat2@contoso.com", "--json").out) == MADE


def test_table(sipgw: Run) -> None:
    sipgw(*NEW, "chat2@contoso.com", "--display-name", "[bold]New")
    lines = [line.split() for line in sipgw("endpoint", "get").out.splitlines()]
    assert lines == [
        ["address", "pool", "display", "name", "made", "in"],
        ["sip:ocschat@contoso.com", "pc.contoso.com", "Old", "chat", "the", "file"],
        ["sip:chat2@contoso.com", "pc.contoso.com", "[bold]New", "the", "store"],
    ]


def test_table_keeps_long_names_whole(sipgw: Run) -> None:
    name = "x" * 200
    sipgw(*NEW, "chat2@contoso.com", "--display-name", name)
    assert name in sipgw("endpoint", "get", "chat2@contoso.com").out


def test_asking_makes_no_file(sipgw: Run, tmp_path: Path) -> None:
    assert addresses(sipgw) == ["sip:ocschat@contoso.com"]
    assert not (tmp_path / "sipgw.db").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*NEW, "ocschat@contoso.com"), "sip:ocschat@contoso.com exists already, declared in the configuration file"),
        ((*NEW, "chat2"), '"chat2" is not of the form sip:user@domain'),
        ((*NEW, "a@fabrikam.com"), "the domain fabrikam.com is not served here (domains: contoso.com)"),
        ((*NEW, "a@contoso.com", "--pool-fqdn", "x.y"), "x.y is not a configured pool (pools: pc.contoso.com)"),
        ((*NEW, "a@contoso.com", "--display-name", "a\nb"), "a display name is one line"),
        (("endpoint", "get", "nobody"), 'no endpoint has the address or display name "nobody"'),
        (("endpoint", "remove", "nobody"), 'no endpoint has the address or display name "nobody"'),
        (("endpoint", "remove", "old chat"), "is declared in the configuration file; remove it there"),
    ],
)
def test_mistakes(sipgw: Run, arguments: tuple[str, ...], text: str) -> None:
    found = sipgw(*arguments)
    assert found.status == 1
    assert found.out == ""
    assert found.err.startswith("sipgw: ") and text in found.err
    assert found.err.count("\n") == 1


def test_twice(sipgw: Run) -> None:
    sipgw(*NEW, "chat2@contoso.com")
    assert "exists already, in the store" in sipgw(*NEW, "Chat2@contoso.com").err


def test_it_works_beside_a_running_gateway(sipgw: Run, tmp_path: Path) -> None:
    """Which sees the change, and whose signed-in users keep their addresses."""
    gateway = Store.open(tmp_path / "sipgw.db")
    seen = gateway.data_version()
    answers: Queue[Exception | None] = Queue()
    row = ("bob@contoso.com", "sip:10.0.0.1", "", 0, "", 1.0, time.time() + 600, "c", 1, "", "tcp:10.0.0.1:1", "", 0)
    gateway.write_bindings([row], [], answers.put)
    assert answers.get(timeout=10) is None
    assert sipgw(*NEW, "chat2@contoso.com").status == 0
    assert gateway.data_version() != seen
    assert [one.sip_address for one in gateway.load_endpoints()] == ["sip:chat2@contoso.com"]
    refused = sipgw(*NEW, "bob@contoso.com")
    assert refused.status == 1
    left = re.search(
        r"sip:bob@contoso\.com is held by a user who is signed in \(sip:10\.0\.0\.1, for another (\d+) s\)", refused.err
    )
    assert left is not None and 500 < int(left[1]) <= 600, refused.err
    gateway.close()


def test_a_store_that_cannot_be_opened(sipgw: Run, tmp_path: Path) -> None:
    (tmp_path / "sipgw.db").write_bytes(b"?" * 999)
    found = sipgw("endpoint", "get")
    text = "file is not a database; name another file in store.url"
    assert found == (1, "", f"sipgw: store {tmp_path / 'sipgw.db'}: {text}\n")
