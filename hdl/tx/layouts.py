"""Records that travel beside the data in the transmit path.

::

    parse ── FrameContext ─┬─ plan ─┬─ Plan ── cut ─┬─ Piece ───────────────────────┬─ finish ─┬─ OuterPacket
    forward ── Route ──────┘        │               └─ CutPlan ── sum ── PieceSum ──┤          ├─ HeaderRecord
                                    └─ FramePlan, OuterConstants ───────────────────┘          └─ PayloadRecord

Lengths are in bytes, header offsets in 16-bit words (every header offset is even), sums are 16-bit one's complement
sums of big-endian words, folded.
"""

from amaranth.lib import data

from hdl.parse.limits import HEADER_WORD_BITS
from hdl.registers.counters import DropReason
from hdl.registers.patches import INNER_PATCH_BITS
from hdl.stream.beat import FRAME_LENGTH_BITS

REASON_BITS = max(DropReason).bit_length()


class Originals(data.Struct):
    """Words of the inner headers as they came: what a patch falls back on, what segments count from."""

    length: 16  # IPv4 total length or IPv6 payload length
    id: 16  # IPv4 identification (IPv6: 0)
    ip_checksum: 16  # IPv4 header checksum (IPv6: 0)
    sequence: 32  # TCP sequence number
    tcp_flags: 16  # TCP data offset and flags
    l4_checksum: 16  # TCP or UDP checksum; every field is 0 where the frame has no such word


class FrameContext(data.Struct):
    """What the parser knows of a frame; one a frame, once its headers have passed."""

    vport: 6
    length: FRAME_LENGTH_BITS  # bytes of the frame
    gso_size: 16
    accecn: 1
    dst_mac: 48  # first byte most significant
    header_row: 16  # row of the header ring at which the frame's headers begin (low bits count)
    header_words: HEADER_WORD_BITS  # words of headers: what is not payload
    l3: 4  # word at which the network header begins: 7, 9 or 11
    l4: HEADER_WORD_BITS  # word at which the transport header begins (where recognised, else = header_words)
    ip_end: FRAME_LENGTH_BITS  # byte at which the IP packet ends; `length` where there is no valid IP packet
    runt: 1  # shorter than an Ethernet header
    oversize: 1  # longer than the card takes
    tagged: 1  # the outermost tag is a C-tag (0x8100)
    tags: 2  # number of tags
    tci: 16  # of the outermost tag
    ipv4: 1  # recognised, valid and parsed to its end: its checksum is ours to fill in
    ipv6: 1  # likewise
    tcp: 1  # TCP whose checksum is ours; may be segmented
    udp: 1  # UDP with a non-zero checksum that is ours
    unparsed: 1  # claims to be IP, but cannot be parsed: passes whole, untouched
    tos: 8  # of the IP header, where recognised
    original: Originals
    l2_sum: 16  # sum of the layer-2 header: bytes 0 to l3
    l3_sum: 16  # sum of the network header with its extension headers, without length, ID, checksum and addresses
    src_sum: 16  # sum of the source address
    dst_sum: 16  # sum of the destination address
    l4_sum: 16  # sum of words l4 to header_words, without TCP sequence, flags and checksum (UDP: without checksum)
    hash: 16  # of the inner flow (see hdl.net.flow)
    bad_length: 1  # the descriptor was found wrong in the beat in which the headers end: for frames with no payload


