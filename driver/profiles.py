"""Profiles: an encapsulation rendered to header bytes, patches and partial sums.

::

    template   │ Ethernet, tag │ outer IP │ UDP, GRE or STT │ ◀ bytes after the template: the inner packet ▶
    patches      NEXT_HOP        LENGTH ID  FLOW_PORT KEY
                                 REMOTE ..  L4_CHECKSUM ..

A template is a list of 16-bit words, each a constant or the number of an `OuterPatch`. The sums of the constants are
taken here, so that the card adds only what differs from packet to packet or from tunnel to tunnel. All tunnels that
differ in no constant share a profile.
"""

from dataclasses import dataclass
from struct import unpack

from driver.network import Tunnel
from hdl.registers.patches import OuterPatch as P
from hdl.registers.tables import TEMPLATE_BYTES, pack_template_row

IPV4, IPV6, VLAN = 0x0800, 0x86DD, 0x8100
GRE, TCP, UDP = 47, 6, 17
ETHERNET_OVER_GRE = 0x6558  # Geneve numbers its payloads alike
GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE = 0x8000, 0x2000, 0x1000
PORTS = {"vxlan": 4789, "geneve": 6081, "stt": 7471}
PROTOCOLS = {"gre": GRE, "nvgre": GRE, "vxlan": UDP, "geneve": UDP, "stt": TCP}
VXLAN_FLAGS = 0x0800
GENEVE_CRITICAL = 0x40
TCP_LIKE_BYTES = 20
DF = 0x4000

Word = int | P
"""A constant word of a template, or what is patched in."""


