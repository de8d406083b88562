"""A pool's server in a thread: takes connections, by TLS or not, and answers what it is asked, or does not."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_COPIED = ("via", "from", "to", "call-id", "cseq")


def answer_to(request: bytes, status: int) -> bytes:
    lines = request.decode("latin-1").split("\r\n")
    copied = [line for line in lines[1:] if line.partition(":")[0].lower() in _COPIED]
    return "\r\n".join([f"SIP/2.0 {status} Scripted", *copied, "Content-Length: 0", "", ""]).encode()


@contextmanager
def answering(
    status: int | bytes = 200, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Its port. `status` is what every request is answered with; with 0 it hangs up, with -1 it reads and is
    silent; bytes are sent as they are."""
    with socket.create_server((host, 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, status, context))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, status: int | bytes, context: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                _converse(connection, status, context)


def _converse(connection: socket.socket, status: int | bytes, context: ssl.SSLContext | None) -> None:
    """Until the client has gone; what a client sends is read even where either side breaks off the handshake."""
    if context is not None:
        connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    with connection:
        if isinstance(connection, ssl.SSLSocket):
            try:
                connection.do_handshake()
            except OSError:
                socket.socket.recv(connection, 4096)
                return
        while status and (data := connection.recv(65_536)):
            if isinstance(status, bytes):
                connection.sendall(status)
            elif status > 0:
                connection.sendall(answer_to(data, status))
