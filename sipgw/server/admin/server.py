"""The API of a running gateway: started and ended with it, reachable where admin.listen says."""

import socket
from typing import TYPE_CHECKING

from sipgw.message.values import host_port
from sipgw.observability.log import get_logger
from sipgw.server.admin.access import Access
from sipgw.server.admin.listening import HttpServer, bind_http
from sipgw.server.admin.routes import application

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp


class AdminServer:
    """`url` is where it is reached; `access` says who may use it, and may be set anew. Making one raises OSError when
    the address cannot be had; `sock` is one that is bound to it already. `close` ends it."""

    def __init__(self, gateway: "GatewayApp", access: Access, sock: socket.socket | None = None) -> None:
        host, port = gateway.config.admin.listen
        sock = sock or bind_http(host, port)
        self.access = access
        self.url = f"http://{host_port(host, sock.getsockname()[1])}"
        app = application(gateway, lambda: self.access, gateway.shell.counters, get_logger)
        self._http = HttpServer(app, sock)

    async def close(self) -> None:
        await self._http.close()
