"""Whose a loopback connection is."""

import getpass
import socket
from pathlib import Path

import pytest

from sipgw.server.admin.peer import peer_user

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local: str, remote: str, uid: int) -> str:
    return f"   1: {local} {remote} 01 00000000:00000000 00:00000000 00000000  {uid}        0 114 1 0000 20 4 30 10\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_real_connection(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        at = server.getsockname()
        with socket.create_connection(at[:2]) as client:
            assert peer_user(client.getsockname()[:2], at[:2]) == getpass.getuser()
            assert peer_user((host, 1), at[:2]) == ""


def test_only_the_row_of_the_client_counts(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    others = row("0200007F:1388", "0100007F:1F7C", 7) + row("0100007F:1F7C", "0100007F:1388", 8) + "nonsense\n"
    table.write_text(HEAD + others)
    client, server = ("127.0.0.1", 5000), ("127.0.0.1", 8060)
    assert peer_user(client, server, [table]) == ""
    table.write_text(HEAD + others + row("0100007F:1388", "0100007F:1F7C", 4_000_000))
    assert peer_user(client, server, [tmp_path / "none", table]) == "uid 4000000"


def test_a_socket_for_both_families(tmp_path: Path) -> None:
    table = tmp_path / "tcp6"
    mapped = "0000000000000000FFFF00000100007F"
    table.write_text(HEAD + row(f"{mapped}:1388", f"{mapped}:1F7C", 4_000_001))
    assert peer_user(("127.0.0.1", 5000), ("127.0.0.1", 8060), [table]) == "uid 4000001"


def test_other_machines_are_not_looked_for(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + row("0102A8C0:1388", "0302A8C0:1F7C", 0))
    assert peer_user(("192.168.2.1", 5000), ("192.168.2.3", 8060), [table]) == ""
    assert peer_user(("testclient", 5000), ("127.0.0.1", 8060), [table]) == ""
