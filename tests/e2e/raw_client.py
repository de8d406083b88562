"""A client that writes its own SIP over TCP, as small as can be: what it sends owes nothing to the code under test."""

import asyncio
import itertools
import ssl
from uuid import uuid4


class RawClient:
    """One user, one connection at a time, one dialog. Requests from the server are answered 200 and kept."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.domain = user.partition("@")[2]
        self._branch = itertools.count(1)
        self._seq = itertools.count(1)
        self._call_id = uuid4().hex
        self._register_id = uuid4().hex
        self._instance = uuid4()
        self._tag = uuid4().hex[:8]
        self._peer = ""
        self._target = ""
        self._routes: list[str] = []
        self._contact = f"sip:{user}"
        self._responses: asyncio.Queue[tuple[int, dict[str, str]]] = asyncio.Queue()
        self._infos: asyncio.Queue[bytes] = asyncio.Queue()
        self._reader: asyncio.Task[None]
        self._writer: asyncio.StreamWriter

    async def connect(self, port: int, secure: ssl.SSLContext | None = None) -> None:
        """By TLS with a context, by TCP without."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=secure)
        self._reader = asyncio.create_task(self._read(reader))

    async def lost(self) -> None:
        """Wait until the server has closed the connection."""
        await asyncio.wait_for(self._reader, 10)
        await self.close()

    async def close(self) -> None:
        """Leave without a word."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = [line.partition(":")[::2] for line in head[1:] if line]
                headers: dict[str, str] = {}
                for name, value in pairs:
                    key = name.strip().lower()
                    headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self._message(head, headers, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def _message(self, head: list[str], headers: dict[str, str], body: bytes) -> None:
        first = head[0].split(" ")
        if first[0] == "SIP/2.0":
            if first[1] != "100":
                self._responses.put_nowait((int(first[1]), headers))
            return
        copied = [
            line for line in head[1:] if line.partition(":")[0].lower() in ("via", "from", "to", "call-id", "cseq")
        ]
        self._write("\r\n".join(["SIP/2.0 200 OK", *copied, "Content-Length: 0", "", ""]))
        if first[0] == "INFO":
            self._infos.put_nowait(body)

    def _write(self, text: str, body: bytes = b"") -> None:
        self._writer.write(text.encode() + body)

    async def _request(self, method: str, uri: str, *lines: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
        via = f"Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{self._tag}{next(self._branch)}"
        head = [f"{method} {uri} SIP/2.0", via, "Max-Forwards: 70", *lines, f"Content-Length: {len(body)}", "", ""]
        self._write("\r\n".join(head), body)
        if method == "ACK":
            return 0, {}
        return await asyncio.wait_for(self._responses.get(), 10)

    async def register(self, query: bool = False) -> tuple[int, dict[str, str]]:
        """Sign in, or with `query` (then without a Contact) ask for the bindings there are before signing in again."""
        if query:
            found = await self._register_once()
            status, _ = await self._register_once(self._contact_line())
            assert status == 200
            return found
        return await self._register_once(self._contact_line())

    async def ask(self) -> dict[str, str]:
        """For the bindings there are. The headers of the answer."""
        return (await self._register_once())[1]

    def _contact_line(self) -> str:
        return f'Contact: <sip:127.0.0.1;transport=tcp>;+sip.instance="<urn:uuid:{self._instance}>"'

    async def _register_once(self, *lines: str) -> tuple[int, dict[str, str]]:
        answer = await self._request(
            "REGISTER", f"sip:{self.domain}",
            f"From: <sip:{self.user}>;tag={self._tag};epid=0123456789ab", f"To: <sip:{self.user}>",
            f"Call-ID: {self._register_id}", f"CSeq: {next(self._seq)} REGISTER", "Event: registration", *lines,
        )  # fmt: skip
        gruu = answer[1].get("contact", "").partition('gruu="')[2].partition('"')[0]
        self._contact = gruu or self._contact
        return answer

    async def invite(self, uri: str) -> None:
        """Open the dialog."""
        number = next(self._seq)
        status, headers = await self._request(
            "INVITE", uri, f"From: <sip:{self.user}>;tag={self._tag}", f"To: <{uri}>", f"Call-ID: {self._call_id}",
            f"CSeq: {number} INVITE", f"Contact: <{self._contact}>",
        )  # fmt: skip
        assert status == 200, status
        self._peer = headers["to"]
        self._target = headers["contact"].partition("<")[2].partition(">")[0]
        self._routes = [f"Route: {value.strip()}" for value in reversed(headers["record-route"].split(","))]
        await self._request("ACK", self._target, *self._dialog_lines(number, "ACK"))

    def _dialog_lines(self, number: int, method: str) -> list[str]:
        return [
            *self._routes, f"From: <sip:{self.user}>;tag={self._tag}", f"To: {self._peer}", f"Call-ID: {self._call_id}",
            f"CSeq: {number} {method}",
        ]  # fmt: skip

    async def info(self, body: bytes) -> int:
        lines = [*self._dialog_lines(next(self._seq), "INFO"), "Content-Type: text/plain"]
        return (await self._request("INFO", self._target, *lines, body=body))[0]

    async def message(self, uri: str, body: bytes, call_id: str = "") -> int:
        """Outside of dialogs. The status of the answer."""
        number = next(self._seq)
        return (await self._request(
            "MESSAGE", uri, f"From: <sip:{self.user}>;tag={self._tag}{number}", f"To: <{uri}>",
            f"Call-ID: {call_id or uuid4().hex}", f"CSeq: {number} MESSAGE", "Content-Type: text/plain", body=body,
        ))[0]  # fmt: skip

    async def next_info(self) -> bytes:
        """The body of the next INFO that the server sends."""
        return await self._infos.get()

    async def bye(self) -> int:
        return (await self._request("BYE", self._target, *self._dialog_lines(next(self._seq), "BYE")))[0]
