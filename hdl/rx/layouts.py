"""Records that travel beside the data in the receive path.

::

    i ─┬─ ring (raw rows) ───────────────────────────────────────────────────────────── read ─ placements
       └─ outer ─┬─ RxBeat ─ inner ─┬─ InnerFacts ─────┐                  ┌─ coalesce ─┬─ PlaceRecord
                 │                  └─ address ─┐      │                  │            └─ Completion ─ steer ─ Delivery
                 ├─ Request ─ terminate ─ vnet ─┴─ find┼─ meet ─ RxPacket ┤
                 ├─ OuterFacts ────────────────────────┘         SttFacts ┤
                 └─ SttChunk ─────────────────────────────────────────────┴─ reassemble

A packet is read once, as it arrives, by a pipeline that never stops, and its raw rows wait in a ring. Rows are counted
from reset, modulo 2**16; a packet begins with a row of its own. Lengths are in bytes, header offsets in 16-bit words,
sums are 16-bit one's complement sums of big-endian words, folded.
"""

from amaranth.lib import data

from hdl.parse.limits import HEADER_WORD_BITS
from hdl.registers.receive import RX_REASON_BITS
from hdl.registers.rx_tables import ENTRY_BITS, KIND_BITS, LOCAL_BITS, QUEUE_BITS
from hdl.registers.tables import VNET_BITS, VPORT_BITS, VPORTS

LONGEST = 9238  # bytes of a packet off the wire: two tags and the largest MTU
LENGTH_BITS = 14
ROW_BITS = 16
HANDLE_BITS = 16  # of a host buffer of 64 KB
MERGED_BYTES = 128  # longest headers of a frame that may be coalesced: two tags, IPv6, TCP with all options: 122


def chunk_rows(width: int) -> tuple[int, int]:
    """Rows of an STT packet after which its first placement may leave, and then every further one.

    The first covers the deepest header in front of the data: 22 + 60 + 60 + 18 bytes.
    """
    return {8: (20, 4), 16: (10, 4), 32: (5, 4), 64: (3, 4)}[width]


def rx_beat(width: int) -> data.StructLayout:
    """A beat on its way to the inner parser: aligned to the packet, not yet to the inner frame.

    ::

        │ o o o o │ o o i i │ i i i i │ i . . . │      switch, lane = 2: the inner frame begins in this beat
    """
    return data.StructLayout(
        {
            "data": 8 * width,  # zero behind the packet's end
            "first": 1,  # of the packet
            "last": 1,
            "bytes": range(width + 1),  # of the packet in this beat
            "switch": 1,  # what was taken for a bare frame was an outer header: the frame begins here, at `lane`
            "lane": 6,
            "length": 17,  # on `switch`: bytes of the inner frame, as the outer header says (STT: of the whole frame)
        }
    )


class SttFields(data.Struct):
    """Of an STT frame header, from the fragment at offset 0."""

    partial: 1  # the inner checksum holds the pseudo-header's sum only
    mss: 16
    tagged: 1  # a VLAN tag belongs into the frame
    tci: 16


class Request(data.Struct):
    """Whose is this packet? What the tables look at; one a packet, as soon as its outer headers are here."""

    kind: KIND_BITS  # Encapsulation
    asked: 1  # a tunnel's packet that says whose it is: an STT fragment not at offset 0 does not
    local: LOCAL_BITS  # which of our addresses it came to
    source: 128  # outer source; IPv4 in the low 32 bits
    ipv6: 1  # outer IP version
    has_key: 1
    key: 64  # GRE: 32 bits, VXLAN and Geneve: VNI, STT: context ID
    has_checksum: 1  # GRE's C, or a UDP checksum
    has_sequence: 1  # GRE's S
    tagged: 1  # outermost VLAN tag of the packet
    vid: 12


class Termination(data.Struct):
    """Whose a packet is; one for each `Request`, in order."""

    reason: RX_REASON_BITS  # why the tables do not let it in; 0: they do
    vnet: VNET_BITS
    entry: ENTRY_BITS
    uniform: 1  # DSCP comes from the outer header
    nvgre: 1  # a tag inside is forbidden


