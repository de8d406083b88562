"""The command line's client of the API towards whoever may listen at the address instead of a gateway."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sipgw.config import default_config
from sipgw.management.api_client import ApiError, GatewayClient, running_gateway
from sipgw.registry import RegistryError

JSON = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s"
PROBLEM = b'{"type": "urn:sipgw:problem:%s", "title": "T", "status": %d, "detail": "what to do", "problems": []}'


@contextmanager
def somebody(answer: bytes) -> Iterator[int]:
    """A port at which the first who asks gets these bytes."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(20)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        JSON % (200, b'{"version": "1"}'),
        JSON % (404, PROBLEM % (b"not-found", 404)),
    ],
    ids=["nothing", "no HTTP", "text", "404", "other JSON", "a gateway without this operation"],
)
def test_what_is_no_gateway_of_this_release_is_none(answer: bytes) -> None:
    config = default_config()
    with somebody(answer) as port:
        admin = config.admin.model_copy(update={"listen": ("127.0.0.1", port)})
        assert running_gateway(replace(config, admin=admin)) is None


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"", ApiError, "cannot be asked"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhal", ApiError, "cannot be asked"),
        (JSON % (200, b"[]"), ApiError, "answers 200 with what no gateway of this release says"),
        (JSON % (502, b"<html>"), ApiError, "answers 502, as no gateway of this release does"),
        (JSON % (500, PROBLEM % (b"internal", 500)), ApiError, "what to do"),
        (JSON % (418, PROBLEM % (b"of-a-later-release", 418)), ApiError, "what to do"),
        (JSON % (422, PROBLEM % (b"invalid", 422)), RegistryError, "what to do"),
    ],
)
def test_errors_are_one_clear_line(answer: bytes, kind: type[Exception], said: str) -> None:
    with somebody(answer) as port, pytest.raises(kind, match=said) as raised:
        GatewayClient("127.0.0.1", port).pools()
    assert "\n" not in str(raised.value)


def test_a_wildcard_is_asked_for_on_this_machine() -> None:
    assert GatewayClient("0.0.0.0", 8060).url == "http://127.0.0.1:8060"
    assert GatewayClient("::", 8060).url == "http://[::1]:8060"


@pytest.mark.parametrize(
    ("named", "said"), [(False, "wants a token, and no file is named"), (True, "does not know the first token of ")]
)
def test_a_token_that_is_not_the_right_one(tmp_path: Path, named: bool, said: str) -> None:
    """The key is named, and where the right file is."""
    config, file = default_config(), tmp_path / "tokens"
    file.write_text(f"other {'0' * 20}\n", "utf-8")
    with somebody(JSON % (401, PROBLEM % (b"unauthorized", 401))) as port:
        changed = {"listen": ("127.0.0.1", port), "token_file": file if named else None}
        with pytest.raises(ApiError, match=rf"admin\.token_file: the gateway at 127\.0\.0\.1:{port} {said}") as caught:
            running_gateway(replace(config, admin=config.admin.model_copy(update=changed)))
    assert str(caught.value).endswith("; name the file that admin.token_file names in its own configuration")
