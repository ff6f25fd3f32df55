"""Tables of the transmit path: their sizes and the fields of a row, least significant first.

::

    vport ── VPORTS ── vnet ─┬─ EXACT (vnet, MAC) ─┬─ tunnel ── TUNNELS ── profile ─┬─ PROFILES
                             └─ WILDCARD (vnet) ───┘                                └─ TEMPLATES

A row is written in one cycle, so that no packet sees half of one.
"""

from enum import IntEnum

from hdl.registers.exact import ExactTable
from hdl.registers.rows import Fields

VPORTS = 64
VNETS = 64
TUNNELS = 64
PROFILES = 16
UPLINK_TUNNEL = TUNNELS  # the row behind the last tunnel: the bare uplink, an encapsulation of no bytes
UPLINK_PROFILE = PROFILES
TUNNEL_ROWS = 2 * TUNNELS
PROFILE_ROWS = 2 * PROFILES
TEMPLATE_BYTES = 128

VPORT_BITS = 6
VNET_BITS = 6
TUNNEL_BITS = 7
PROFILE_BITS = 5


class Table(IntEnum):
    """Which table a write goes to."""

    VPORT = 0
    WILDCARD = 1
    EXACT = 2  # row = place of an EXACT_TABLE
    TUNNEL = 3
    PROFILE = 4
    TEMPLATE = 5  # row = profile * (TEMPLATE_BYTES / width) + beat
    SEQUENCE = 6  # the next GRE sequence number of a tunnel
    LOCAL = 7  # who is on this card: a place of LOCAL_TABLE, LOCAL_WILDCARDS + vnet, or LOCAL_VPORTS + vport


VPORT_FIELDS: Fields = {"valid": 1, "vnet": VNET_BITS}

ROUTE_FIELDS: Fields = {
    "valid": 1,
    "drop": 1,  # the entry says drop
    "tunnel": TUNNEL_BITS,  # UPLINK_TUNNEL: the bare uplink
}

EXACT_FIELDS: Fields = {**ROUTE_FIELDS, "vnet": VNET_BITS, "mac": 48}

TUNNEL_FIELDS: Fields = {
    "profile": PROFILE_BITS,
    "next_hop": 48,  # destination MAC, first byte most significant
    "remote": 128,  # address, first byte most significant; IPv4 in the upper 32 bits
    "key": 64,  # as KEY_0 .. KEY_3 of OuterPatch, KEY_0 most significant (a 32-bit key in the upper 32 bits)
    "remote_sum": 16,  # one's complement sum of the remote address
    "key_sum": 16,  # one's complement sum of the key's words that the template patches in
}

PROFILE_FIELDS: Fields = {
    "words": 7,  # 16-bit words of the template; 0: the bare uplink
    "tunnelled": 1,  # takes an outer IP ID
    "ipv6": 1,  # the outer header is IPv6
    "pipe": 1,  # DSCP from `dscp`, else from the inner packet (RFC 2983)
    "dscp": 6,
    "l4_checksum": 1,  # an outer checksum that covers the payload: UDP, GRE or STT
    "pseudo": 1,  # it has a pseudo-header: UDP and STT
    "udp": 1,  # it is UDP: the length is in it twice, and 0 is sent as 0xFFFF
    "sequence": 1,  # GRE sequence number
    "stt": 1,
    "stt_frame": 1,  # STT frame mode: cut behind the STT header
    "strip_tag": 1,  # take the outermost 0x8100 tag out of the frame
    "forbid_tag": 1,  # drop frames in which a tag remains (NVGRE)
    "max_length": 14,  # largest inner packet, bytes; uplink: without its layer-2 header
    "stt_capacity": 14,  # STT frame mode: bytes of STT frame a packet
    "length_add": 16,  # outer IP length field = bytes after the template + this (mod 2**16)
    "l4_length_add": 16,  # UDP length, or the STT header's TCP length in the pseudo-header, likewise
    "ip_sum": 16,  # sum of the outer IPv4 header's constant words (no TOS word, length, ID, remote)
    "l4_sum": 16,  # sum of the outer checksum's constant words, with protocol and local address of a pseudo-header
}

SEQUENCE_FIELDS: Fields = {"next": 32}


def pack_template_row(words: list[tuple[int, int]], width: int) -> int:
    """One beat of a template: `width` // 2 pairs of (word, OuterPatch code), first word first.

    The row holds the data bytes (byte 0 of the beat in the lowest 8 bits) and above them a 5-bit code a word.
    """
    row = 0
    for lane, (word, code) in enumerate(words):
        row |= (word >> 8 | (word & 0xFF) << 8) << (16 * lane)
        row |= code << (8 * width + 5 * lane)
    return row


# Of the key `vnet << 48 | mac`. The masks are random, but any eight bits of a MAC address in a row, and the vnet alone,
# reach all 32 rows of every way.
MAC_HASH_MASKS: tuple[tuple[int, ...], ...] = (
    (0x20E2FE30DB9B2B, 0x396DDD8A0C330D, 0x2EC3790B8B7FB1, 0x18DF92CD612E53, 0x2A5D5D32CF9F7B),
    (0x0533CF3B60F47F, 0x0967E4A583DFCC, 0x3A5392FF65D1C2, 0x3818DA50D872AC, 0x13A57D798D834C),
    (0x278B0F56FAF6A5, 0x141E796DF0ED65, 0x06DFF3F46363A7, 0x0C65408C22FF7E, 0x0239C8662FDBA8),
    (0x297122DD88C410, 0x02320A525279E4, 0x192526FD0109BA, 0x16F749FBF98080, 0x0B3CDFBF6C43F3),
)

# 128 places for 64 entries
EXACT_TABLE = ExactTable(fields=EXACT_FIELDS, key=("vnet", "mac"), masks=MAC_HASH_MASKS)

# The same keys at the same places, and which of them are another vport of this card.
LOCAL_FIELDS: Fields = {"valid": 1, "local": 1, "vport": VPORT_BITS}
LOCAL_TABLE = ExactTable(
    fields={**LOCAL_FIELDS, "vnet": VNET_BITS, "mac": 48}, key=("vnet", "mac"), masks=MAC_HASH_MASKS
)
LOCAL_WILDCARDS = 256  # row of the first vnet's wildcard in Table.LOCAL

# What another vport takes.
LOCAL_VPORT_FIELDS: Fields = {"receive_mtu": 17}  # bytes behind the Ethernet header, tags not counted
LOCAL_VPORTS = 512  # row of the first vport in Table.LOCAL
