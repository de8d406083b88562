"""TLS contexts: what they accept, what they say when they do not, and which names a certificate proves."""

import ssl
from pathlib import Path

import pytest
import trustme

from sipgw.config import TlsFiles
from sipgw.server.tls import TlsContexts, TlsError, TlsSettings, certified_names, proves
from sipgw.server.tls_reasons import reason_of
from tests.server.certificates import issue

GATEWAY, POOL, OTHER = "sipgw.contoso.com", "pcpool.contoso.com", "pcpool.fabrikam.com"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def connect(client: ssl.SSLContext, server: ssl.SSLContext, server_name: str) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory: both ends, client first. Raises what either end says first."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=server_name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    return ends[0], ends[1]


def serving(files: TlsFiles, clients: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
    return TlsContexts(TlsSettings(files, clients=clients)).server


def dialling(files: TlsFiles) -> ssl.SSLContext:
    return TlsContexts(TlsSettings(files)).client(files)


# whom we believe


def test_a_server_proves_its_name(authority: trustme.CA, tmp_path: Path) -> None:
    files = issue(authority, tmp_path, POOL.upper(), "pc1.contoso.com")
    ours, _ = connect(dialling(TlsFiles(ca=files.ca)), serving(files), POOL)
    assert certified_names(ours) == (POOL, "pc1.contoso.com")
    assert ours.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("names", "days", "known", "reason"),
    [
        (["other.contoso.com"], None, True, "it is for another name"),
        ([POOL], -1.0, True, "it has expired"),
        ([POOL], None, False, "no authority in ca vouches for it"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(
    authority: trustme.CA, tmp_path: Path, names: list[str], days: float | None, known: bool, reason: str
) -> None:
    files = issue(authority, tmp_path, *names, days=days, as_="server")
    ca = files.ca if known else issue(trustme.CA(), tmp_path, "x.y").ca
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(dialling(TlsFiles(ca=ca)), serving(files), POOL)
    assert reason_of(caught.value).startswith(f"certificate not trusted: {reason} (")


def test_authorities_of_the_system_are_asked_only_when_they_are_meant(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would vouch for a pool just as well as for a shop."""
    files = issue(authority, tmp_path, POOL)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(dialling(TlsFiles()), serving(files), POOL)
    trusting = TlsContexts(TlsSettings(system=True)).client(TlsFiles())
    assert certified_names(connect(trusting, serving(files), POOL)[0]) == (POOL,)


def test_the_common_name_says_nothing(authority: trustme.CA, tmp_path: Path) -> None:
    made = authority.issue_cert("other.contoso.com", common_name=POOL)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(server)
    files = issue(authority, tmp_path, "x.y")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect(dialling(TlsFiles(ca=files.ca)), server, POOL)


def test_less_than_tls_1_2_is_not_spoken(authority: trustme.CA, tmp_path: Path) -> None:
    files = issue(authority, tmp_path, POOL)
    contexts = TlsContexts(TlsSettings(files, clients=ssl.CERT_NONE))
    for context in (contexts.server, contexts.client(files)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("names", "wanted", "proved"),
    [
        ((POOL,), POOL, True),
        ((), POOL, False),
        (("pool.contoso.com",), POOL, False),
        ((), "192.0.2.1", True),  # compared by OpenSSL, which knows addresses
        ((), "2001:db8::1", True),
    ],
)
def test_names_are_matched_in_full(names: tuple[str, ...], wanted: str, proved: bool) -> None:
    assert proves(names, wanted) is proved


def test_a_wildcard_is_no_name(authority: trustme.CA, tmp_path: Path) -> None:
    """RFC 5922 §7.2; OpenSSL lets it pass."""
    files = issue(authority, tmp_path, "*.contoso.com", "pc1.contoso.com")
    ours, _ = connect(dialling(TlsFiles(ca=files.ca)), serving(files), POOL)
    assert certified_names(ours) == ("pc1.contoso.com",)


# who we are


def test_a_client_is_asked_and_need_not_answer(authority: trustme.CA, tmp_path: Path) -> None:
    files = issue(authority, tmp_path, GATEWAY)
    contexts = TlsContexts(TlsSettings(files, clients=ssl.CERT_OPTIONAL))
    _, nobody = connect(dialling(TlsFiles(ca=files.ca)), contexts.server, GATEWAY)
    assert contexts.accepted_names(nobody) == ()
    pool = issue(authority, tmp_path, POOL, "pc1.contoso.com")
    _, known = connect(dialling(pool), contexts.server, GATEWAY)
    assert contexts.accepted_names(known) == (POOL, "pc1.contoso.com")


def test_a_bad_certificate_is_worse_than_none(authority: trustme.CA, tmp_path: Path) -> None:
    server = serving(issue(authority, tmp_path, GATEWAY), ssl.CERT_OPTIONAL)
    stranger = issue(trustme.CA(), tmp_path, POOL, ca=False)._replace(ca=tmp_path / f"{GATEWAY}.ca.pem")
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(dialling(stranger), server, GATEWAY)
    assert "no authority in ca vouches for it" in reason_of(caught.value)


def test_without_asking_nobody_shows_a_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    contexts = TlsContexts(TlsSettings(issue(authority, tmp_path, GATEWAY), clients=ssl.CERT_NONE))
    _, theirs = connect(dialling(issue(authority, tmp_path, POOL)), contexts.server, GATEWAY)
    assert contexts.accepted_names(theirs) == ()


def test_a_pool_may_have_files_of_its_own(authority: trustme.CA, tmp_path: Path) -> None:
    own, theirs = issue(authority, tmp_path, GATEWAY), issue(trustme.CA(), tmp_path, "us.fabrikam.com")
    contexts = TlsContexts(TlsSettings(own, {OTHER: theirs, POOL: own}))
    assert contexts.identity(POOL) == contexts.identity("anybody.else") == own
    assert contexts.identity(OTHER) == theirs
    assert contexts.client(own) is not contexts.client(theirs)


# two sets of authorities


@pytest.fixture
def two(tmp_path: Path) -> tuple[TlsContexts, trustme.CA, trustme.CA]:
    """Our own authority, and that of a pool of somebody else's."""
    ours, theirs = trustme.CA(), trustme.CA()
    own, other = issue(ours, tmp_path, GATEWAY), issue(theirs, tmp_path, "us.fabrikam.com")
    return TlsContexts(TlsSettings(own, {POOL: own, OTHER: other}, ssl.CERT_OPTIONAL)), ours, theirs


def test_a_name_is_proved_by_its_own_authorities_alone(
    two: tuple[TlsContexts, trustme.CA, trustme.CA], tmp_path: Path
) -> None:
    """Each of the two can be held against the certificate of whoever connects; neither vouches for the other's pool."""
    contexts, ours, theirs = two
    for issuer, proved in ((ours, (POOL, "edge.contoso.com")), (theirs, (OTHER,))):
        caller = issue(issuer, tmp_path, POOL, OTHER, "edge.contoso.com", as_="caller")
        caller = caller._replace(ca=tmp_path / f"{GATEWAY}.ca.pem")
        _, seen = connect(dialling(caller), contexts.server, GATEWAY)
        assert contexts.accepted_names(seen) == proved


def test_an_intermediate_authority_leads_to_its_root(
    two: tuple[TlsContexts, trustme.CA, trustme.CA], tmp_path: Path
) -> None:
    contexts, _, theirs = two
    caller = issue(theirs.create_child_ca(), tmp_path, OTHER, as_="caller")
    caller = caller._replace(ca=tmp_path / f"{GATEWAY}.ca.pem")
    _, seen = connect(dialling(caller), contexts.server, GATEWAY)
    assert contexts.accepted_names(seen) == (OTHER,)


def test_a_server_proves_no_name_of_another_set(
    two: tuple[TlsContexts, trustme.CA, trustme.CA], tmp_path: Path
) -> None:
    contexts, _, theirs = two
    identity = contexts.identity(OTHER)
    server = serving(issue(theirs, tmp_path, OTHER, POOL, "edge.contoso.com", as_="server"))
    seen, _ = connect(contexts.client(identity), server, OTHER)
    assert contexts.dialled_names(seen, identity) == (OTHER,)


# files


def test_files_that_changed_are_read_again(authority: trustme.CA, tmp_path: Path) -> None:
    files = issue(authority, tmp_path, GATEWAY)
    contexts = TlsContexts(TlsSettings(files, clients=ssl.CERT_NONE))
    before = contexts.server
    issue(authority, tmp_path, "new.contoso.com", as_=GATEWAY)
    contexts.reload()
    ours, _ = connect(contexts.client(files), contexts.server, "new.contoso.com")
    assert certified_names(ours) == ("new.contoso.com",)
    assert contexts.server is not before


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        (
            "certificate",
            None,
            "No such file or directory; name readable, unencrypted PEM files in certificate and private_key",
        ),
        ("certificate", "nothing", "; name readable, unencrypted PEM files in certificate and private_key"),
        ("ca", None, "No such file or directory; name a readable file of PEM certificates in ca"),
        ("ca", "nothing", "; name a readable file of PEM certificates in ca"),
    ],
)
def test_files_that_are_no_good_change_nothing(
    authority: trustme.CA, tmp_path: Path, file: str, content: str | None, text: str
) -> None:
    files = issue(authority, tmp_path, GATEWAY)
    contexts = TlsContexts(TlsSettings(files, clients=ssl.CERT_NONE))
    path: Path = getattr(files, file)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(TlsError) as caught:
        contexts.reload()
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(text)
    connect(contexts.client(files), contexts.server, GATEWAY)


def test_a_key_of_another_certificate_changes_nothing(authority: trustme.CA, tmp_path: Path) -> None:
    files = issue(authority, tmp_path, GATEWAY)
    contexts = TlsContexts(TlsSettings(files))
    assert files.private_key is not None
    files.private_key.write_bytes(authority.issue_cert("x.y").private_key_pem.bytes())
    with pytest.raises(TlsError, match=r"sipgw.contoso.com.key is not the key of .*sipgw.contoso.com.pem"):
        contexts.reload()


def test_an_encrypted_key_does_not_ask_for_its_password(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    files = issue(trustme.CA(), tmp_path, GATEWAY)
    assert files.private_key is not None
    files.private_key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(TlsError, match="name readable, unencrypted PEM files"):
        TlsContexts(TlsSettings(files))


# reasons


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate not trusted: the other side wants a certificate of ours"),
        ("TLSV1_ALERT_UNKNOWN_CA", "certificate not trusted: the other side does not know the authority"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate not trusted: our certificate has expired"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "certificate not trusted: the other side broke off the handshake"),
        ("WRONG_VERSION_NUMBER", "the other side does not speak TLS"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no common version of TLS"),
        ("BAD_SIGNATURE", "TLS: bad signature"),
    ],
)
def test_reasons_tell_what_to_look_at(reason: str, text: str) -> None:
    error = ssl.SSLError(1, "text")
    error.reason = reason
    assert reason_of(error).startswith(text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "closed by the other side"),
        (ConnectionResetError(), "closed by the other side"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ValueError(), "ValueError"),
        (ssl.SSLError(1, "odd"), "odd"),
    ],
)
def test_reasons_of_other_failures(error: Exception, text: str) -> None:
    assert text in reason_of(error)
