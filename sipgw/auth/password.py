"""What is kept of a password: the NT hash that NTLM needs ([MS-NLMP] §3.3.1), and Digest's HA1 (RFC 7616 §3.4.2)."""

from collections.abc import Iterable
from hashlib import md5, new, sha256

ALGORITHMS = ("SHA-256", "SHA-512-256", "MD5")  # in the order in which a server offers them (RFC 8760 §2.3)


def digest(algorithm: str, data: bytes) -> str:
    """H(data) in hexadecimal, as Digest writes it. `algorithm` is one of ALGORITHMS."""
    if algorithm == "SHA-256":
        return sha256(data).hexdigest()
    if algorithm == "SHA-512-256":
        return new("sha512_256", data).hexdigest()
    return md5(data, usedforsecurity=False).hexdigest()


def nt_hash(password: str) -> bytes:
    """MD4 of the password in UTF-16, 16 bytes."""
    # OpenSSL 3 has moved MD4 where hashlib does not find it; vectors hold this one, which takes long to load
    from spnego._ntlm_raw.md4 import md4

    return md4(password.encode("utf-16-le"))


def ha1_of(name: str, realm: str, password: str, algorithms: Iterable[str] = ALGORITHMS) -> dict[str, str]:
    """H(name:realm:password) by algorithm."""
    text = f"{name}:{realm}:{password}".encode()
    return {algorithm: digest(algorithm, text) for algorithm in algorithms}
