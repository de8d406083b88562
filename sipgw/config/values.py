"""Single values of the configuration: how they are written and what is said when they are not.

Each parser takes what TOML gave and raises ValueError with a text that says what is wrong and what would be right.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationInfo

from sipgw.config.problems import shown
from sipgw.message.errors import MalformedMessage
from sipgw.message.uri import parse_uri
from sipgw.message.values import bracketed
from sipgw.registry import RegistryError, Server, check_display_name, parse_address

Network = IPv4Network | IPv6Network

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")  # RFC 1123 §2.1, and the underscores that real hosts have
_FORM = "write transport:host:port"


class TlsFiles(NamedTuple):
    """PEM files: who we are, and who says who others are. The first two are both there or both None."""

    certificate: Path | None = None
    private_key: Path | None = None
    ca: Path | None = None


class ListenAddress(NamedTuple):
    """Where to listen. `transport` is "UDP", "TCP" or "TLS"; `port` 0 takes a free one."""

    transport: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost counts as reachable from elsewhere."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{bracketed(self.host)}:{self.port}"


def is_numeric(host: str) -> bool:
    """Whether a host is an address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def text(value: object) -> str:
    """The value, which has to be a text. Raises ValueError, the error that pydantic collects."""
    if not isinstance(value, str):
        raise ValueError(f"is {shown(value)}; write a text in quotes")
    return value


def parse_listen(value: object) -> ListenAddress:
    """`udp:HOST:PORT`, `tcp:[::1]:5060`, `tls:...`; port 0 takes a free one. Raises ValueError."""
    return ListenAddress(*_transport_host_port(text(value)))


def parse_server(value: object) -> Server:
    """A pool's server, written as a listener is but with a port. Raises ValueError."""
    written = text(value)
    transport, host, port = _transport_host_port(written)
    if port == 0:
        raise ValueError(f'"{written}" has port 0, which nobody can connect to; {_FORM}')
    return Server(transport, host, port)


def parse_collector(value: object) -> tuple[str, int] | None:
    """`udp:HOST:PORT`, where HEP is sent to; None for "". Raises ValueError."""
    written = text(value)
    if not written:
        return None
    form = "write udp:host:port, or nothing"
    if not written.lower().startswith("udp:"):
        raise ValueError(f'"{written}" is not sent to by UDP; {form}')
    host, port = parse_host_port(written[4:], written, form)
    if port == 0:
        raise ValueError(f'"{written}" has port 0, where nobody can listen; {form}')
    return host, port


def parse_server_name(value: object) -> str:
    """A server of a pool as the gateway writes it, `tcp:10.1.0.5:5041`, or an address for all its ports. Raises
    ValueError."""
    written = text(value)
    if written.partition(":")[0].lower() in ("udp", "tcp", "tls"):
        return str(parse_server(written))
    try:
        return str(ip_address(written))
    except ValueError:
        raise ValueError(f'"{written}" is neither an address nor a server; {_FORM}') from None


def _transport_host_port(written: str) -> tuple[str, str, int]:
    transport, colon, address = written.partition(":")
    if not colon or transport.lower() not in ("udp", "tcp", "tls"):
        raise ValueError(f'"{written}" has no transport; {_FORM} with udp, tcp or tls')
    host, port = parse_host_port(address, written, _FORM)
    return transport.upper(), host, port


def parse_host_port(address: str, written: str, form: str) -> tuple[str, int]:
    """Cut `host:port` or `[v6]:port`. `written` is quoted and `form` advised in errors. Raises ValueError."""
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        if not closed:
            raise ValueError(f'"{written}" has no ] after its IPv6 address; {form}')
    else:
        host, _, rest = address.partition(":")
        rest = f":{rest}" if rest else rest
        if rest.count(":") > 1:
            raise ValueError(f'"{written}" has an IPv6 address without brackets; write it as [::1]')
    if not rest.startswith(":"):
        raise ValueError(f'"{written}" has no port; {form}')
    port = rest[1:]
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f'"{written}" has the port "{port}"; write a number from 1 to 65535')
    _check_host(host, address.startswith("["), written)
    return host, int(port)


def _check_host(host: str, in_brackets: bool, written: str) -> None:
    try:
        known = ip_address(host)
    except ValueError:
        known = None
    if in_brackets and (known is None or known.version != 6):
        raise ValueError(f'"{written}" has no IPv6 address between its brackets')
    looks_numeric = re.fullmatch(r"[0-9.]+", host) is not None
    if known is None and (looks_numeric or len(host) > 253 or not _NAME.fullmatch(host)):
        raise ValueError(f'"{written}" has the host "{host}", which is neither an address nor a name')