@dataclass(frozen=True)
class Profile:
    """How to wrap. `template`: (word, `OuterPatch` code) pairs; `fields`: a row of the profile table by name."""

    template: tuple[tuple[int, int], ...]
    fields: tuple[tuple[str, int], ...]

    def rows(self, width: int) -> list[int]:
        """The template's rows for a card of `width` bytes a beat, unused ones zero."""
        lanes = width // 2
        words = [*self.template, *[(0, 0)] * (TEMPLATE_BYTES // 2 - len(self.template))]
        return [pack_template_row(words[at : at + lanes], width) for at in range(0, len(words), lanes)]


def ones_sum(words: list[int]) -> int:
    """16-bit one's complement sum, folded."""
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def words_of(data: bytes) -> list[int]:
    """Big-endian words of an even number of bytes."""
    return list(unpack(f"!{len(data) // 2}H", data))


def uplink(mtu: int) -> Profile:
    """The bare uplink: no outer header; packets of up to `mtu` bytes behind their Ethernet header."""
    return Profile((), (("max_length", mtu),))


def render(tunnel: Tunnel, mac: bytes) -> Profile:
    """A tunnel's profile, `mac` being the uplink's address."""
    link = link_words(tunnel, mac)
    network = network_words(tunnel)
    transport = transport_words(tunnel)
    template = [*link, *network, *transport]
    if 2 * len(template) > TEMPLATE_BYTES:
        raise ValueError(f"the outer header takes {2 * len(template)} bytes; a template holds {TEMPLATE_BYTES}")
    kind, ipv6 = tunnel.encapsulation, tunnel.local.version == 6
    checksum = tunnel.checksum or kind == "stt"
    behind_ip, ip_header = 2 * len(transport), 2 * len(network)
    fields = {
        "words": len(template),
        "tunnelled": 1,
        "ipv6": ipv6,
        "pipe": tunnel.dscp is not None,
        "dscp": tunnel.dscp or 0,
        "l4_checksum": checksum,
        "pseudo": kind in PORTS,
        "udp": PROTOCOLS[kind] == UDP,
        "sequence": tunnel.sequence,
        "stt": kind == "stt",
        "stt_frame": kind == "stt" and tunnel.stt_mode == "frame",
        "strip_tag": kind in ("nvgre", "stt"),
        "forbid_tag": kind == "nvgre",
        "max_length": tunnel.mtu - ip_header - behind_ip,
        "stt_capacity": tunnel.mtu - ip_header - TCP_LIKE_BYTES if kind == "stt" else 0,
        "length_add": behind_ip + (0 if ipv6 else ip_header),
        "l4_length_add": behind_ip,
        "ip_sum": 0 if ipv6 else ones_sum(constants(network)),
        "l4_sum": l4_sum(tunnel, transport) if checksum else 0,
    }
    pairs = tuple((0, int(word)) if isinstance(word, P) else (word, 0) for word in template)
    return Profile(pairs, tuple((name, int(value)) for name, value in fields.items()))


def constants(words: list[Word]) -> list[int]:
    return [word for word in words if not isinstance(word, P)]


def l4_sum(tunnel: Tunnel, transport: list[Word]) -> int:
    """Constant part of the checksum that covers the payload; UDP's and STT's have a pseudo-header."""
    words = constants(transport)
    if tunnel.encapsulation in PORTS:
        words += [PROTOCOLS[tunnel.encapsulation], *words_of(tunnel.local.packed)]
    return ones_sum(words)


def link_words(tunnel: Tunnel, mac: bytes) -> list[Word]:
    """Outer Ethernet header, IEEE 802.3 and 802.1Q."""
    tag = [] if tunnel.vlan is None else [VLAN, tunnel.vlan]
    return [P.NEXT_HOP_0, P.NEXT_HOP_1, P.NEXT_HOP_2, *words_of(mac), *tag, IPV4 if tunnel.local.version == 4 else IPV6]


def network_words(tunnel: Tunnel) -> list[Word]:
    """Outer IPv4 (RFC 791) or IPv6 (RFC 8200) header."""
    protocol, local = PROTOCOLS[tunnel.encapsulation], words_of(tunnel.local.packed)
    remote = [P(P.REMOTE_0 + index) for index in range(len(local))]
    if tunnel.local.version == 6:
        return [P.TOS, 0, P.LENGTH, protocol << 8 | tunnel.ttl, *local, *remote]
    flags = DF if tunnel.df else 0
    return [P.TOS, P.LENGTH, P.ID, flags, tunnel.ttl << 8 | protocol, P.IP_CHECKSUM, *local, *remote]


def transport_words(tunnel: Tunnel) -> list[Word]:
    """What lies between the outer IP header and the inner packet."""
    match tunnel.encapsulation:
        case "gre" | "nvgre":
            return gre_words(tunnel)
        case "vxlan":
            return [*udp_words(tunnel), VXLAN_FLAGS, 0, P.KEY_0, P.KEY_1]
        case "geneve":
            critical = GENEVE_CRITICAL if has_critical(tunnel.options) else 0
            start = len(tunnel.options) // 4 << 8 | critical
            return [*udp_words(tunnel), start, ETHERNET_OVER_GRE, P.KEY_0, P.KEY_1, *words_of(tunnel.options)]
        case "stt":
            return stt_words()


def gre_words(tunnel: Tunnel) -> list[Word]:
    """RFC 2784 and 2890; NVGRE (RFC 7637) is GRE with a key."""
    flags, optional = 0, list[Word]()
    if tunnel.checksum:
        flags, optional = flags | GRE_CHECKSUM, [P.L4_CHECKSUM, 0]
    if tunnel.key is not None:
        flags, optional = flags | GRE_KEY, [*optional, P.KEY_0, P.KEY_1]
    if tunnel.sequence:
        flags, optional = flags | GRE_SEQUENCE, [*optional, P.SEQUENCE_HIGH, P.SEQUENCE_LOW]
    return [flags, ETHERNET_OVER_GRE, *optional]


def udp_words(tunnel: Tunnel) -> list[Word]:
    """RFC 768; a checksum that is off is the constant 0."""
    return [P.FLOW_PORT, PORTS[tunnel.encapsulation], P.UDP_LENGTH, P.L4_CHECKSUM if tunnel.checksum else 0]


def stt_words() -> list[Word]:
    """draft-davie-stt-08: a header like TCP's, window and urgent pointer 0, and the STT frame header."""
    like_tcp = [
        *(P.FLOW_PORT, PORTS["stt"], P.SEQUENCE_HIGH, P.SEQUENCE_LOW, P.ACK_HIGH, P.ACK_LOW),
        *(P.TCP_FLAGS, 0, P.L4_CHECKSUM, 0),
    ]
    return [*like_tcp, P.STT_FLAGS, P.STT_L4_OFFSET, P.STT_MSS, P.STT_TCI, P.KEY_0, P.KEY_1, P.KEY_2, P.KEY_3, 0]


def has_critical(options: bytes) -> bool:
    """Whether any Geneve option (RFC 8926: class 2, type 1, length in words 1, data) must be understood."""
    at = 0
    while at < len(options):
        if options[at + 2] & 0x80:
            return True
        at += 4 + 4 * (options[at + 3] & 0x1F)
    return False


def tunnel_fields(tunnel: Tunnel, profile: int) -> dict[str, int]:
    """A row of the tunnel table by field name; `profile` is the profile's number."""
    key = key_bytes(tunnel)
    return {
        "profile": profile,
        "next_hop": int.from_bytes(tunnel.next_hop, "big"),
        "remote": int.from_bytes(tunnel.remote.packed.ljust(16, b"\0"), "big"),
        "key": int.from_bytes(key.ljust(8, b"\0"), "big"),
        "remote_sum": ones_sum(words_of(tunnel.remote.packed)),
        "key_sum": ones_sum(words_of(key)),
    }


def key_bytes(tunnel: Tunnel) -> bytes:
    """The key as it stands in the header; a VNI's 24 bits are followed by a reserved byte."""
    if tunnel.key is None:
        return b""
    match tunnel.encapsulation:
        case "vxlan" | "geneve":
            return (tunnel.key << 8).to_bytes(4, "big")
        case "stt":
            return tunnel.key.to_bytes(8, "big")
        case _:
            return tunnel.key.to_bytes(4, "big")
