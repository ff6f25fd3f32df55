"""The receive hash: one number for all packets of an inner flow, the same in both directions.

::

    source address │ destination address │ source port │ destination port        of IP; ports of TCP and UDP only

Toeplitz's hash with the key 6d5a, 6d5a ...: it repeats every 16 bits, so exchanging the two ends changes nothing.
"""

from sim.model.parse import Headers

KEY = bytes.fromhex("6d5a" * 20)


def toeplitz(data: bytes, key: bytes = KEY) -> int:
    """Each bit of `data` that is 1 adds the 32 bits of the key that begin where the bit stands."""
    bits, window, result = 8 * len(key), int.from_bytes(key, "big"), 0
    for at in range(8 * len(data)):
        if data[at // 8] >> (7 - at % 8) & 1:
            result ^= window >> (bits - 32 - at) & 0xFFFFFFFF
    return result


def receive_hash(headers: Headers) -> int:
    """0 without an IP header; one whose lengths lie has addresses, and fragments have no ports."""
    if not headers.ip_version:
        return 0
    ports = headers.frame[headers.l4 : headers.l4 + 4] if headers.tcp or headers.udp else b""
    return toeplitz(b"".join(headers.addresses) + ports)