def parse_name(value: object) -> str:
    """A host or domain name, in lower case. Raises ValueError."""
    written = text(value)
    name = written.lower().removesuffix(".")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(f'"{written}" is not a domain name; write one like chat.contoso.com')
    return name


def parse_peer(value: object) -> Network | str:
    """An address or network in CIDR form, or a name out of a certificate in lower case. Raises ValueError."""
    written = text(value)
    try:
        return ip_network(written)
    except ValueError as error:
        if "/" in written and "host bits" in str(error):
            right = ip_network(written, strict=False)
            raise ValueError(f'"{written}" has bits beyond its prefix; write {right}') from None
    if _NAME.fullmatch(written) and not re.fullmatch(r"[0-9.]+", written):
        return parse_name(written)
    raise ValueError(f'"{written}" is neither a network nor a name; write one like 10.1.0.0/16 or sip.contoso.com')


def parse_endpoint_address(value: object) -> str:
    """A SIP address to its normal form: `sip:user@host` in lower case. Raises ValueError."""
    try:
        return f"sip:{parse_address(text(value))}"
    except RegistryError as error:
        raise ValueError(str(error)) from None


def parse_service_uri(value: object) -> str:
    """The same for a pool's own contact object, whose case is kept: clients are told it; "" for none."""
    written = text(value)
    if written:
        parse_endpoint_address(written)
    return re.sub(r"(?i)\A(sip:)?(?=.)", "sip:", written)


def parse_route_uri(value: object) -> str:
    """The sip: URI of a loose router, as it stands in Route. Raises ValueError."""
    written = text(value)
    try:
        uri = parse_uri(written)
    except MalformedMessage as error:
        raise ValueError(f"{error.reason}; write one like sip:proxy.contoso.com;lr") from None
    if "lr" not in uri.params or uri.headers:
        raise ValueError(f'"{written}" is no loose router; write it with ;lr at its end')
    return written


def parse_display_name(value: object) -> str:
    """A display name. Raises ValueError."""
    try:
        return check_display_name(text(value))
    except RegistryError as error:
        raise ValueError(str(error)) from None


def parse_path(value: object, info: ValidationInfo) -> Path | None:
    """A path, from the folder of the configuration file on; None for "". Raises ValueError."""
    written = text(value)
    if not written:
        return None
    if "\0" in written:
        raise ValueError("a path cannot hold a null character")
    return _folder(info) / written


def parse_file(value: object, info: ValidationInfo) -> Path | None:
    """A path at which there is a file; None for "". Raises ValueError."""
    path = parse_path(value, info)
    try:
        if path is None or path.is_file():
            return path
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; name a file that this user can read") from None
    raise ValueError(f"there is no file {path}; paths start at the folder of this file")


def parse_store(value: object, info: ValidationInfo) -> Path:
    """`sqlite:PATH` to the path. Raises ValueError."""
    written = text(value)
    scheme, _, rest = written.partition(":")
    if scheme in ("redis", "rediss"):
        raise ValueError(f'"{written}": redis arrives with a later release; write sqlite:FILE')
    if scheme != "sqlite" or not rest:
        raise ValueError(f'"{written}" is not a store; write sqlite:FILE')
    if rest == ":memory:":
        raise ValueError("registrations have to survive a restart, so the store is a file; write sqlite:FILE")
    path = parse_path(rest, info)
    assert path is not None
    return path


def parse_users(value: object, info: ValidationInfo) -> Path | str:
    """A file of users, or a directory's `ldap://host`, `ldaps://host:636`. Raises ValueError."""
    written = text(value)
    scheme, there, address = written.partition("://")
    address = address.removesuffix("/")
    if not there:
        path = parse_path(written, info)
        if path is None:
            raise ValueError("is empty; name a file, or a directory as ldap://host")
        return path
    if scheme.lower() not in ("ldap", "ldaps"):
        raise ValueError(f'"{written}" is neither a file nor a directory; write one like users.toml or ldap://host')
    form = "write ldap://host, ldap://host:389 or ldaps://host:636"
    default = ":636" if scheme.lower() == "ldaps" else ":389"
    has_port = re.search(r":[0-9]+\Z", address) and not address.endswith("]")
    host, port = parse_host_port(address + ("" if has_port else default), written, form)
    return f"{scheme.lower()}://{bracketed(host)}:{port}"


def _folder(info: ValidationInfo) -> Path:
    folder = (info.context or {})["folder"]
    assert isinstance(folder, Path)
    return folder


def parse_admin_listen(value: object) -> tuple[str, int]:
    """`HOST:PORT`. Raises ValueError."""
    written = text(value)
    return parse_host_port(written, written, "write host:port")
