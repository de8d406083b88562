"""The addresses that are ours: what names us, and which of our listeners stands for us towards a peer."""

from sipgw.events import Flow, Hop, Listener
from sipgw.locating.destination import DEFAULT_PORTS
from sipgw.message.values import bracketed, host_port


class OwnAddresses:
    """`names` are what a URI without a user names us by, host or host:port, and `hosts` those without a port, both in
    lower case; `suffixes` what follows the @ in our Record-Route URIs; `sent_by` our places in Via, in lower case."""

    __slots__ = ("_fqdn", "_stands_for", "hosts", "listeners", "names", "sent_by", "suffixes")

    def __init__(self, fqdn: str, listeners: list[Listener]) -> None:
        self._fqdn = fqdn
        self.listeners = listeners
        self.names = {fqdn.lower()}
        self.hosts = {fqdn.lower(), *(listener.host.lower() for listener in listeners)}
        for listener in listeners:
            self.names |= {listener.sent_by.lower(), host_port(listener.host, listener.port).lower()}
            if listener.port == DEFAULT_PORTS[listener.transport]:  # §19.1.2: no port names this one
                self.names.add(bracketed(listener.host).lower())
        self.suffixes = {_suffix_of(listener) for listener in listeners}
        self.sent_by = frozenset(listener.sent_by.lower() for listener in listeners)
        kinds = [(transport, ipv6) for transport in DEFAULT_PORTS for ipv6 in (False, True)]
        self._stands_for = {kind: _best_of(listeners, *kind) for kind in kinds}

    def listener_for(self, transport: str, ipv6: bool = False) -> Listener | None:
        """The listener that stands for us towards a hop."""
        return self._stands_for[transport, ipv6]

    def towards(self, to: Flow | Hop) -> Listener | None:
        """The listener that stands for us towards a peer: the one it came in by, else one of the hop's transport."""
        if isinstance(to, Flow) and to.listener is not None:
            return to.listener
        return self._stands_for[to.transport, ":" in to.host]

    def suffix_for(self, to: Flow | Hop) -> str:
        """What follows the @ of a Record-Route URI by which this peer reaches us."""
        listener = self.towards(to)
        return _suffix_of(listener) if listener is not None else f"{self._fqdn};lr"


def _best_of(listeners: list[Listener], transport: str, ipv6: bool) -> Listener | None:
    """Of the same transport, and of the same family where there is a choice; any where there is none."""
    same = [listener for listener in listeners if listener.transport == transport]
    for listener in same:
        if (":" in listener.host) == ipv6:
            return listener
    return (same or listeners or [None])[0]  # type: ignore[list-item]


def _suffix_of(listener: Listener) -> str:
    transport = "" if listener.transport == "UDP" else f";transport={listener.transport.lower()}"
    return f"{listener.sent_by}{transport};lr"