def header_beat(width: int) -> data.StructLayout:
    """A row of the header ring: a beat of header bytes and an `InnerPatch` code for each word."""
    return data.StructLayout({"data": 8 * width, "codes": data.ArrayLayout(INNER_PATCH_BITS, width // 2)})


def payload_beat(width: int) -> data.StructLayout:
    """A beat with payload bytes on its way to the summer, in its place in the frame (not realigned)."""
    return data.StructLayout({"data": 8 * width, "error": 1})


class Plan(data.Struct):
    """How one frame is cut."""

    reason: REASON_BITS  # DropReason; not 0: the frame is dropped here
    payload: FRAME_LENGTH_BITS  # bytes behind the headers, an Ethernet trailer included
    covered: FRAME_LENGTH_BITS  # of these, bytes that the inner checksum covers (all but the trailer)
    lane: 6  # byte of the first payload beat at which the payload begins
    single: 1  # one piece is enough
    first: FRAME_LENGTH_BITS  # bytes of the first piece at most
    rest: 16  # bytes of every further piece at most
    segmented: 1  # pieces are TCP segments, each with inner headers
    fragmented: 1  # pieces are fragments of an STT frame; only the first has inner headers
    accecn: 1
    whole_sum: 1  # the inner checksum covers several fragments: wait for the sum of them all
    kept_words: HEADER_WORD_BITS  # of the headers as they leave: without a tag that is taken out
    id: 16  # inner IPv4 identification
    sequence: 32  # inner TCP sequence number
    tcp_flags: 16


class FramePlan(data.Struct):
    """How one frame's headers leave: the same for all its packets. `c_` fields are constant terms."""

    reason: REASON_BITS
    unparsed: 1  # for its counter
    segmented: 1
    fragmented: 1
    # inner headers
    header_row: 16
    header_words: HEADER_WORD_BITS  # in the ring
    strip: 1  # the outermost tag is left out
    kept_words: HEADER_WORD_BITS
    ipv4: 1  # fill in the IPv4 header checksum
    ip_checksum: 16  # that was there
    complete: 1  # fill in the inner L4 checksum
    partial: 1  # leave it partial: the folded pseudo-header sum (STT super-frame)
    udp: 1  # a computed inner checksum of 0 is sent as 0xFFFF
    c_length: 16  # inner IP length = this (+ piece where segmented)
    c_l4_length: 16  # inner TCP/UDP length, likewise
    c_pseudo: 16  # sum of the inner pseudo-header without the length
    c_ip: 16  # sum of the inner IPv4 header without length, ID and checksum
    c_l4: 16  # sum of the inner L4 header without sequence, flags and checksum
    c_front: 16  # sum of what lies in front of the inner L4 header, without the IP length (where it counts)
    c_header: 16  # sum of the inner L4 header without its checksum
    checksum: 16  # the inner L4 checksum where it is not filled in: the partial one, or what was there
    # outer headers
    index: 7  # of the tunnel
    words: 7  # of the template
    tunnelled: 1
    pseudo: 1
    outer_udp: 1
    sequence: 1
    stt: 1
    stt_flags: 16
    stt_l4_offset: 16
    stt_length: 16  # length of the STT frame (+ piece where it is not fragmented)
    c_outer_length: 16  # outer IP length = this + piece
    c_outer_l4_length: 16
    c_outer_ip: 16  # sum of the outer IPv4 header without length and ID
    c_outer_l4: 16  # sum of the outer L4 and tunnel headers without what differs from packet to packet
    c_outer_first: 16  # likewise with the key and the STT frame header


class OuterConstants(data.Struct):
    """What all outer headers of a frame have in common. It needs no arithmetic, so it waits in a queue of its own."""

    profile: 5  # whose template
    tos: 16  # the word with TOS or traffic class
    flow_port: 16
    gso_size: 16
    stt_tci: 16
    next_hop: 48
    key: 64
    remote: 128


class Piece(data.Struct):
    """One packet to be: what is counted up from piece to piece. The frame's own plan waits in another queue."""

    length: 14  # bytes of payload
    empty: 1  # no payload: nothing to sum or read
    summed: 1  # a PieceSum belongs to it
    totalled: 1  # a whole frame's sum belongs to it
    first: 1
    last: 1
    id: 16  # inner IPv4 identification
    sequence: 32  # inner TCP sequence
    tcp_flags: 16
    offset: 16  # of the fragment in its STT frame, bytes
    keep: 1  # the next piece begins in this one's last payload beat
    lane: 6  # byte of the first payload beat at which it begins


class CutPlan(data.Struct):
    """How the summer takes one piece off the payload beats: counted in beats, so that it needs no arithmetic."""

    beats: 14  # beats it touches, less one
    only: 1  # it touches one beat only
    low: 6  # first byte in its first beat
    high: 7  # bytes of its last beat up to its end (1 .. width)
    covered_beats: 14  # full beats in front of the one in which the inner checksum's cover ends
    border: 1  # that one is the first beat
    covered_high: 7  # bytes of that beat up to the end of the cover (0 .. width)
    keep: 1  # the last beat also belongs to the next piece
    discard: 1  # the frame is dropped: take the beats away, write and sum nothing
    first: 1  # of the frame
    total: 1  # last piece of a frame whose whole sum is waited for


class PieceSum(data.Struct):
    """What the summer found in a piece."""

    covered: 16  # sum of the bytes that the inner checksum covers
    trailer: 16  # sum of the others, in their place
    error: 1  # the frame's descriptor and data disagree


class InnerValues(data.Struct):
    """What `InnerPatch` codes 1 to 7 are replaced by, in their order."""

    length: 16
    id: 16
    ip_checksum: 16
    sequence_high: 16
    sequence_low: 16
    tcp_flags: 16
    l4_checksum: 16


class OuterValues(data.Struct):
    """What `OuterPatch` codes 1 to 31 are replaced by, in their order."""

    length: 16
    id: 16
    ip_checksum: 16
    tos: 16
    flow_port: 16
    udp_length: 16
    l4_checksum: 16
    sequence_high: 16
    sequence_low: 16
    ack_high: 16
    ack_low: 16
    tcp_flags: 16
    stt_flags: 16
    stt_l4_offset: 16
    stt_mss: 16
    stt_tci: 16
    next_hop: data.ArrayLayout(16, 3)
    key: data.ArrayLayout(16, 4)
    remote: data.ArrayLayout(16, 8)


PACKET_VALUES = data.StructLayout(
    {
        name: 16
        for name in (
            *("length", "id", "ip_checksum", "udp_length", "l4_checksum", "sequence_high", "sequence_low"),
            *("ack_high", "ack_low", "tcp_flags", "stt_flags", "stt_l4_offset"),
        )
    }
)
"""Those of `OuterValues` that may differ from packet to packet."""


class OuterPacket(data.Struct):
    """What is one packet's own in its outer header."""

    alive: 1  # else the frame was dropped, and no packet leaves
    last: 1  # of its frame
    partial: 1  # an STT super-frame: it carries an MSS
    words: 7  # 16-bit words of the template
    values: PACKET_VALUES


class OuterRecord(data.Struct):
    """How to replay the outer header of one packet. `words` = 0: an empty part (the bare uplink)."""

    profile: 5  # whose template
    words: 7  # 16-bit words of it
    values: OuterValues


class HeaderRecord(data.Struct):
    """How to replay the inner headers of one packet."""

    row: 16  # row of the header ring at which they begin (low bits count)
    words: HEADER_WORD_BITS  # words in the ring, from the frame's first byte; 0: an empty part, no row is read
    strip: 1  # leave out the outermost tag (4 bytes behind the MAC addresses)
    offset: 7  # words in front of them in the packet: the outer header's
    payload: 1  # a payload follows
    discard: 1  # emit nothing (the frame was found bad): only release
    release: 1  # last packet of the frame: its rows are free afterwards
    release_row: 16  # first row behind the frame's headers (low bits count)
    values: InnerValues


class PayloadRecord(data.Struct):
    """How to read the payload of one packet out of the ring; only packets with payload have one."""

    lane: 6  # byte of its first beat at which it begins
    length: 14  # bytes, at least 1
    offset: 6  # byte in the packet's beats at which it begins, modulo the width
    keep: 1  # the next piece begins in this one's last beat: do not advance over it
    discard: 1  # emit nothing (the frame was found bad): only advance
