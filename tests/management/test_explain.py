"""`sipgw explain`: the way of a request, step by step, and what the caller would get in the end."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from sipgw.config import load_config
from sipgw.core.health import Health, HealthSettings
from sipgw.events import Hop
from sipgw.registry import Endpoint
from sipgw.server.running import RunningFile, path_of
from sipgw.server.store import Store
from tests.management.conftest import Run, edit

OCSCHAT = "sip:ocschat@contoso.com"
Zone = Callable[[str], None]
Gateway = Callable[[], None]
SERVERS = '["tcp:127.0.0.1:1", "tcp:127.0.0.2:1", "tcp:127.0.0.3:1", "tcp:127.0.0.4:1"]'
REFUSED = "Connection refused"
NOW = 100_000.0  # on the clock of the gateway's event loop


def lines(out: str) -> dict[str, list[str]]:
    """What is said, by the word at the left."""
    found: dict[str, list[str]] = {}
    subject = ""
    for line in out.splitlines()[1:]:
        if line:
            subject = line[:10].strip() or subject
            found.setdefault(subject, []).append(line[10:])
    return found


def explained(sipgw: Run, *arguments: str, status: int = 0) -> dict[str, list[str]]:
    found = sipgw("explain", *arguments)
    assert (found.status, found.err) == (status, "")
    return lines(found.out)


def as_json(sipgw: Run, *arguments: str) -> dict[str, Any]:
    found = json.loads(sipgw("explain", *arguments, "--json").out)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "sipgw.db")
    yield opened
    opened.close()


@pytest.fixture
def health() -> Health:
    return Health(HealthSettings(interval=10.0))


@pytest.fixture
def gateway(gw: Path, health: Health) -> Iterator[Gateway]:
    """A gateway that runs as `gw` has it now, as far as a command can see. It knows what `health` does, at NOW."""
    made: list[RunningFile] = []

    def run() -> None:
        config = load_config(gw)
        file = RunningFile(config.store.path)
        made.append(file)
        file.look(config, [], health, NOW)

    yield run
    for file in made:
        file.close()


# pools


def test_an_endpoint_and_its_pool(sipgw: Run, gw: Path, tmp_path: Path) -> None:
    assert sipgw("explain", "INVITE", OCSCHAT).out.splitlines() == [
        "INVITE sip:ocschat@contoso.com from sip:somebody@contoso.com, not a trusted peer",
        "",
        "gateway   none runs on this store: health and connections are not known",
        "domain    contoso.com is served here",
        f'endpoint  sip:ocschat@contoso.com "Old chat", declared in {gw}, leads to pc.contoso.com',
        "pool      pc.contoso.com, its servers as configured: tcp:127.0.0.1:1",
        "tried     1. tcp:127.0.0.1:1, active, health not known",
        "",
        "result    forwarded; without a first answer within 3 s the caller gets 504",
    ]
    assert sipgw("explain", "INVITE", OCSCHAT).status == 0
    assert not (tmp_path / "sipgw.db").exists(), "asking makes no file"


def test_servers_in_the_order_in_which_they_are_tried(sipgw: Run, gw: Path, health: Health, gateway: Gateway) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', f'{SERVERS}\nstandby = ["127.0.0.2"]\ndrained = ["tcp:127.0.0.4:1"]'))
    health.failed(Hop("TCP", "127.0.0.1", 1), REFUSED, NOW - 9000, certain=True)
    gateway()
    found = explained(sipgw, "INVITE", OCSCHAT)
    active, standby, down = found["tried"]
    assert active == "1. tcp:127.0.0.3:1, active, up, no failure seen"
    assert standby == "2. tcp:127.0.0.2:1, standby, up, no failure seen"
    assert down.startswith("3. tcp:127.0.0.1:1, active, down since ")
    assert down.endswith(" UTC (2 h ago): Connection refused")
    assert found["not tried"] == ["tcp:127.0.0.4:1, drained: no new dialogs, up, no failure seen"]
    assert found["gateway"][0].startswith(f"pid {os.getpid()}, runs on this store since ")
    assert len(found["gateway"]) == 1


def test_a_server_that_came_back(sipgw: Run, gw: Path, tmp_path: Path, health: Health) -> None:
    hop, config = Hop("TCP", "127.0.0.1", 1), load_config(gw)
    file = RunningFile(config.store.path)
    health.failed(hop, REFUSED, NOW - 9000, certain=True)
    file.look(config, [], health, NOW - 8000)
    health.succeeded(hop, NOW - 200)
    file.look(config, [], health, NOW)
    (server,) = explained(sipgw, "INVITE", OCSCHAT)["tried"]
    assert server.startswith("1. tcp:127.0.0.1:1, active, up since ")
    file.close()


@pytest.mark.parametrize(
    ("reason", "status", "number", "todo"),
    [
        ("503", "503 Service Unavailable", 20000, "the pool refuses: look at its load"),
        ("503 to OPTIONS", "503 Service Unavailable", 20000, "the pool refuses: look at its load"),
        (REFUSED, "504 Server Time-out", 1011, "start the pool's servers"),
        ("timeout", "504 Server Time-out", 1011, "start the pool's servers"),
        ("certificate not trusted: it has expired", "504 Server Time-out", 1010, "sipgw check shows each server's"),
    ],
)
def test_all_servers_are_down(
    sipgw: Run, health: Health, gateway: Gateway, reason: str, status: str, number: int, todo: str
) -> None:
    """What the caller is then told, and what to do: as the gateway does when the last server has failed."""
    health.failed(Hop("TCP", "127.0.0.1", 1), reason, NOW - 90, retry_after=3600.0)
    gateway()
    found = explained(sipgw, "INVITE", OCSCHAT, status=1)
    assert found["tried"][0].endswith(f": {reason}; tried again in 58 min")
    result, diagnostics = found["result"]
    assert result == f"sent on, though nothing works that it is sent to; expected: {status}"
    assert diagnostics.startswith(f"ms-diagnostics {number} ")
    assert found["because"] == [f"pool pc.contoso.com: tcp:127.0.0.1:1 {reason}"]
    assert found["to do"][0].startswith(todo)


def test_one_server_of_two_is_down(sipgw: Run, gw: Path, health: Health, gateway: Gateway) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', '["tcp:127.0.0.1:1", "tcp:127.0.0.2:1"]'))
    health.failed(Hop("TCP", "127.0.0.1", 1), REFUSED, NOW - 90, certain=True)
    gateway()
    assert explained(sipgw, "INVITE", OCSCHAT)["result"][0].startswith("forwarded; a server without")


def test_the_last_of_several_decides(sipgw: Run, gw: Path, health: Health, gateway: Gateway) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', '["tcp:127.0.0.1:1", "tcp:127.0.0.2:1"]'))
    health.failed(Hop("TCP", "127.0.0.1", 1), REFUSED, NOW - 90, certain=True)
    health.failed(Hop("TCP", "127.0.0.2", 1), "503", NOW - 90, retry_after=3600.0)
    gateway()
    found = explained(sipgw, "INVITE", OCSCHAT, status=1)
    assert found["result"][1].startswith("ms-diagnostics 20000 ")
    assert found["because"] == [f"pool pc.contoso.com: tcp:127.0.0.1:1 {REFUSED}, tcp:127.0.0.2:1 503"]


def test_what_a_killed_gateway_knew_does_not_count(
    sipgw: Run, tmp_path: Path, health: Health, gateway: Gateway
) -> None:
    health.failed(Hop("TCP", "127.0.0.1", 1), REFUSED, NOW - 9000, certain=True)
    gateway()
    path = path_of(tmp_path / "sipgw.db")
    left = path.read_bytes()
    path.unlink()
    path.write_bytes(left)  # as the old one, and nobody has it locked
    found = explained(sipgw, "INVITE", OCSCHAT)
    assert found["gateway"] == ["none runs on this store: health and connections are not known"]
    assert found["tried"] == ["1. tcp:127.0.0.1:1, active, health not known"]


def test_a_configuration_that_the_gateway_has_not_read(sipgw: Run, gw: Path, gateway: Gateway) -> None:
    gateway()
    later = time.time() + 60
    os.utime(gw, (later, later))
    text = f"but this configuration has changed since it was read; kill -HUP {os.getpid()} has it read again"
    assert explained(sipgw, "INVITE", OCSCHAT)["gateway"][1] == text


def test_a_gateway_with_another_configuration(sipgw: Run, gw: Path, tmp_path: Path, gateway: Gateway) -> None:
    gateway()
    other = tmp_path / "other.toml"
    other.write_text(gw.read_text("utf-8"), "utf-8")
    found = lines(sipgw("explain", "INVITE", OCSCHAT, config=other).out)
    assert found["gateway"][1] == f"but not by this configuration: it has read {gw}"


def test_every_server_is_drained(sipgw: Run, gw: Path) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', '["tcp:127.0.0.1:1"]\ndrained = ["127.0.0.1"]'))
    found = explained(sipgw, "INVITE", OCSCHAT, status=1)
    assert found["not tried"] == ["tcp:127.0.0.1:1, drained: no new dialogs, health not known"]
    assert found["result"][0] == "refused: 504 Server Time-out"
    assert found["because"] == ["every server of pool pc.contoso.com is drained"]
    assert found["to do"] == [
        "take a server out of drained at the [[pool]] pc.contoso.com of the configuration, then reload"
    ]


def test_every_server_is_drained_by_command(sipgw: Run) -> None:
    assert sipgw("pool-state", "set", "pc.contoso.com", "--none").status == 0
    found = explained(sipgw, "INVITE", OCSCHAT, status=1)
    assert found["because"] == ["every server of pool pc.contoso.com is drained by command"]
    assert found["to do"] == ["sipgw pool-state set pc.contoso.com --normal has its servers take new dialogs again"]
    assert sipgw("pool-state", "set", "pc.contoso.com", "--normal").status == 0
    explained(sipgw, "INVITE", OCSCHAT)


# the name service


ZONE = """
pc            300 IN NAPTR 20 1 "s" "SIP+D2T"  "" _sip._tcp.pc
pc            300 IN NAPTR 10 1 "s" "SIPS+D2T" "" _sips._tcp.pc
_sips._tcp.pc 300 IN SRV 20 0 5041 pc2
_sips._tcp.pc 300 IN SRV 10 5 5042 pc1
_sips._tcp.pc 300 IN SRV 30 5 5042 gone
_sip._tcp.pc  300 IN SRV 0 0 5060 pc3
pc1           300 IN A 127.0.0.2
pc2           300 IN A 127.0.0.3
pc3           300 IN A 127.0.0.4
"""


@pytest.fixture
def by_name(gw: Path) -> Path:
    """The pool is known by its name alone."""
    edit(gw, ('servers = ["tcp:127.0.0.1:1"]', ""), ("[gateway]", '[tls]\nca = "ca.pem"\n[gateway]'))
    (gw.parent / "ca.pem").touch()
    return gw


@pytest.mark.usefixtures("by_name")
def test_a_pool_that_the_zone_tells_of(sipgw: Run, zone: Zone) -> None:
    zone(ZONE)
    found = explained(sipgw, "INVITE", OCSCHAT)
    text = "no servers configured: the name service tells them, those of one priority drawn by lot"
    assert found["pool"] == [f"pc.contoso.com, {text}"]
    assert found["DNS"] == [
        'NAPTR pc.contoso.com: 10 1 "s" "SIPS+D2T" _sips._tcp.pc.contoso.com, '
        '20 1 "s" "SIP+D2T" _sip._tcp.pc.contoso.com (TTL 300 s)',
        "SRV _sips._tcp.pc.contoso.com: 10 5 5042 pc1.contoso.com, 20 0 5041 pc2.contoso.com, "
        "30 5 5042 gone.contoso.com (TTL 300 s)",
        "SRV _sip._tcp.pc.contoso.com: 0 0 5060 pc3.contoso.com (TTL 300 s)",
        "SRV _sip._udp.pc.contoso.com: no such name",
        "A pc1.contoso.com: 127.0.0.2 (TTL 300 s)",
        "A pc2.contoso.com: 127.0.0.3 (TTL 300 s)",
        "A gone.contoso.com: no such name",
        "A pc3.contoso.com: 127.0.0.4 (TTL 300 s)",
    ]
    assert found["missing"] == ["gone.contoso.com: there is no such name"]
    assert found["tried"] == [
        "1. tls:127.0.0.2:5042, active, health not known, pc1.contoso.com (choice 1, priority 10, weight 5), "
        "has to prove pc.contoso.com",
        "2. tls:127.0.0.3:5041, active, health not known, pc2.contoso.com (choice 1, priority 20, weight 0), "
        "has to prove pc.contoso.com",
        "3. tcp:127.0.0.4:5060, active, health not known, pc3.contoso.com",
    ]


def test_a_pool_as_lync_has_it(sipgw: Run, by_name: Path, zone: Zone, health: Health, gateway: Gateway) -> None:
    """One name with an address for each server; that one is down moves it to the end, whatever the lot says."""
    zone("pc 300 IN A 127.0.0.2\npc 300 IN A 127.0.0.3\npc 300 IN A 127.0.0.4\n")
    edit(by_name, ("[[pool]]", '[[pool]]\ndrained = ["127.0.0.4"]'))
    health.failed(Hop("TLS", "127.0.0.2", 5041, "pc.contoso.com"), REFUSED, NOW - 9000, certain=True)
    gateway()
    found = explained(sipgw, "INVITE", OCSCHAT)
    up, down = found["tried"]
    assert up == "1. tls:127.0.0.3:5041, active, up, no failure seen, pc.contoso.com, has to prove pc.contoso.com"
    assert down.startswith("2. tls:127.0.0.2:5041, active, down since ")
    (drained,) = found["not tried"]
    assert drained.startswith("tls:127.0.0.4:5041, drained: no new dialogs, up")


def test_servers_that_are_configured_by_name(sipgw: Run, gw: Path, zone: Zone) -> None:
    zone("pc1 300 IN A 127.0.0.2\n")
    edit(gw, ('["tcp:127.0.0.1:1"]', '["tcp:pc1.contoso.com:1", "tcp:pc9.contoso.com:1"]'))
    found = explained(sipgw, "INVITE", OCSCHAT)
    assert found["tried"] == ["1. tcp:127.0.0.2:1, active, health not known, pc1.contoso.com"]
    assert found["missing"] == ["pc9.contoso.com: there is no such name"]


@pytest.mark.usefixtures("by_name")
def test_a_pool_that_cannot_be_found(sipgw: Run, zone: Zone) -> None:
    zone("")
    found = explained(sipgw, "INVITE", OCSCHAT, status=1)
    assert found["result"] == ["refused: 504 Server Time-out", "ms-diagnostics 1014 Unable to resolve DNS A record"]
    assert found["because"] == ["pc.contoso.com: there is no such name"]
    assert found["to do"][0].startswith("correct the zone, or name the servers in pool.servers")
    assert found["DNS"][-1] == "A pc.contoso.com: no such name"
    assert "tried" not in found


# users


def sign_in(store: Store, user: str, *registrations: tuple[str, str, float, float]) -> None:
    """Store registrations: Contact, source, q, seconds to live."""
    answers: Queue[Exception | None] = Queue()
    rows = [
        (f"{user}@contoso.com", contact, "", 0, "", q, time.time() + left, "c", 1, "", source, "Agent/1\x1b", 1)
        for contact, source, q, left in registrations
    ]
    store.write_bindings(rows, [], answers.put)
    assert answers.get(timeout=10) is None


def test_a_user_with_two_contacts(sipgw: Run, store: Store, gateway: Gateway) -> None:
    """The better q first; a connection counts as standing while a gateway runs."""
    first, second = "sip:alice@10.0.0.1;transport=tcp", "sip:alice@10.0.0.2:5070"
    sign_in(store, "alice", (second, "udp:10.0.0.2:5070", 0.5, 300.5), (first, "tcp:10.0.0.1:4711", 1.0, 600.5))
    gateway()
    found = explained(sipgw, "MESSAGE", "sip:Alice@contoso.com")
    assert found["endpoint"] == ["none has this address, so it is a user's"]
    assert [re.sub(r"another \d+ s", "another N s", line) for line in found["signed in"]] == [
        f"{first}, q 1, for another N s, from tcp:10.0.0.1:4711, Agent/1?",
        f"{second}, q 0.5, for another N s, from udp:10.0.0.2:5070, Agent/1?",
    ]
    assert found["tried"] == [f"1. tcp:10.0.0.1:4711, the user's own connection, if it still stands, as {first}"]
    assert found["then"] == [f"1. udp:10.0.0.2:5070, as {second}"]
    assert found["result"] == ["forwarded"]


def test_a_connection_of_which_only_the_gateway_knows(sipgw: Run, store: Store, gateway: Gateway) -> None:
    """Its API cannot be asked here: the doubt is told."""
    sign_in(store, "alice", ("sip:alice@10.0.0.1;transport=tcp", "tcp:10.0.0.1:4711", 1.0, 600.0))
    gateway()
    found = explained(sipgw, "MESSAGE", "sip:alice@contoso.com")
    assert found["unless"] == [
        "that connection is gone, which the gateway alone knows: then it is 480, ms-diagnostics 1007"
    ]


def test_contacts_of_one_preference_are_tried_at_once(sipgw: Run, store: Store) -> None:
    contacts = [(f"sip:alice@10.0.0.{n}:5070", f"udp:10.0.0.{n}:5070", 1.0, 300.0 + n) for n in (1, 2)]
    sign_in(store, "alice", *contacts)
    found = as_json(sipgw, "MESSAGE", "sip:alice@contoso.com")
    assert [(one["turn"], one["servers"][0]["server"]) for one in found["destinations"]] == [
        (1, "udp:10.0.0.2:5070"),
        (1, "udp:10.0.0.1:5070"),
    ]
    assert "at once" in explained(sipgw, "MESSAGE", "sip:alice@contoso.com")


def test_a_connection_that_ended_with_the_gateway(sipgw: Run, store: Store) -> None:
    """A TLS client cannot be dialled; without a gateway there is no connection."""
    sign_in(store, "alice", ("sip:alice@10.0.0.1;transport=tls", "tls:10.0.0.1:4711", 1.0, 600.0))
    found = explained(sipgw, "MESSAGE", "sip:alice@contoso.com", status=1)
    assert found["because"] == ["alice@contoso.com has no connection to reach it by"]
    assert found["result"][0] == "refused: 480 Temporarily Unavailable"


# endpoints and what answers


def test_an_endpoint_of_the_store(sipgw: Run, store: Store) -> None:
    store.add_endpoint(Endpoint("sip:chat2@contoso.com", "pc.contoso.com"), 0)
    found = explained(sipgw, "INVITE", "sip:Chat2@contoso.com;user=phone")
    assert found["endpoint"] == ["sip:chat2@contoso.com, made in the store, leads to pc.contoso.com"]


def test_an_endpoint_whose_pool_has_left_the_configuration(sipgw: Run, store: Store, gateway: Gateway) -> None:
    """It is not said to be none, nor perhaps a user's."""
    store.add_endpoint(Endpoint("sip:chat2@contoso.com", "gone.contoso.com"), 0)
    gateway()
    found = explained(sipgw, "INVITE", "sip:chat2@contoso.com", status=1)
    assert found["endpoint"] == [
        "sip:chat2@contoso.com, made in the store, leads to gone.contoso.com, which is not configured"
    ]
    assert found["result"][1].startswith("ms-diagnostics 1003 ")
    assert found["because"] == ["sip:chat2@contoso.com leads to pool gone.contoso.com, which is not configured"]
    assert found["to do"] == [
        "put the [[pool]] gone.contoso.com back into the configuration and reload; or sipgw endpoint remove "
        "sip:chat2@contoso.com"
    ]
    assert "unless" not in found