class Destination(data.Struct):
    """To which vport of its vnet a frame's destination address belongs, as of its arrival."""

    many: 1  # multicast or broadcast: to several, maybe
    known: 1  # `vport` has the address
    vport: VPORT_BITS


class OuterFacts(data.Struct):
    """What the outer parser found; one a packet, behind its last beat."""

    tunnelled: 1  # not BARE
    reason: RX_REASON_BITS  # why it is not delivered; 0 so far
    row: ROW_BITS  # of the packet's first beat
    end_row: ROW_BITS  # behind its last beat
    length: LENGTH_BITS  # bytes of the packet (LONGEST + 1 and more: OVERSIZE)
    start: 10  # byte at which the inner frame begins; BARE: 0
    l3: 5  # byte at which the outer network header begins
    chunked: 1  # an STT fragment that comes as `SttChunk`s
    inner_length: 17  # bytes of the inner frame; BARE: `length`; STT: of the whole inner frame
    origin: 32  # digest of the outer source
    options: 32  # digest of Geneve's options: frames with other ones are not merged
    tos: 8  # of the outer IP header
    zero: 1  # STT: the fragment at offset 0, which has an inner header
    stt: SttFields


class SttChunk(data.Struct):
    """Some of an STT fragment's bytes are in the ring. One fragment has one or more, the last with its verdict.

    ::

        row    0      20     24     28        first: 20 rows, then every 4; a short fragment: one chunk, first and last
              │ head d │ d d d │ d d d │ d │
    """

    first: 1
    last: 1
    row: ROW_BITS  # at which the chunk's bytes begin
    lane: 6
    length: LENGTH_BITS  # bytes; may be 0
    release_row: ROW_BITS  # rows in front of it are not needed any more once this chunk is read
    # with `first`
    reason: RX_REASON_BITS  # why the fragment must not be taken; 0: it may
    source: 128
    local: LOCAL_BITS
    ipv6: 1
    identifier: 32
    total: 16  # bytes of the STT frame, its header included
    offset: 16  # of the fragment in it
    size: LENGTH_BITS  # bytes of the fragment, as the outer IP header says
    tos: 8
    # with `last`
    verdict: RX_REASON_BITS  # what the end of the packet brought to light; 0: the fragment is good
    sum: 16  # of the fragment's bytes, as if it began at an even offset


class InnerFacts(data.Struct):
    """What the inner parser found; one a packet, behind its last beat.

    For a fragment at offset 0 of an STT frame it says what the fragment holds.
    """

    runt: 1  # shorter than an Ethernet header
    tags: 2
    dst_mac: 48  # first byte most significant
    link: 16  # digest of the source MAC and the tags
    l3: 4  # word at which the network header begins
    l4: HEADER_WORD_BITS  # word at which the transport header begins
    header_words: HEADER_WORD_BITS  # words of headers
    has_ip: 1  # an IP header stands there, even one whose lengths lie: it has a TOS
    ipv6: 1  # of that header
    unparsed: 1  # claims to be IP, but cannot be parsed
    tcp: 1  # a TCP header that can be worked on
    udp: 1  # likewise, with a checksum
    tos: 8
    tos_word: 16  # first word of the IP header
    ip_length: 16  # IPv4 total length or IPv6 payload length
    id: 16
    fragment_word: 16  # IPv4: flags and offset
    ip_checksum: 16  # IPv4
    sequence: 32
    tcp_flags: 16  # data offset and flags
    l4_checksum: 16
    payload: 17  # bytes behind the TCP or UDP header up to the end of the IP packet
    padded: 1  # bytes follow behind the IP packet
    ip_status: 2  # ChecksumStatus of the IPv4 header
    l4_status: 2  # of TCP or UDP, as if it were complete
    partial: 1  # the checksum field holds the pseudo-header's sum
    pseudo: 16  # sum of the pseudo-header without the length
    pseudo_whole: 16  # and with it: what the header says
    l4_sum: 16  # sum of the bytes from l4 on that are here, up to the end of the IP packet (l4 counts as even)
    hash: 32  # Toeplitz, symmetric
    rows: 5  # of masked headers for the coalescer (at `header_rows`)


