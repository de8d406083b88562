"""pidgin-sipe, unmodified, when its user signs in at one endpoint more than is allowed (for tests/e2e/)."""

import asyncio
from pathlib import Path

from tests.e2e.programs import sipgw, write_config
from tests.sipe.client import StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

REGISTER = """REGISTER sip:contoso.com SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKother
Max-Forwards: 70
From: <sip:alice@contoso.com>;tag=other;epid=0123456789ab
To: <sip:alice@contoso.com>
Call-ID: another-machine
CSeq: 1 REGISTER
Contact: <sip:127.0.0.1:1;transport=tcp>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>"
Event: registration
Content-Length: 0

"""


async def test_the_client_is_signed_out_and_shows_why(tmp_path: Path, start_client: StartClient) -> None:
    config = write_config(tmp_path, "tcp:127.0.0.1:9", listen=("tcp:127.0.0.1:0",))
    text = config.read_text("utf-8")
    config.write_text(text.replace("[limits]", "[limits]\nmax_bindings_per_user = 1"), "utf-8")
    async with sipgw("serve", "--config", config) as gateway:
        port = (await gateway.ports())["tcp"]
        alice = await start_client("alice@contoso.com", f"127.0.0.1:{port}", transport="tcp")
        await alice.wait_for("signed_on")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REGISTER.replace("\n", "\r\n").encode())
        assert (await reader.readline()).startswith(b"SIP/2.0 200")
        told = await alice.wait_for("connection_error")
        assert "more endpoints than are allowed" in told["text"]
        assert "signed out by a further endpoint" in await gateway.line("signed out by a further endpoint", "alice@")
        writer.close()
        await writer.wait_closed()