def test_an_endpoint_that_is_not_enabled(sipgw: Run, gw: Path) -> None:
    edit(gw, ('display_name = "Old chat"', "enabled = false"))
    found = explained(sipgw, "INVITE", OCSCHAT, status=1)
    assert found["endpoint"] == [f"{OCSCHAT}, declared in {gw}, not enabled; it would lead to pc.contoso.com"]
    assert found["result"][1].startswith("ms-diagnostics 4005 ")
    assert found["to do"] == ["write enabled = true into its [[endpoint]]"]


def test_the_pools_own_contact_object(sipgw: Run) -> None:
    found = explained(sipgw, "INVITE", "sip:GC-1-PersistentChatService-1@contoso.com")
    assert found["endpoint"] == ["none has this address: it is the pool's own contact object"]
    assert found["tried"] == ["1. tcp:127.0.0.1:1, active, health not known"]


@pytest.mark.parametrize(
    ("arguments", "result", "todo"),
    [
        (("INVITE", "sip:x@contoso.com"), "refused: 404 Not Found", "make it an endpoint (sipgw endpoint new "),
        (("INVITE", "sip:x@fabrikam.com"), "refused: 403 Forbidden", "add fabrikam.com to gateway.domains"),
        (("INVITE", "sips:ocschat@contoso.com"), "refused: 480 Temporarily Unavailable", "sips wants TLS"),
        (("INVITE", "sip:contoso.com"), "refused: 405 Method Not Allowed", "the gateway itself answers REGISTER"),
        (("INVITE", "tel:+15551234"), "refused: 416 Unsupported URI Scheme", "write a sip: or sips: URI"),
        (("INVITE", "sip:ocschat@contoso.com?Subject=x"), "refused: 400 Bad Request", None),
        (("CANCEL", OCSCHAT), "refused: 481 Call/Transaction Does Not Exist", None),
        (("ACK", OCSCHAT), "dropped: an ACK gets no answer, and this one belongs to no dialog", None),
        (("REGISTER", "sip:contoso.com"), "answered here: 200 OK", None),
        (("REGISTER", "sip:contoso.com", "--from", OCSCHAT), "refused: 403 Forbidden", "sign in with another"),
        (("OPTIONS", "sip:contoso.com"), "answered here: 200 OK", None),
        (("SUBSCRIBE", "sip:a@contoso.com", "--from", "a@contoso.com"), "answered here: 200 OK", None),
        (("SERVICE", "sip:a@contoso.com", "--from", "sip:a@contoso.com"), "answered here: 200 OK", None),
        (("SUBSCRIBE", "sip:a@contoso.com", "--from", "b@contoso.com"), "refused: 404 Not Found", "make it"),
    ],
)
def test_results(sipgw: Run, arguments: tuple[str, ...], result: str, todo: str | None) -> None:
    found = explained(sipgw, *arguments, status=0 if result.startswith("answered") else 1)
    assert found["result"][0] == result
    assert found.get("to do", [""])[0].startswith(todo or "")
    assert ("to do" in found) == (todo is not None)
    assert "tried" not in found


