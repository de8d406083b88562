"""pidgin-sipe signs in with NTLM while its clock and the gateway's are twenty minutes apart, where fifteen are allowed.

It writes into its messages the time that the gateway's challenge has ([MS-NLMP] §3.1.5.1.2), and dates none of them: so
it does not matter. What a client gets that goes by its own clock is in tests/scenarios/sign_in/test_clocks.py.
"""

import re
import time
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path

import pytest

from tests.e2e.kerberos.kdc import clock_off
from tests.e2e.sign_in.site import site
from tests.e2e.sign_in.test_ntlm_real_client import chat, sign_on
from tests.sipe.client import SipeClient, StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]
pytestmark = pytest.mark.peer("faketime", "faketime")
DATE = re.compile(r"(?m)^Date: (.*GMT)")


def texts(client: SipeClient) -> str:
    return "\n".join(message.text for message in client.sip_messages() if not message.sent)


@pytest.mark.parametrize("by", ["-20m", "+20m"])
async def test_a_gateway_whose_clock_is_off(tmp_path: Path, start_client: StartClient, by: str) -> None:
    async with site(tmp_path, "ntlm", by=clock_off(by)) as here:
        alice = await sign_on(here, start_client)
        await chat(alice, "hello")
        told = [mktime_tz(parsedate_tz(date)) for date in DATE.findall(texts(alice))]
        assert told and all(1100 < abs(at - time.time()) < 1300 for at in told), "the gateway goes by another clock"
        assert not any("\nDate:" in message.text for message in alice.sip_messages() if message.sent)
        assert not alice.seen("connection_error") and not here.lines("sign-in failed")
