"""Tables of the receive path: their sizes and the fields of a row, least significant first.

::

    outer destination ── FOLD ── LOCAL ── local ─┐
                                    TERMINATE (kind, local, key) ── ENTRY ── vnet, rules ─┐
                                 UPLINK (VLAN), or the default of SETTINGS ── vnet ───────┤
                                                                                          │
             vport, queue ── VPORT, INDIRECTION ─┬─ DESTINATION (vnet, MAC) ──────────────┤
                                     many vports └─ GROUP (vnet) ─────────────────────────┘

A row is written in one cycle, so that no packet sees half of one.
"""

from collections.abc import Mapping
from enum import IntEnum

from hdl.registers.exact import ExactTable
from hdl.registers.rows import Fields
from hdl.registers.tables import MAC_HASH_MASKS, VNET_BITS, VNETS, VPORT_BITS, VPORTS

LOCALS = 16
ENTRIES = 64
VLANS = 4096
QUEUES = 16
INDIRECTIONS = 128  # of each vport

LOCAL_BITS = 4
ENTRY_BITS = 6
QUEUE_BITS = 4
CONTEXT_BITS = 9  # of a number of contexts
KIND_BITS = 3  # of an `Encapsulation`


class RxTable(IntEnum):
    """Which table a write goes to."""

    LOCAL = 0
    UPLINK = 1  # row = VLAN ID // UPLINKS_A_ROW
    TERMINATE = 2  # row = place of a TERMINATE_TABLE
    ENTRY = 3
    SETTINGS = 4  # one row
    DESTINATION = 5  # row = place of a DESTINATION_TABLE
    GROUP = 6  # row = 2 * vnet + `Group`
    VPORT = 7
    INDIRECTION = 8  # row = vport * INDIRECTION_ROWS + index // QUEUES_A_ROW
    OPTION = 9  # critical Geneve options that are let in; row = value of four bits
    FOLD = 10  # folds of the local addresses; row = value of four bits


# -- Which packets are tunnels' that end here: the outer parser's tables

LOCAL_FIELDS: Fields = {
    "valid": 1,
    "ipv6": 1,
    "gre": 1,  # which encapsulations end at this address; GRE and NVGRE are one here
    "vxlan": 1,
    "geneve": 1,
    "stt": 1,
    "address": 128,  # IPv4 in the low 32 bits
}

FOLD_BITS = 32
FOLD_TURNS = (0, 5, 11, 17)  # of an address's 32-bit words, the least significant one first

OPTIONS = 4
OPTION_BITS = 24  # class and type of a Geneve option (RFC 8926)