def test_signing_in_for_show_leaves_nothing_behind(sipgw: Run, store: Store) -> None:
    explained(sipgw, "REGISTER", "sip:contoso.com", "--from", "alice@contoso.com")
    assert list(store.load_bindings(0.0)) == []


def test_what_a_trusted_peer_would_get(sipgw: Run, gw: Path, zone: Zone) -> None:
    """It may relay, so that names are looked up for it; that is said apart, and is not the result."""
    zone("")
    edit(gw, ("[gateway]", '[gateway]\ntrusted_peers = ["10.1.0.0/16"]'))
    found = explained(sipgw, "INVITE", "sip:x@192.0.2.77", status=1)
    assert found["result"][0] == "refused: 403 Forbidden"
    assert found["trusted"] == ["to a trusted peer: forwarded"]
    elsewhere = explained(sipgw, "INVITE", "sip:x@elsewhere.contoso.com", status=1)
    assert elsewhere["trusted"][0] == "to a trusted peer: refused: 504 Server Time-out"
    assert "trusted" not in explained(sipgw, "INVITE", OCSCHAT), "it gets the same"


def test_everybody_is_trusted(sipgw: Run, gw: Path) -> None:
    edit(gw, ("[gateway]", '[gateway]\ntrusted_peers = ["0.0.0.0/0", "::/0"]'))
    found = sipgw("explain", "INVITE", "sip:x@192.0.2.77")
    assert found.out.splitlines()[0].endswith(", trusted as everybody is")
    assert lines(found.out)["tried"] == ["1. udp:192.0.2.77:5060"]
    assert found.status == 0


