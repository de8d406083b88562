"""`sipgw explain` with lines, stores and configurations that cannot be read."""

from pathlib import Path

import pytest

from tests.management.conftest import Run, edit

OCSCHAT = "sip:ocschat@contoso.com"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("INVITE",), "Missing argument 'URI'"),
        (
            ("invite", OCSCHAT),
            "Invalid value for 'METHOD': \"invite\" is not written in capitals; methods are, write INVITE",
        ),
        (("IN VITE", OCSCHAT), "Invalid value for 'METHOD': \"IN VITE\" is no method; write one like INVITE"),
        (("", OCSCHAT), "Invalid value for 'METHOD': \"\" is no method; write one like INVITE"),
        (("INVITE", "ocschat"), "Invalid value for 'URI': not a URI: 'ocschat'; write one like sip:user@domain"),
        (("INVITE", ""), "Invalid value for 'URI': not a URI: ''; write one like sip:user@domain"),
        (
            ("INVITE", "tel:1\r\nVia: x"),
            "Invalid value for 'URI': it has a space or a control character in it; write one like sip:user@domain",
        ),
        (("INVITE", OCSCHAT, "--from", "x"), "Invalid value for '--from': \"x\" is not of the form sip:user@domain"),
    ],
)
def test_what_cannot_be_read(sipgw: Run, arguments: tuple[str, ...], text: str) -> None:
    assert sipgw("explain", *arguments) == (2, "", f"sipgw explain: {text}; see sipgw explain --help\n")


def test_a_store_that_cannot_be_read(sipgw: Run, tmp_path: Path) -> None:
    path = tmp_path / "sipgw.db"
    path.write_bytes(b"?" * 999)
    text = f"sipgw: store {path}: file is not a database; name another file in store.url\n"
    assert sipgw("explain", "INVITE", OCSCHAT) == (1, "", text)


def test_a_configuration_that_is_wrong(sipgw: Run, gw: Path) -> None:
    edit(gw, ("[gateway]", "[gateway]\nfqdn = 5"))
    found = sipgw("explain", "INVITE", OCSCHAT)
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
