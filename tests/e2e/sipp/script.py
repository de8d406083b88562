"""SIPp scenarios from a few words: both sides of a call, message by message, as XML.

What belongs to one transaction has one branch, so that a copy or a CANCEL is what it claims to be. SIPp takes an
identical message that comes again for a retransmission and counts it apart.
"""

from collections.abc import Sequence

_REQUEST = """{method} {uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK{side}[pid]x[call_number]x{number}
{routes}From: <sip:{near}@contoso.com>{near_tag}
To: <sip:{far}@contoso.com>{far_tag}
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:{near}@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Content-Length: 0
"""
_OWN_TAG, _PEER_TAG = ";tag=[pid]-[call_number]", "[peer_tag_param]"
_KEEP = """<action>
<ereg regexp=".*" search_in="hdr" header="Via:" assign_to="via"/>
<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="2" assign_to="caller"/>
<ereg regexp=".*" search_in="hdr" header="Record-Route:" assign_to="route"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>
</action>"""
_KEPT = "Via:[$via]\nVia:[$caller]\nRecord-Route:[$route]"


def scenario(name: str, steps: Sequence[str]) -> str:
    kept = ['<Reference variables="via,caller,route,from"/>'] if any("assign_to" in step for step in steps) else []
    return "\n".join(['<?xml version="1.0"?>', f'<scenario name="{name}">', *steps, *kept, "</scenario>"])


def receive(what: str | int, *, optional: bool = False, routes: bool = False, keep: bool = False) -> str:
    """A request or a response. `keep` notes what an answer to it will need after further requests."""
    kind = "request" if isinstance(what, str) else "response"
    extra = (' optional="true"' if optional else "") + (' rrs="true"' if routes else "")
    return f'<recv {kind}="{what}"{extra}>{_KEEP if keep else ""}</recv>'


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


def linger(milliseconds: int) -> str:
    """Stay for retransmissions after the end."""
    return f'<timewait milliseconds="{milliseconds}"/>'


def _send(text: str, retrans: int) -> str:
    again = f' retrans="{retrans}"' if retrans else ""
    return f"<send{again}><![CDATA[\n{text}\n]]></send>"


class Caller:
    """The client's messages towards one endpoint."""

    def __init__(self, endpoint: str, retrans: int = 0) -> None:
        self.endpoint = endpoint
        self.retrans = retrans

    def _text(self, method: str, number: int, cseq: int, *, inside: bool, tagged: bool) -> str:
        return _REQUEST.format(
            method=method, number=number, cseq=cseq, side="a", near="alice", far=self.endpoint, near_tag=_OWN_TAG,
            uri="[next_url]" if inside else f"sip:{self.endpoint}@contoso.com",
            routes="[routes]\n" if inside else "", far_tag=_PEER_TAG if tagged else "",
        )  # fmt: skip

    def invite(self) -> str:
        return _send(self._text("INVITE", 1, 1, inside=False, tagged=False), self.retrans)

    def cancel(self) -> str:
        return _send(self._text("CANCEL", 1, 1, inside=False, tagged=False), self.retrans)

    def ack_failure(self) -> str:
        return _send(self._text("ACK", 1, 1, inside=False, tagged=True), 0)

    def ack(self) -> str:
        return _send(self._text("ACK", 2, 1, inside=True, tagged=True), 0)

    def ask(self, method: str, cseq: int) -> str:
        """A request of the dialog; the same `cseq` is the same request."""
        return _send(self._text(method, cseq + 1, cseq, inside=True, tagged=True), self.retrans)

    def answer(self, status: int) -> str:
        """To the last request received."""
        return _send(_answer(status, "[last_Via:]", "[last_CSeq:]", "", own_tag=False), 0)


class Called:
    """The pool's messages."""

    def __init__(self, endpoint: str, retrans: int = 0) -> None:
        self.endpoint = endpoint
        self.retrans = retrans

    def answer(self, status: int, *, inside: bool = False, retrans: bool = False) -> str:
        """To the last request received."""
        vias = "[last_Via:]" if inside else "[last_Via:]\n[last_Record-Route:]"
        return _send(_answer(status, vias, "[last_CSeq:]", self._contact, own_tag=not inside), self.retrans * retrans)

    def answer_kept(self, status: int) -> str:
        """To the INVITE that was kept."""
        return _send(_answer(status, _KEPT, "CSeq: 1 INVITE", self._contact, own_tag=True), 0)

    @property
    def _contact(self) -> str:
        return f"Contact: <sip:{self.endpoint}@[local_ip]:[local_port];transport=[transport]>\n"

    def bye(self) -> str:
        text = _REQUEST.format(
            method="BYE", number=9, cseq=1, side="b", near=self.endpoint, far="alice", near_tag=_OWN_TAG,
            uri="[next_url]", routes="[routes]\n", far_tag="",
        )  # fmt: skip
        return _send(text.replace("To: <sip:alice@contoso.com>", "To:[$from]"), self.retrans)


def _answer(status: int, vias: str, cseq: str, contact: str, *, own_tag: bool) -> str:
    tag = _OWN_TAG if own_tag else ""
    head = f"SIP/2.0 {status} Text\n{vias}\n[last_From:]\n[last_To:]{tag}\n[last_Call-ID:]\n{cseq}\n"
    return f"{head}{contact}Content-Length: 0\n"
