"""Envelopes as they went over the wire between pidgin-sipe 1.25 and a server whose answers it could read."""

LOBBY_GUID = "11111111-1111-1111-1111-111111111111"
LOBBY = f"ma-chan://example.test/{LOBBY_GUID}"
CHANNEL = "sip:GC-1-PersistentChatService-5@example.test"


def _envelope(envid: str, content: str) -> bytes:
    return f'<xccos ver="1" envid="{envid}" xmlns="urn:parlano:xml:ns:xccos">{content}</xccos>'.encode()


def _answer(envid: str, name: str, command_envid: str, data: str) -> bytes:
    command = f'<commandid seqid="1" envid="{command_envid}"/><resp code="200">SUCCESS_OK</resp>'
    return _envelope(envid, f'<rpl id="rpl:{name}" seqid="1">{command}{data}</rpl>')


# from the client, in the order of a session
REQURI = _envelope("1901187623", '<cmd id="cmd:requri" seqid="1"><data/></cmd>')
GETINV = _envelope(
    "1901187624", '<cmd id="cmd:getinv" seqid="1"><data><inv inviteId="1" domain="example.test"/></data></cmd>'
)
CHANSRCH = _envelope(
    "1901187625",
    '<cmd id="cmd:chansrch" seqid="1"><data><qib qtype="BYNAME" criteria="" extended="false"/></data></cmd>',
)
JOIN = _envelope(
    "1901187626",
    f'<cmd id="cmd:join" seqid="1"><data><chanid key="0" domain="example.test" value="{LOBBY_GUID}"/></data></cmd>',
)
BCCONTEXT = _envelope(
    "1901187627",
    f'<cmd id="cmd:bccontext" seqid="1"><data><chanib uri="{LOBBY}"/><bcq><last cnt="25"/></bcq></data></cmd>',
)
GRPCHAT = _envelope(
    "1901187628",
    f'<grpchat id="grpchat" seqid="1" chanUri="{LOBBY}" author="sip:alice@example.test" ts="2026-11-22T21:42:20Z">'
    "<chat>hello &lt;b&gt; &amp; wörld bold\r\nline2</chat></grpchat>",
)
PART = _envelope("1901187629", f'<cmd id="cmd:part" seqid="1"><data><chanib uri="{LOBBY}"/></data></cmd>')

# to the client
RPL_REQURI = _answer(
    "2113141696",
    "requri",
    "1901187623",
    f'<data><uib uri="{CHANNEL}" uname="" disname="" id="-1" type="5"/></data>',
)
RPL_JOIN = _answer(
    "236122519",
    "join",
    "1901187626",
    '<data><uib uri="sip:alice@example.test" uname="Alice" disname="Alice A" id="0" type="1"/>'
    '<uib uri="sip:bob@example.test" uname="Bob" disname="Bob B" id="1" type="1"/>'
    f'<chanib name="Lobby" description="desc of Lobby" uri="{LOBBY}" behavior="NORMAL" topic="topic of Lobby"'
    ' keywords="" filerepository="https://x/"><info id="urn:parlano:ma:info:filestoreuri">https://x/</info>'
    '<info id="urn:parlano:ma:info:ucnt">3</info><info id="urn:parlano:ma:info:visibility">SCOPED</info>'
    '<prop id="urn:parlano:ma:prop:logged">True</prop><prop id="urn:parlano:ma:prop:invite">true</prop>'
    '<prop id="urn:parlano:ma:prop:filepost">True</prop><aib key="3984" value="0,1"/><aib key="12276" value="1"/>'
    "</chanib></data>",
)
RPL_BCCONTEXT = _answer(
    "2711756749",
    "bccontext",
    "1901187627",
    f'<data><chanib uri="{LOBBY}"><msg id="grpchat" chanUri="{LOBBY}" author="sip:bob@example.test" authdisp="Bob B"'
    ' alert="false" chatId="1" ts="2009-11-02T21:24:12.4870000Z"><chat>old line &lt;1&gt;</chat></msg></chanib>'
    '<bcq><last cnt="25"/></bcq></data>',
)
GRPCHAT_BACK = _envelope(
    "819035014",
    f'<grpchat id="grpchat" seqid="1" chanUri="{LOBBY}" author="sip:alice@example.test" authdisp="Someone"'
    ' alert="false" chatId="11" ts="2026-11-22T21:42:20.0000000Z">'
    "<chat>hello &lt;b&gt; &amp; wörld bold\nline2</chat></grpchat>",
)
RPL_PART = _answer("3458160645", "part", "1901187629", f'<data><chanib uri="{LOBBY}"/></data>')

FROM_CLIENT = (REQURI, GETINV, CHANSRCH, JOIN, BCCONTEXT, GRPCHAT, PART)
TO_CLIENT = (RPL_REQURI, RPL_JOIN, RPL_BCCONTEXT, GRPCHAT_BACK, RPL_PART)
