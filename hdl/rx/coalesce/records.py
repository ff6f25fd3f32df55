"""What the coalescer keeps of a slot, and what it says of a frame that is complete."""

from amaranth.lib import data

from hdl.parse.limits import HEADER_WORD_BITS
from hdl.registers.receive import RX_REASON_BITS
from hdl.rx.layouts import ENTRY_BITS, HANDLE_BITS, LENGTH_BITS, ROW_BITS, VNET_BITS, Destination

TIME_BITS = 16

LATEST = data.StructLayout(
    {
        "following": 32,  # the sequence number that goes on
        "id": 16,
        "payload": LENGTH_BITS,  # in an open run all packets have the same
        "time": TIME_BITS,
        # must be equal in all packets of a run, beside the header rows
        "vnet": VNET_BITS,
        "origin": 32,
        "options": 32,
        "tos": 8,
        "rows": 5,
        "ipv6": 1,
    }
)
"""Of the latest packet of a slot that could be merged: in an open run, its last. Written whatever is decided."""

FIRST = data.StructLayout(
    {
        "entry": ENTRY_BITS,
        "tunnelled": 1,
        "to": Destination,
        "l3": 4,
        "l4": HEADER_WORD_BITS,
        "ipv6": 1,
        "tos_patch": 1,
        "tos_word": 16,  # with the new TOS
        "ip_checksum": 16,  # likewise
        "ip_length": 16,
        "tcp_flags": 16,
        "pseudo": 16,
        "vnet": VNET_BITS,
        "hash": 32,
    }
)
"""Of the first packet of a run; or of a packet that passes alone."""

RUN = data.StructLayout(
    {
        "open": 1,
        "one": 1,  # it has one packet so far
        "fixed_id": 1,
        "handle": HANDLE_BITS,
        "packets": 16,
        "length": 16,  # bytes of the frame so far
        "used": 16,  # its bytes from the outermost IP header on
    }
)
"""What changes with each packet of a run."""

ENDING = data.StructLayout(
    {
        "first": FIRST,
        "reason": RX_REASON_BITS,
        "slow": 1,
        "claimed": 1,
        "handle": HANDLE_BITS,
        "packets": 16,
        "length": 16,
        "placed": 16,
        "merged": 1,  # of two packets or more: the following, too
        "gso_size": 16,
        "fixed_id": 1,
        "ends": 2,  # FIN and PSH of the last packet
        # of one packet
        "ip_status": 2,
        "l4_status": 2,
    }
)
"""A frame that is complete, or a packet that came to nothing: all that its `Completion` follows from."""


def event_layout(slots: int) -> data.StructLayout:
    """A packet on its way to its slot; or the scanner's look at a slot (`packet` = 0)."""
    return data.StructLayout(
        {
            "packet": 1,
            "flush": 1,  # the scanner's: end the run, however long it has waited
            "reason": RX_REASON_BITS,  # not 0: discard
            "slow": 1,
            "merge": 1,  # a TCP segment that may be merged
            "touch": 1,  # `slot` counts: there a run goes on, or ends
            "found": 1,  # the slot is the packet's flow's
            "slot": range(slots),
            "now": TIME_BITS,
            "row": ROW_BITS,
            "lane": 6,
            "length": LENGTH_BITS,
            "payload_row": ROW_BITS,
            "payload_lane": 6,
            "release_row": ROW_BITS,
            "sequence": 32,
            "following": 32,
            "id": 16,
            "df": 1,
            "ends": 2,  # FIN, PSH
            "payload": LENGTH_BITS,
            "used": 16,  # its bytes from the outermost IP header on
            "origin": 32,
            "options": 32,
            "tos": 8,
            "rows": 5,
            "cycles": 5,  # that its rows take, or its decision, less one
            "first": FIRST,
            "ip_status": 2,
            "l4_status": 2,
        }
    )
