"""What is told of the gateway's keytab before anybody signs in, and of a machine without GSSAPI."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.sipae_client import SignInError
from sipgw.config import ConfigError, load_config
from sipgw.server import kerberos, kerberos_client
from sipgw.server.kerberos_keytab import KeytabError, read_principals

SIP, HTTP = "sip/sipgw.contoso.com@CORP.CONTOSO.COM", "HTTP/web.contoso.com@CORP.CONTOSO.COM"


def entry(principal: str, key: bytes = b"k" * 32) -> bytes:
    """One key: the principal, type of name, time, number, key, number again."""
    name, _, realm = principal.rpartition("@")
    texts = [realm.encode(), *(part.encode() for part in name.split("/"))]
    counted = b"".join(struct.pack(">H", len(text)) + text for text in texts)
    rest = struct.pack(">IIBHH", 1, 0, 2, 18, len(key)) + key + struct.pack(">I", 2)
    return struct.pack(">H", len(texts) - 1) + counted + rest


def keytab(*entries: bytes, removed: int = 0) -> bytes:
    """A file of these entries, with room of this many bytes where others were."""
    hole = struct.pack(">i", -removed) + bytes(removed) if removed else b""
    return b"\x05\x02" + b"".join(struct.pack(">i", len(each)) + each + hole for each in entries)


def read(tmp_path: Path, data: bytes) -> list[str]:
    path = tmp_path / "keytab"
    path.write_bytes(data)
    return read_principals(path)


def test_the_principals_of_its_keys(tmp_path: Path) -> None:
    assert read(tmp_path, keytab(entry(HTTP), entry(SIP), entry(SIP), removed=40)) == [HTTP, SIP]
    assert read(tmp_path, keytab(entry("alice@CORP.CONTOSO.COM"))) == ["alice@CORP.CONTOSO.COM"]
    assert read(tmp_path, keytab(entry(SIP)) + bytes(4) + b"unused") == [SIP]
    assert read(tmp_path, keytab()) == []


@pytest.mark.parametrize(
    "data", [b"", b"[libdefaults]\n", b"\x05\x01", keytab(entry(SIP))[:-50], keytab(b"\0\1\0\xff"), keytab(b"\0")]
)
def test_what_is_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(KeytabError, match=r"^is no keytab"):
        read(tmp_path, data)


@given(st.binary(max_size=200))
def test_whatever_is_in_the_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "keytab"
    path.write_bytes(b"\x05\x02" + data)
    try:
        assert all(isinstance(principal, str) for principal in read_principals(path))
    except KeytabError as error:
        assert str(error)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KeytabError, match=r"^Is a directory$"):
        read_principals(tmp_path)
    with pytest.raises(KeytabError, match=r"^No such file or directory$"):
        read_principals(tmp_path / "none")


def test_without_gssapi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which only those need who sign in with Kerberos."""
    (tmp_path / "keytab").write_bytes(keytab(entry(SIP)))
    path = tmp_path / "sipgw.toml"
    text = '[gateway]\nfqdn = "sipgw.contoso.com"\n[auth]\nschemes = ["kerberos"]\nkeytab = "keytab"\n'
    path.write_text(f'{text}[[pool]]\nfqdn = "pcpool.contoso.com"\nservers = ["tcp:127.0.0.1:9"]\n')
    config = load_config(path)
    for module in (kerberos, kerberos_client):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        kerberos.gateway_credentials(config)
    (problem,) = raised.value.problems
    assert problem.startswith(f"{path}:4: auth.schemes: ") and "pip install 'sipgw[kerberos]'" in problem
    with pytest.raises(SignInError, match=r"sipgw\[kerberos\]"):
        kerberos_client.begin("sip/sipgw.contoso.com")
