"""What of the configuration the engine is told: what names may lead to, and who vouches for whom."""

from pathlib import Path

import pytest

from sipgw.config import load_config, parse_config
from sipgw.locating import Reach
from sipgw.server.settings import engine_settings

TEXT = """
[tls]
ca = "ca.pem"
[[pool]]
fqdn = "one.contoso.com"
servers = ["tls:127.0.0.1:5041"]
ca = "one.pem"
[[pool]]
fqdn = "two.contoso.com"
servers = ["tcp:127.0.0.1:5042"]
"""


def vouching(folder: Path) -> str:
    return engine_settings(load_config(folder / "sipgw.toml"), bytes(32)).vouching


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("sipgw.toml", TEXT), ("ca.pem", "A"), ("one.pem", "B")):
        (tmp_path / name).write_text(text, "ascii")
    return tmp_path


@pytest.mark.parametrize("changed", ["ca.pem", "one.pem"])
def test_another_authority_in_the_same_file_is_another_authority(folder: Path, changed: str) -> None:
    before = vouching(folder)
    (folder / changed).write_text("C", "ascii")
    assert vouching(folder) != before


def test_who_vouches_for_whom_matters(folder: Path) -> None:
    before = vouching(folder)
    (folder / "sipgw.toml").write_text(
        TEXT.replace("one.pem", "x").replace("ca.pem", "one.pem").replace('"x"', '"ca.pem"')
    )
    assert vouching(folder) != before


def test_other_changes_do_not(folder: Path) -> None:
    before = vouching(folder)
    (folder / "sipgw.toml").write_text(TEXT + "[limits]\nban = 5.0\n", "ascii")
    assert vouching(folder) == before


@pytest.mark.parametrize(
    ("listen", "reach"),
    [
        (["tcp:127.0.0.1:5060"], Reach(("TCP",), ("A",))),
        (["udp:127.0.0.1:5060"], Reach(("TCP", "UDP"), ("A",))),
        (["tcp:[::1]:5060"], Reach(("TCP",), ("AAAA", "A"))),
    ],
)
def test_udp_where_we_listen_and_ipv6_where_we_do(tmp_path: Path, listen: list[str], reach: Reach) -> None:
    config = parse_config({"gateway": {"listen": listen}}, tmp_path / "gw.toml")
    assert engine_settings(config, bytes(16)).reach == reach
