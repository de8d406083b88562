"""Log lines: their form, their level, and that no secret and no control character gets into them."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from sipgw.observability.log import configure, get_logger, level_enabled
from sipgw.observability.redaction import MASK


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    configure("console", "info")
    structlog.reset_defaults()


def logged(log_format: str, level: str = "info", **fields: object) -> str:
    stream = io.StringIO()
    configure(log_format, level, stream)
    get_logger().info("signed in", **fields)
    return stream.getvalue()


def test_json() -> None:
    line = logged("json", user="alice@contoso.com", expires=600)
    assert line.endswith("\n") and line.count("\n") == 1
    record = json.loads(line)
    assert record.pop("timestamp").endswith("Z")
    assert record == {"event": "signed in", "level": "info", "user": "alice@contoso.com", "expires": 600}


def test_console() -> None:
    line = logged("console", user="alice@contoso.com")
    assert "[info" in line and "signed in" in line and "user=alice@contoso.com" in line
    assert line.count("\n") == 1 and "\x1b" not in line, "no colours where there is no terminal"


@pytest.mark.parametrize(
    ("level", "enabled"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(level: str, enabled: list[str]) -> None:
    stream = io.StringIO()
    configure("json", level, stream)
    names = ["debug", "info", "warning", "error"]
    for name in names:
        getattr(get_logger(), name)("x")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == enabled
    assert [name for name in names if level_enabled(name)] == enabled


@pytest.mark.parametrize("name", ["password", "user_password", "Authorization", "token", "flow_secret", "gssapi_data"])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_fields_with_the_name_of_a_secret(name: str, log_format: str) -> None:
    line = logged(log_format, **{name: "hunter2"})
    assert "hunter2" not in line and MASK in line


@pytest.mark.parametrize(
    "text",
    [
        'REGISTER sip:c SIP/2.0\r\nAuthorization: NTLM opaque="hunter2",\r\n gssapi-data="hunter2"\r\nFrom: <sip:a@c>',
        'proxy-authorization : Digest username="a", response="hunter2"\r\nFrom: <sip:a@c>',
        'Authentication-Info: NTLM rspauth="hunter2"\nFrom: <sip:a@c>',
        "From: <sip:a@c> gssapi-data=hunter2",
        'refused: password="hunter2" From: <sip:a@c>',
    ],
)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_texts_that_hold_a_secret(text: str, as_bytes: bool) -> None:
    line = logged("json", message=text.encode() if as_bytes else text)
    assert "hunter2" not in line and MASK in line
    assert "From: <sip:a@c>" in line, "the rest stays readable"


def test_what_is_no_secret_stays() -> None:
    text = "sip:a@c;opaque=user:epid:x;gruu and author: bob"
    assert json.loads(logged("json", message=text))["message"] == text


@pytest.mark.parametrize("text", ["\x1b[2J", "a\r\n2026-01-01 [error] forged", "\u202eright to left"])
def test_a_peer_cannot_steer_the_terminal(text: str) -> None:
    line = logged("console", agent=text)
    assert line.removesuffix("\n").isprintable()


class Gone(io.StringIO):
    """Where nobody reads any longer."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_reader_who_has_gone_costs_lines_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("console", "info")
    log = get_logger()
    with monkeypatch.context() as patched:
        for stream in (Gone(), closed := io.StringIO()):
            closed.close()
            patched.setattr("sys.stderr", stream)
            log.info("nobody reads this")
    log.info("somebody reads this")
    assert "somebody reads this" in capsys.readouterr().err
