"""Which user of this machine is at the other end of a loopback connection, from the kernel's tables (proc(5))."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from sipgw.server.audit import user_name

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_UID = 7  # column of a row, after number, both addresses, state, queues, timers and retransmissions


def peer_user(client: tuple[str, int], server: tuple[str, int], tables: Sequence[Path] = TABLES) -> str:
    """Whose the client's socket is; "" where the tables do not tell, as for other machines. Reads files."""
    try:
        addresses = ip_address(client[0]), ip_address(server[0])
    except ValueError:
        return ""
    if not addresses[0].is_loopback:
        return ""
    ends = [_ends(address, port) for address, port in zip(addresses, (client[1], server[1]), strict=True)]
    uid = next((found for table in tables if (found := _uid(table, *ends)) is not None), None)
    return user_name(uid) if uid is not None else ""


def _uid(table: Path, local: set[str], remote: set[str]) -> int | None:
    try:
        rows = table.read_text("ascii").splitlines()
    except OSError:
        return None
    for row in rows:
        columns = row.split(maxsplit=_UID + 1)
        if len(columns) > _UID and columns[1] in local and columns[2] in remote:
            return int(columns[_UID])
    return None


def _ends(address: IPv4Address | IPv6Address, port: int) -> set[str]:
    """How the tables may write an address and a port: words of the machine's order; IPv4 also mapped into IPv6."""
    words = [address.packed[at : at + 4] for at in range(0, len(address.packed), 4)]
    text = "".join(f"{int.from_bytes(word, 'little'):08X}" for word in words)
    forms = {text} if address.version == 6 else {text, f"{'0' * 16}FFFF0000{text}"}
    return {f"{form}:{port:04X}" for form in forms}