def match_fields(bits: int, entries: int) -> Fields:
    """A row of a table in which values of so many bits are looked up, four bits at a time.

    ::

        row     nibble0   nibble1 ..        entry 0 is 0x..41, entry 1 is 0x..61: bit 0 of nibble1 in row 4,
        1       11        00                bit 1 of nibble1 in row 6, and both bits of nibble0 in row 1
        4       00        01
        6       00        10
    """
    return {f"nibble{at}": entries for at in range(bits // 4)}


MATCH_ROWS = 16
FOLD_FIELDS = match_fields(FOLD_BITS, LOCALS)
OPTION_FIELDS = match_fields(OPTION_BITS, OPTIONS)


def fold(address: int) -> int:
    """What an outer destination is looked up by first. Of an IPv4 address it is the address."""
    result = 0
    for word, turn in enumerate(FOLD_TURNS):
        bits = address >> (FOLD_BITS * word) & (1 << FOLD_BITS) - 1
        result ^= (bits << turn | bits >> (FOLD_BITS - turn)) & (1 << FOLD_BITS) - 1
    return result


# -- Whose a packet is

UPLINKS_A_ROW = 4
UPLINK_ROWS = VLANS // UPLINKS_A_ROW

UPLINK_FIELDS: Fields = {  # of the VLAN IDs 4 * row + 0 .. 3
    field: width for lane in range(UPLINKS_A_ROW) for field, width in ((f"valid{lane}", 1), (f"vnet{lane}", VNET_BITS))
}

TERMINATE_FIELDS: Fields = {
    "valid": 1,
    "entry": ENTRY_BITS,
    "key": 64,  # GRE's, the VSID of NVGRE, the VNI of VXLAN and Geneve, STT's context ID; zero without one
    "has_key": 1,  # always, but for GRE without a key
    "local": LOCAL_BITS,
    "kind": KIND_BITS,
}

# Of the key `kind << 69 | local << 65 | has_key << 64 | key`. Any eight bits of a key in a row, and `local` with
# `kind`, reach all 32 rows of every way; sparse, so that a parity is shallow.
TERMINATE_HASH_MASKS: tuple[tuple[int, ...], ...] = (
    (0x501603189C0F80C141, 0x190114A04290602AB9, 0x8044B8420264121046, 0x03AA072541421D4502, 0xE6C940892119630A1C),
    (0x1413FE212442C0C065, 0x42A7013CC9C404048A, 0x93484140408131C809, 0xCD84128503189F1790, 0x282084523E26223974),
    (0x06A293012504203083, 0x516C603D685A8A8308, 0x94D385C282A2C5C430, 0x28101010C3B93B2944, 0x40086CEA18404042F9),
    (0x908473A2E02283F415, 0x4880A2140609442022, 0x273A18A88504180AC5, 0x60498C41014B0501A8, 0x1F5301495A90EA8218),
)

# 128 places for 64 entries
TERMINATE_TABLE = ExactTable(
    fields=TERMINATE_FIELDS, key=("kind", "local", "has_key", "key"), masks=TERMINATE_HASH_MASKS
)

ENTRY_FIELDS: Fields = {
    "vnet": VNET_BITS,
    "uniform": 1,  # DSCP comes from the outer header (RFC 2983)
    "require_udp_checksum": 1,
    "nvgre": 1,  # no C, no S, no inner tag (RFC 7637)
    "has_remote": 1,  # packets from anybody else are dropped
    "remote": 128,  # address, IPv4 in the low 32 bits
}

# -- To whom a frame goes

DESTINATION_FIELDS: Fields = {"valid": 1, "vport": VPORT_BITS, "vnet": VNET_BITS, "mac": 48}

# 128 places for 64 entries
DESTINATION_TABLE = ExactTable(fields=DESTINATION_FIELDS, key=("vnet", "mac"), masks=MAC_HASH_MASKS)


class Group(IntEnum):
    """Which of a vnet's two rows in the table GROUP."""

    MULTICAST = 0  # broadcast too
    UNKNOWN = 1  # unicast, but no vport of the vnet has the address


GROUP_FIELDS: Fields = {
    "vports": VPORTS,  # a bit each; none: drop
    "slow": 1,  # to the slow path's vport instead
}

VPORT_FIELDS: Fields = {
    "receive_mtu": 17,  # bytes behind the Ethernet header, tags not counted
    "valid": 1,
    "vnet": VNET_BITS,  # frames of another one, which may have come before the vport moved, do not go to it
}

INDIRECTION_FIELDS: Fields = {f"queue{lane}": QUEUE_BITS for lane in range(8)}
QUEUES_A_ROW = len(INDIRECTION_FIELDS)
INDIRECTION_ROWS = INDIRECTIONS // QUEUES_A_ROW  # a vport

# -- Both

SETTINGS_FIELDS: Fields = {
    "uplink_valid": 1,  # untagged frames, and those of a VLAN without an entry, are of `uplink_vnet`
    "uplink_vnet": VNET_BITS,
    "nvgre": LOCALS,  # a bit for each local address: its keys are VSID << 8 | FlowID
    "slow_valid": 1,  # there is a slow path
    "slow_vport": VPORT_BITS,
    "drop_bad_checksum": VPORTS,  # a bit each
    "vnet_contexts": CONTEXT_BITS,  # frames of one vnet that may be merged at once; 0: all
    "class_contexts": CONTEXT_BITS,  # open STT frames of one class of outer sources; 0: 3/4, once all are in use
}

ROW_FIELDS: Mapping[RxTable, Fields] = {
    RxTable.LOCAL: LOCAL_FIELDS,
    RxTable.UPLINK: UPLINK_FIELDS,
    RxTable.TERMINATE: TERMINATE_FIELDS,
    RxTable.ENTRY: ENTRY_FIELDS,
    RxTable.SETTINGS: SETTINGS_FIELDS,
    RxTable.DESTINATION: DESTINATION_FIELDS,
    RxTable.GROUP: GROUP_FIELDS,
    RxTable.VPORT: VPORT_FIELDS,
    RxTable.INDIRECTION: INDIRECTION_FIELDS,
    RxTable.OPTION: OPTION_FIELDS,
    RxTable.FOLD: FOLD_FIELDS,
}

ROWS: Mapping[RxTable, int] = {
    RxTable.LOCAL: LOCALS,
    RxTable.UPLINK: UPLINK_ROWS,
    RxTable.TERMINATE: TERMINATE_TABLE.places,
    RxTable.ENTRY: ENTRIES,
    RxTable.SETTINGS: 1,
    RxTable.DESTINATION: DESTINATION_TABLE.places,
    RxTable.GROUP: len(Group) * VNETS,
    RxTable.VPORT: VPORTS,
    RxTable.INDIRECTION: VPORTS * INDIRECTION_ROWS,
    RxTable.OPTION: MATCH_ROWS,
    RxTable.FOLD: MATCH_ROWS,
}
