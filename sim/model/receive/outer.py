"""Read the outer headers of a packet off the wire.

::

    0            l3             l4                  end
    │ MACs, tags │ IP, options  │ what IP carries   │ Ethernet padding │

More than the transmit path ever writes: two VLAN tags and IPv4 options may stand there. Of IPv6's extension headers
only a fragment header is looked into, and only right behind the IPv6 header; behind any other there is no tunnel.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import pack

from sim.model.parse import ETHERNET, FRAGMENT, IPV4, IPV6, MOST_TAGS, TAGS, word


@dataclass(frozen=True)
class Outer:
    """An IP header and where things are around it; offsets in bytes from the packet's start."""

    packet: bytes
    l3: int
    l4: int
    end: int  # where IP says that its packet ends
    tos: int
    protocol: int  # of what IP carries, or of what the fragment is of
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    fragment: bool
    lies: bool = False  # about its length: `l4` and `end` mean nothing

    @property
    def body(self) -> bytes:
        return self.packet[self.l4 : self.end]

    def pseudo_header(self, length: int) -> bytes:
        """What TCP and UDP sum beside their own `length` bytes (RFC 9293; RFC 8200 sums alike)."""
        return self.source.packed + self.destination.packed + pack("!II", length, self.protocol)


def vlan(packet: bytes) -> int | None:
    """VLAN ID of the outermost tag, None without one; 0 only gives a priority (IEEE 802.1Q)."""
    tagged = len(packet) >= ETHERNET + 4 and word(packet, 12) in TAGS
    return word(packet, 14) & 0xFFF if tagged else None


def read(packet: bytes) -> Outer | None:
    """The outer headers; None if there is no IP header."""
    l3, tags = ETHERNET, 0
    while tags < MOST_TAGS and word(packet, l3 - 2) in TAGS and len(packet) >= l3 + 4:
        l3, tags = l3 + 4, tags + 1
    kind = word(packet, l3 - 2)
    if kind == IPV4 and len(packet) >= l3 + 20 and packet[l3] >> 4 == 4 and packet[l3] & 15 >= 5:
        return read_ipv4(packet, l3)
    if kind == IPV6 and len(packet) >= l3 + 40 and packet[l3] >> 4 == 6:
        return read_ipv6(packet, l3)
    return None


def read_ipv4(packet: bytes, l3: int) -> Outer:
    l4, end = l3 + 4 * (packet[l3] & 15), l3 + word(packet, l3 + 2)
    return Outer(
        packet,
        l3,
        l4,
        end,
        tos=packet[l3 + 1],
        protocol=packet[l3 + 9],
        source=IPv4Address(packet[l3 + 12 : l3 + 16]),
        destination=IPv4Address(packet[l3 + 16 : l3 + 20]),
        fragment=word(packet, l3 + 6) & 0x3FFF != 0,
        lies=not l4 <= end <= len(packet),
    )


def read_ipv6(packet: bytes, l3: int) -> Outer:
    l4 = l3 + 40
    end, protocol = l4 + word(packet, l3 + 4), packet[l3 + 6]
    fragment = protocol == FRAGMENT and l4 + 8 <= min(end, len(packet))
    return Outer(
        packet,
        l3,
        l4,
        end,
        tos=word(packet, l3) >> 4 & 0xFF,
        protocol=packet[l4] if fragment else protocol,
        source=IPv6Address(packet[l3 + 8 : l3 + 24]),
        destination=IPv6Address(packet[l3 + 24 : l3 + 40]),
        fragment=fragment,
        lies=end > len(packet),
    )