# for machines


def test_json(sipgw: Run, gw: Path, health: Health, gateway: Gateway) -> None:
    health.failed(Hop("TCP", "127.0.0.1", 1), REFUSED, NOW - 9000, certain=True)
    gateway()
    found = as_json(sipgw, "INVITE", OCSCHAT, "--from", "Bob@contoso.com")
    assert (found["method"], found["uri"], found["sender"]) == ("INVITE", OCSCHAT, "sip:bob@contoso.com")
    assert found["domain"] == {"name": "contoso.com", "served": True, "own": False}
    assert found["endpoint"]["pool_fqdn"] == found["pool"]["fqdn"] == "pc.contoso.com"
    assert (found["gateway"]["pid"], found["gateway"]["source"]) == (os.getpid(), str(gw))
    ((server,),) = [one["servers"] for one in found["destinations"]]
    assert (server["server"], server["role"], server["health"]) == ("tcp:127.0.0.1:1", "active", "down")
    assert server["reason"] == REFUSED
    assert 9000 <= found["at"] - server["since"] < 9060
    assert (found["decision"]["kind"], found["decision"]["status"]) == ("expected", 504)


def test_json_of_a_refusal(sipgw: Run) -> None:
    decision = as_json(sipgw, "INVITE", "sip:x@fabrikam.com")["decision"]
    assert (decision["kind"], decision["status"], decision["diagnostics"]) == ("refused", 403, 1005)
