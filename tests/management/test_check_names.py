"""`sipgw check` on what the name service has: the pools' servers, and the names by which clients find the gateway."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sipgw.config import load_config
from sipgw.core.health import Health, HealthSettings
from sipgw.events import Listener
from sipgw.server.running import RunningFile
from tests.management.conftest import Run, edit
from tests.management.pool_server import answering

Zone = Callable[[str], None]


def said(sipgw: Run, subject: str) -> list[str]:
    """What is said about one thing, each with its grade."""
    lines = [" ".join(line.split()) for line in sipgw("check").out.splitlines()]
    return [line.replace(f" {subject}: ", " ") for line in lines if f" {subject}: " in line]


@pytest.fixture
def server() -> Iterator[int]:
    """A pool's server that answers on 127.0.0.2."""
    with answering(host="127.0.0.2") as port:
        yield port


@pytest.fixture
def nobody() -> int:
    """A port at which nobody is on 127.0.0.3."""
    with socket.create_server(("127.0.0.3", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture
def by_name(gw: Path) -> Path:
    """The pool is known by its name alone."""
    edit(gw, ('servers = ["tcp:127.0.0.1:1"]', ""), ("[gateway]", '[tls]\nca = "ca.pem"\n[gateway]'))
    (gw.parent / "ca.pem").touch()
    return gw


# pools


@pytest.mark.usefixtures("by_name")
def test_each_server_that_the_zone_has_is_tried(sipgw: Run, zone: Zone, server: int, nobody: int) -> None:
    zone(
        f"""
_sip._tcp.pc 300 IN SRV 10 0 {server} pc1
_sip._tcp.pc 300 IN SRV 20 0 {nobody} pc2
_sip._tcp.pc 300 IN SRV 30 0 5060 pc3
pc1          300 IN A 127.0.0.2
pc2          300 IN A 127.0.0.3
"""
    )
    assert said(sipgw, "pool pc.contoso.com") == [
        f"ok tcp:127.0.0.2:{server} (pc1.contoso.com:{server}) answers OPTIONS with 200 Scripted",
        f"FAIL tcp:127.0.0.3:{nobody} (pc2.contoso.com:{nobody}): Connection refused; start it, or correct its zone",
        "note pc3.contoso.com: there is no such name",
    ]


@pytest.mark.usefixtures("by_name")
def test_a_pool_that_the_zone_does_not_have(sipgw: Run, zone: Zone) -> None:
    zone("")
    found = sipgw("check")
    assert found.status == 1
    assert said(sipgw, "pool pc.contoso.com") == ["FAIL pc.contoso.com: there is no such name; correct its zone"]


@pytest.mark.usefixtures("by_name")
def test_a_tls_server_without_files_for_tls(sipgw: Run, zone: Zone) -> None:
    zone("pc 300 IN A 127.0.0.3\n")
    text = "note tls:127.0.0.3:5041 (pc.contoso.com:5041) was not asked: the files for TLS are not usable"
    assert said(sipgw, "pool pc.contoso.com") == [text]


def test_servers_that_are_configured_by_name(sipgw: Run, gw: Path, zone: Zone, server: int) -> None:
    zone("pc1 300 IN A 127.0.0.2\n")
    configured = f'["tcp:pc1.contoso.com:{server}", "tcp:pc2.contoso.com:1"]'
    edit(gw, ('["tcp:127.0.0.1:1"]', configured))
    assert said(sipgw, "pool pc.contoso.com") == [
        f"ok tcp:127.0.0.2:{server} (tcp:pc1.contoso.com:{server}) answers OPTIONS with 200 Scripted",
        "FAIL tcp:pc2.contoso.com:1: pc2.contoso.com: there is no such name; correct pool.servers",
    ]


def test_a_drained_server_may_be_away(sipgw: Run, gw: Path, server: int) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', f'["tcp:127.0.0.1:1", "tcp:127.0.0.2:{server}"]\ndrained = ["tcp:127.0.0.1:1"]'))
    text = "tcp:127.0.0.1:1: Connection refused; start it, or correct pool.servers (it is drained)"
    assert said(sipgw, "pool pc.contoso.com")[0] == f"note {text}"
    assert sipgw("check").status == 0


def test_names_of_no_server_are_pointed_out(sipgw: Run, gw: Path, server: int) -> None:
    """Else the server that was meant goes on taking calls, and nobody knows why."""
    ours = f'["tcp:127.0.0.2:{server}"]\nstandby = ["127.0.0.2"]'
    edit(gw, ('["tcp:127.0.0.1:1"]', ours))
    assert len(said(sipgw, "pool pc.contoso.com")) == 1
    edit(gw, ('standby = ["127.0.0.2"]', 'standby = ["127.0.0.2", "tcp:127.0.0.2:1"]\ndrained = ["127.0.0.4"]'))
    wrong = [
        f"{text} is none of its servers; correct or remove it"
        for text in ("standby: tcp:127.0.0.2:1", "drained: 127.0.0.4")
    ]
    assert said(sipgw, "pool pc.contoso.com")[1:] == [f"note {text}" for text in wrong]
    assert sipgw("check").status == 0


def test_of_a_pool_that_cannot_be_located_nobody_knows(sipgw: Run, by_name: Path) -> None:
    edit(by_name, ('fqdn = "pc.contoso.com"', 'fqdn = "pc.contoso.com"\ndrained = ["127.0.0.4"]'))
    assert not [line for line in said(sipgw, "pool pc.contoso.com") if "none of its servers" in line]


def test_a_server_that_is_drained_by_its_name(sipgw: Run, gw: Path, zone: Zone) -> None:
    zone("pc1 300 IN A 127.0.0.3\n")
    edit(gw, ('["tcp:127.0.0.1:1"]', '["tcp:pc1.contoso.com:1"]\ndrained = ["tcp:pc1.contoso.com:1"]'))
    refused, no_server = said(sipgw, "pool pc.contoso.com")
    assert refused.startswith("note ") and refused.endswith(" (it is drained)")
    assert no_server.startswith("FAIL no active server: all are drained")


# the names of the gateway


@pytest.fixture
def reachable(gw: Path, server: int) -> int:
    """Other machines reach the gateway by TCP, at this port; the pool works."""
    with socket.create_server(("0.0.0.0", 0)) as sock:
        port = int(sock.getsockname()[1])
    edit(
        gw,
        ("tcp:127.0.0.1:0", f"tcp:0.0.0.0:{port}"),
        ("tcp:127.0.0.1:1", f"tcp:127.0.0.2:{server}"),
        ("[gateway]", "[auth]\ntrust_network = true\n[gateway]"),
    )
    return port


def test_names_that_are_missing(sipgw: Run, zone: Zone, reachable: int) -> None:
    """They are notes, with the lines for the zone behind everything else."""
    zone("sipgw 300 IN A 192.0.2.10\n")
    found = sipgw("check")
    assert found.status == 0
    text = "clients find no server by TCP unless they are told its name"
    assert said(sipgw, "domain contoso.com") == [f"note there is no _sipinternal._tcp.contoso.com: {text}"]
    assert said(sipgw, "name sipgw.contoso.com") == ["ok is 192.0.2.10"]
    assert found.out.endswith(
        "\n\nFor clients to find the gateway by themselves, add to the zone:\n"
        f"  _sipinternal._tcp.contoso.com. 3600 IN SRV 0 0 {reachable} sipgw.contoso.com.\n"
    )


def test_names_that_are_there(sipgw: Run, zone: Zone, reachable: int) -> None:
    zone(f"sipgw 300 IN A 192.0.2.10\n_sipinternal._tcp 300 IN SRV 0 0 {reachable} sipgw\n")
    text = f"ok _sipinternal._tcp.contoso.com leads to sipgw.contoso.com:{reachable}"
    assert said(sipgw, "domain contoso.com") == [text]
    assert "add to the zone" not in sipgw("check").out


def test_on_loopback_no_name_is_asked_for(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def ask(self, question: object) -> None:
            raise AssertionError(question)

    monkeypatch.setattr("sipgw.management.check.Resolver", Silent)
    assert "add to the zone" not in sipgw("check").out


# a gateway that runs


def test_ports_of_the_gateway_that_runs_here(sipgw: Run, gw: Path) -> None:
    """They are in use as they should be; another program's are not."""
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [sock.getsockname()[1] for sock in (own, other)]
        edit(gw, ("udp:127.0.0.1:0", f"tcp:127.0.0.1:{ports[0]}"), ("tcp:127.0.0.1:0", f"tcp:127.0.0.1:{ports[1]}"))
        config = load_config(gw)
        file = RunningFile(config.store.path)
        file.look(config, [Listener("TCP", "127.0.0.1", ports[0], "x")], Health(HealthSettings()), 0.0)
        mine, others = said(sipgw, "gateway.listen")
        file.close()
        again, _ = said(sipgw, "gateway.listen")
    assert mine.startswith(f"note tcp:127.0.0.1:{ports[0]}: in use by the gateway that runs on this store (pid ")
    assert others.startswith(f"FAIL tcp:127.0.0.1:{ports[1]}: in use by another program")
    assert again.startswith("FAIL ")
