"""Cut a TCP frame into segments, and fill in the checksums of what goes out.

::

    headers │ payload .................................... │     gso_size bytes of payload a segment
    headers' │ p0 │  headers' │ p1 │  headers' │ p2 │  headers' │ p3

Lengths, the IPv4 identification, the sequence number and FIN, PSH, CWR are patched per segment; all else is copied. The
same work as Linux's tcp_gso_segment.
"""

from struct import pack_into, unpack_from

from sim.model.checksum import checksum, ones_sum, udp_checksum
from sim.model.parse import TCP, UDP, Headers, word

FIN, PSH, CWR = 0x01, 0x08, 0x80


def needs_cutting(headers: Headers, gso_size: int) -> bool:
    """A TCP frame with more payload than a segment takes. One with Ethernet padding is never cut."""
    length = len(headers.frame)
    return headers.tcp and headers.ip_end == length and length - headers.header_length > gso_size > 0


def segment(headers: Headers, gso_size: int, accecn: bool = False, *, fixed_id: bool = False) -> list[bytes]:
    """The packets that a frame becomes inside its tunnel: segments, or the whole frame, with complete checksums.

    `fixed_id`: all keep the frame's IPv4 identification, as the packets had it that the frame was coalesced from.
    """
    if not needs_cutting(headers, gso_size):
        return [finish(headers)]
    frame, l3, l4, start = headers.frame, headers.l3, headers.l4, headers.header_length
    (sequence,) = unpack_from("!I", frame, l4 + 4)
    packets = []
    for number, at in enumerate(range(start, len(frame), gso_size)):
        first, last = number == 0, at + gso_size >= len(frame)
        packet = bytearray(frame[:start] + frame[at : at + gso_size])
        if headers.ip_version == 4:
            identification = (word(frame, l3 + 4) + (0 if fixed_id else number)) & 0xFFFF
            pack_into("!HH", packet, l3 + 2, len(packet) - l3, identification)
        else:
            pack_into("!H", packet, l3 + 4, len(packet) - l3 - 40)
        pack_into("!I", packet, l4 + 4, (sequence + at - start) & 0xFFFFFFFF)
        if not last:
            packet[l4 + 13] &= ~(FIN | PSH)
        if not first and not accecn:
            packet[l4 + 13] &= ~CWR
        fill_checksums(packet, headers, len(packet))
        packets.append(bytes(packet))
    return packets


def finish(headers: Headers) -> bytes:
    """The frame uncut, with complete checksums wherever its headers were understood."""
    packet = bytearray(headers.frame)
    fill_checksums(packet, headers, headers.ip_end)
    return bytes(packet)


def finish_partial(headers: Headers) -> bytes:
    """The TCP frame uncut, for whoever cuts it later: its checksum field holds the pseudo-header's sum only."""
    packet = bytearray(headers.frame)
    fill_ipv4_checksum(packet, headers)
    pack_into("!H", packet, headers.l4 + 16, pseudo_header(headers, headers.ip_end))
    return bytes(packet)


def completes_l4(headers: Headers) -> bool:
    """Whether `finish` fills in a TCP or UDP checksum: not where UDP says it has none."""
    return headers.tcp or (headers.udp and word(headers.frame, headers.l4 + 6) != 0)


def fill_checksums(packet: bytearray, headers: Headers, ip_end: int) -> None:
    """Compute the IPv4 and the TCP or UDP checksum of a packet with these headers and its IP packet's end."""
    if headers.unparsed:
        return
    fill_ipv4_checksum(packet, headers)
    if completes_l4(headers):
        l4 = headers.l4
        at, final = (l4 + 16, checksum) if headers.tcp else (l4 + 6, udp_checksum)
        pack_into("!H", packet, at, 0)
        pack_into("!H", packet, at, final(packet[l4:ip_end], pseudo_header(headers, ip_end)))


def fill_ipv4_checksum(packet: bytearray, headers: Headers) -> None:
    if headers.ip_version == 4:
        l3 = headers.l3
        end = l3 + 4 * (packet[l3] & 15)
        pack_into("!H", packet, l3 + 10, 0)
        pack_into("!H", packet, l3 + 10, checksum(packet[l3:end]))


def pseudo_header(headers: Headers, ip_end: int) -> int:
    """Sum of addresses, protocol and length of TCP or UDP (RFC 9293, RFC 8200)."""
    source, destination = headers.addresses
    return ones_sum(source + destination, (TCP if headers.tcp else UDP) + ip_end - headers.l4)
