"""Outer Ethernet and IP headers."""

from struct import pack

from sim.model.checksum import checksum, ones_sum
from sim.model.network import Tunnel
from sim.model.parse import IPV4, IPV6, Headers

DF = 0x4000


def tos(tunnel: Tunnel, headers: Headers) -> int:
    """ECN is the inner packet's (RFC 6040, normal mode); DSCP too, unless the tunnel has its own (RFC 2983's pipe)."""
    return headers.tos if tunnel.dscp is None else tunnel.dscp << 2 | headers.tos & 3


def ethernet_header(tunnel: Tunnel, mac: bytes) -> bytes:
    tag = b"" if tunnel.vlan is None else pack("!HH", 0x8100, tunnel.vlan)
    return tunnel.next_hop + mac + tag + pack("!H", IPV4 if tunnel.version == 4 else IPV6)


def ip_header_length(tunnel: Tunnel) -> int:
    return 20 if tunnel.version == 4 else 40


def ip_header(tunnel: Tunnel, protocol: int, length: int, tos: int, identification: int) -> bytes:
    """IPv4 (RFC 791) or IPv6 (RFC 8200) in front of `length` bytes."""
    addresses = tunnel.local.packed + tunnel.remote.packed
    if tunnel.version == 6:
        return pack("!IHBB", 6 << 28 | tos << 20, length, protocol, tunnel.ttl) + addresses
    flags = DF if tunnel.df else 0
    before = pack("!BBHHHBB", 0x45, tos, 20 + length, identification, flags, tunnel.ttl, protocol)
    return before + pack("!H", checksum(before + addresses)) + addresses


def pseudo_header(tunnel: Tunnel, protocol: int, length: int) -> int:
    """One's complement sum of the outer pseudo-header."""
    return ones_sum(tunnel.local.packed + tunnel.remote.packed, protocol + length)
