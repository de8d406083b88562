"""Addresses that several processes hear at, and nobody else."""

import socket
from pathlib import Path
from typing import Any

import pytest

from sipgw.config import Config, parse_config
from sipgw.server.ears import bind
from sipgw.server.workers.handing import received_sockets, send_sockets
from sipgw.server.workers.sockets import Sockets, bind_group


def config(*listen: str, **gateway: Any) -> Config:
    return parse_config({"gateway": {"listen": list(listen), "workers": 3, **gateway}}, Path("gw.toml"))


def test_each_worker_has_one_of_each_address_and_some_of_its_own() -> None:
    settings = config("udp:127.0.0.1:0", "tcp:127.0.0.1:0", "udp:127.0.0.2:0")
    sockets = Sockets(settings)
    listen = settings.gateway.listen
    shared = sockets.listeners(listen)
    for number in range(3):
        names = [sock.getsockname() for sock in sockets.of_worker(number, listen)]
        assert names[:3] == [(one.host, one.port) for one in shared]
        assert names[3:] == [(one.host, one.port) for one in sockets.own[number]]
        assert [host for host, _ in names[3:]] == ["127.0.0.1", "127.0.0.2"]
    assert len({one for own in sockets.own for one in own}) == 6
    sockets.close()


def test_own_ports_may_be_said() -> None:
    ports = sorted(_free_ports(3))
    first = ports[0]
    sockets = Sockets(config("udp:127.0.0.3:0", worker_port=first))
    assert [own[0].port for own in sockets.own] == [first, first + 1, first + 2]
    sockets.close()


def _free_ports(count: int) -> range:
    """On a host of this test alone."""
    for first in range(42_000, 60_000, count):
        found = []
        try:
            for port in range(first, first + count):
                found += bind([("UDP", "127.0.0.3", port)], "")
        except OSError:
            continue
        finally:
            for ear in found:
                ear.sock.close()
        return range(first, first + count)
    raise AssertionError("no ports are free")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("shared", [False, True])
def test_what_somebody_else_hears_at_cannot_be_had(transport: str, shared: bool) -> None:
    """Also where both would share it: then some of what comes would go there."""
    (other,) = bind([(transport, "127.0.0.1", 0)], "", shared=shared)
    with pytest.raises(OSError, match="Address already in use"):
        bind_group((transport, "127.0.0.1", other.listener.port), "", 2)
    other.sock.close()


def test_what_cannot_be_added_leaves_all_as_it_was() -> None:
    settings = config("tcp:127.0.0.1:0")
    sockets = Sockets(settings)
    (other,) = bind([("UDP", "127.0.0.1", 0)], "")
    more = config("tcp:127.0.0.1:0", "tcp:127.0.0.2:0", f"udp:127.0.0.1:{other.listener.port}")
    with pytest.raises(OSError, match="in use"):
        sockets.add(more, more.gateway.listen[1:])
    other.sock.close()
    assert len(sockets.of_worker(0, settings.gateway.listen)) == 1
    sockets.close()


def test_many_are_handed_over() -> None:
    near, far = socket.socketpair()
    mine = [socket.socket() for _ in range(130)]
    send_sockets(near, mine)
    found = received_sockets(far, len(mine))
    assert [sock.fileno() for sock in found] != [sock.fileno() for sock in mine]
    assert all(sock.family == socket.AF_INET and not sock.getblocking() for sock in found)
    for sock in (*mine, *found, near):
        sock.close()
    with pytest.raises(OSError, match="the other side is gone"):
        received_sockets(far, 1)
    far.close()