class Patches(data.Struct):
    """What to write into the headers of a frame once it is complete. Words stand at offsets from `l3` and `l4`."""

    l3: 4  # word
    l4: HEADER_WORD_BITS
    ipv6: 1
    tos_word: 16  # first word of the IP header, always valid where `ip` is set
    ip: 1  # write tos_word, and for IPv4 ip_checksum
    ip_checksum: 16
    merged: 1  # write ip_length, tcp_flags, l4_checksum
    ip_length: 16
    tcp_flags: 16
    l4_checksum: 16


class RxPacket(data.Struct):
    """A packet that is no STT fragment, with all that is known: what the coalescer decides on."""

    reason: RX_REASON_BITS  # not 0: dropped, or with `slow` handed up as it came
    slow: 1
    row: ROW_BITS
    lane: 6
    length: LENGTH_BITS  # bytes to hand up
    release_row: ROW_BITS
    vnet: VNET_BITS
    entry: ENTRY_BITS
    tunnelled: 1
    origin: 32  # digest of outer source and entry; frames from elsewhere are not merged
    options: 32
    to: Destination
    outer_bytes: 10  # from the outer IP header to the inner frame; they count for the longest merged frame
    tos: 8  # the inner TOS after RFC 6040
    tos_patch: 1  # it differs from the one in the frame
    inner: InnerFacts


class SttFacts(data.Struct):
    """What the fragment at offset 0 says of its frame; one for each such fragment, in order."""

    reason: RX_REASON_BITS  # not 0: the frame is dropped
    vnet: VNET_BITS
    entry: ENTRY_BITS
    to: Destination
    uniform: 1  # DSCP comes from the outer header
    stt: SttFields
    inner: InnerFacts


class PlaceRecord(data.Struct):
    """Read bytes out of the ring and write them into a host buffer."""

    last: 1  # of its packet's records: the next packet's follow
    row: ROW_BITS
    lane: 6
    length: LENGTH_BITS  # 0: read nothing, only release
    discard: 1  # likewise
    release_row: ROW_BITS  # rows in front of it are free afterwards
    handle: HANDLE_BITS
    offset: 16  # byte in the buffer


def place_beat(width: int) -> data.StructLayout:
    """A beat on its way into host memory: `bytes` from lane 0 on go to `offset` of the buffer."""
    return data.StructLayout(
        {"data": 8 * width, "bytes": range(width + 1), "last": 1, "handle": HANDLE_BITS, "offset": 16}
    )


class Completion(data.Struct):
    """A frame is whole in its buffer; or (`reason`) packets came to nothing. One a delivered frame or lost context."""

    stt: 1  # which engine it comes from
    placed: 16  # PlaceRecords of that engine, since reset, that must have been written before
    reason: RX_REASON_BITS  # not 0: not delivered; `claimed` buffers go back to the pool
    slow: 1  # the slow path takes it, as it came
    claimed: 1  # `handle` is a buffer
    handle: HANDLE_BITS
    length: 17  # bytes of the frame
    packets: 16  # that came in it
    vnet: VNET_BITS
    entry: ENTRY_BITS
    tunnelled: 1
    to: Destination
    hash: 32
    patches: Patches
    gso_size: 16  # 0: one packet
    tcpv6: 1  # gso_type
    fixed_id: 1
    ip_status: 2
    l4_status: 2
    tagged: 1  # STT: a tag belongs into the frame
    tci: 16


Delivery = data.StructLayout(
    {
        **data.Layout.cast(Completion).members,  # `reason` not 0: it goes nowhere; `slow`: the slow path takes it
        "vports": VPORTS,  # to whom a copy goes, a bit each
        "queue": QUEUE_BITS,  # of the vport; 0 where there are several
        "cut": 1,  # segment it by `gso_size`: it is longer than the vport takes, or goes to several
    }
)
"""A completion, and to whom it goes."""
