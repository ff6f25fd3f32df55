"""Records that travel beside the data in the transmit path.

::

    parse ── FrameContext ── forward ── Route ── plan ── Plan ── cut ── Piece ── finish ─┬─ OuterRecord
                                                              └──── CutPlan ── sum       ├─ HeaderRecord
                                                                                         └─ PayloadRecord

Lengths are in bytes, header offsets in 16-bit words (every header offset is even), sums are 16-bit one's complement
sums of big-endian words, folded.
"""

from amaranth.lib import data

from hdl.registers.counters import DropReason
from hdl.registers.patches import INNER_PATCH_BITS
from hdl.stream.beat import FRAME_LENGTH_BITS

HEADER_BYTES = 512  # deepest header the parser looks into
HEADER_WORDS = HEADER_BYTES // 2
HEADER_WORD_BITS = 9  # 0 .. 256 words, inclusive


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


def header_beat(width: int) -> data.StructLayout:
    """A row of the header ring: a beat of header bytes and an `InnerPatch` code for each word."""
    return data.StructLayout(
        {"data": 8 * width, "codes": data.ArrayLayout(INNER_PATCH_BITS, width // 2)}
    )


def payload_beat(width: int) -> data.StructLayout:
    """A beat with payload bytes on its way to the summer, in its place in the frame (not realigned)."""
    return data.StructLayout({"data": 8 * width, "error": 1})


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


REASON_BITS = max(DropReason).bit_length()
