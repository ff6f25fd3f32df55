"""Put an Ethernet frame into GRE, NVGRE, VXLAN or Geneve: everything behind the outer IP header, frame included."""

from struct import pack

from sim.model import outer
from sim.model.checksum import checksum, udp_checksum
from sim.model.network import Tunnel
from sim.model.parse import UDP

GRE = 47
ETHERNET_OVER_GRE = 0x6558  # Geneve numbers its payloads alike
VXLAN_PORT, GENEVE_PORT = 4789, 6081
PROTOCOL = {"gre": GRE, "nvgre": GRE, "vxlan": UDP, "geneve": UDP}


def header_length(tunnel: Tunnel) -> int:
    """Bytes between the outer IP header and the inner frame; STT is in `stt`."""
    match tunnel.encapsulation:
        case "gre" | "nvgre":
            return 4 + 4 * (tunnel.has_checksum + (tunnel.key is not None) + tunnel.sequence)
        case "vxlan":
            return 16
        case "geneve":
            return 16 + len(tunnel.options)
    raise ValueError(f"no header of one size for {tunnel.encapsulation}")


def encapsulate(tunnel: Tunnel, frame: bytes, port: int, sequence: int) -> bytes:
    """The outer IP packet's payload.

    `port` is the outer UDP source port, `sequence` the GRE sequence number; each is used where there is one.
    """
    match tunnel.encapsulation:
        case "gre" | "nvgre":
            return gre(tunnel, frame, sequence)
        case "vxlan":
            return udp(tunnel, pack("!BxxxI", 0x08, tunnel.key << 8 if tunnel.key else 0) + frame, port, VXLAN_PORT)
        case "geneve":
            return udp(tunnel, geneve_header(tunnel) + frame, port, GENEVE_PORT)
    raise ValueError(f"no header in front of whole frames for {tunnel.encapsulation}")


def gre(tunnel: Tunnel, frame: bytes, sequence: int) -> bytes:
    """RFC 2784 and 2890; RFC 7637 is this with a key.

    ::

        C K S flags, version │ protocol │ checksum, 0 (if C) │ key (if K) │ sequence (if S) │ frame
    """
    flags, optional = 0, b""
    if tunnel.key is not None:
        flags, optional = flags | 0x2000, optional + pack("!I", tunnel.key)
    if tunnel.sequence:
        flags, optional = flags | 0x1000, optional + pack("!I", sequence)
    if not tunnel.has_checksum:
        return pack("!HH", flags, ETHERNET_OVER_GRE) + optional + frame
    start = pack("!HH", flags | 0x8000, ETHERNET_OVER_GRE)
    rest = optional + frame
    return start + pack("!HH", checksum(start + rest), 0) + rest


def geneve_header(tunnel: Tunnel) -> bytes:
    """RFC 8926: the C bit says that some option is critical."""
    critical = 0x40 if any(kind & 0x80 for kind in option_types(tunnel.options)) else 0
    vni = tunnel.key or 0
    return pack("!BBHI", len(tunnel.options) // 4, critical, ETHERNET_OVER_GRE, vni << 8) + tunnel.options


def option_types(options: bytes) -> list[int]:
    """Types of Geneve options: class (2 bytes), type, length in words without these four bytes."""
    types, at = [], 0
    while at < len(options):
        types.append(options[at + 2])
        at += 4 + 4 * (options[at + 3] & 0x1F)
    return types


def udp(tunnel: Tunnel, payload: bytes, port: int, to: int) -> bytes:
    length = 8 + len(payload)
    ports = pack("!HHH", port, to, length)
    check = 0
    if tunnel.has_checksum:
        check = udp_checksum(ports + payload, outer.pseudo_header(tunnel, UDP, length))
    return ports + pack("!H", check) + payload
