"""A receiver for tests: take outer headers apart, verify what can be verified, and put STT frames together again.

Written apart from the model, from the standards: it shares no code with what it checks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from struct import iter_unpack, unpack_from


def words_sum(data: bytes) -> int:
    """RFC 1071's sum, word by word; 0xFFFF over data with a good checksum in it."""
    total: int = sum(word for (word,) in iter_unpack("!H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True)
class Outer:
    """The outer Ethernet and IP header of a packet, and what they carry."""

    to: bytes
    of: bytes
    vlan: int | None  # whole TCI
    version: int
    tos: int
    identification: int  # IPv4 only, else 0
    df: bool
    label: int  # IPv6 only, else 0
    ttl: int
    protocol: int
    source: bytes
    destination: bytes
    length: int  # of the IP packet
    body: bytes

    @property
    def pseudo_header(self) -> bytes:
        return self.source + self.destination + len(self.body).to_bytes(4, "big") + self.protocol.to_bytes(4, "big")

    @property
    def ports(self) -> tuple[int, int]:
        source, destination = unpack_from("!HH", self.body)
        return source, destination


def outer(packet: bytes) -> Outer:
    """Take a packet's outer headers apart; fails on a wrong length, header checksum, or UDP or STT checksum."""
    at, vlan = 12, None
    if packet[12:14] == b"\x81\x00":
        at, vlan = 16, int.from_bytes(packet[14:16], "big")
    kind, ip = packet[at : at + 2].hex(), packet[at + 2 :]
    if kind == "0800":
        start, tos, length, identification, flags, ttl, protocol = unpack_from("!BBHHHBB", ip)
        assert start == 0x45 and flags & 0xBFFF == 0, "options, fragments and reserved flags are none of ours"
        assert words_sum(ip[:20]) == 0xFFFF, "IPv4 header checksum"
        version, label, size, source, destination = 4, 0, 20, ip[12:16], ip[16:20]
    else:
        assert kind == "86dd"
        start, rest, protocol, ttl = unpack_from("!IHBB", ip)
        version, tos, label, length = start >> 28, start >> 20 & 0xFF, start & 0xFFFFF, 40 + rest
        assert version == 6
        identification, flags, size, source, destination = 0, 0, 40, ip[8:24], ip[24:40]
    assert length == len(ip), f"IP says {length} bytes, there are {len(ip)}"
    found = Outer(
        to=packet[:6],
        of=packet[6:12],
        vlan=vlan,
        version=version,
        tos=tos,
        identification=identification,
        df=bool(flags),
        label=label,
        ttl=ttl,
        protocol=protocol,
        source=source,
        destination=destination,
        length=length,
        body=ip[size:],
    )
    if protocol == 17:
        assert unpack_from("!H", found.body, 4) == (len(found.body),), "UDP length"
    if protocol == 6 or (protocol == 17 and found.body[6:8] != b"\0\0"):
        assert words_sum(found.pseudo_header + found.body) == 0xFFFF, "outer checksum"
    return found


@dataclass(frozen=True)
class SttFrame:
    """One reassembled STT frame: its header's fields and the inner Ethernet frame."""

    flags: int
    l4_offset: int
    mss: int
    tag: int
    context: int
    inner: bytes
    identifier: int
    packets: int


def stt_frames(packets: Iterable[bytes]) -> list[SttFrame]:
    """Reassemble packets in order of sending; fails on a gap, an overlap, or a header field out of place."""
    frames, so_far, count, expected = [], b"", 0, (0, 0, 0, b"")
    for packet in packets:
        header = outer(packet)
        body = header.body
        sport, dport, total, offset, identifier, doff, flags, window, _, urgent = unpack_from("!HHHHIBBHHH", body)
        assert (header.protocol, dport, doff, window, urgent) == (6, 7471, 0x50, 0, 0)
        assert sport >= 0xC000
        if not so_far:
            expected = (total, identifier, sport, header.destination)
        assert (total, identifier, sport, header.destination) == expected, "constant over a frame"
        assert offset == len(so_far), f"offset {offset} after {len(so_far)} bytes"
        so_far, count = so_far + body[20:], count + 1
        assert len(so_far) <= total
        assert flags == (0x18 if len(so_far) == total else 0x10), "ACK on all, PSH on the last"
        if len(so_far) == total:
            version, state, l4, zero, mss, tag, context, padding = unpack_from("!BBBBHHQH", so_far)
            assert (version, zero, padding) == (0, 0, 0)
            frames.append(SttFrame(state, l4, mss, tag, context, so_far[18:], identifier, count))
            so_far, count = b"", 0
    assert not so_far, "the last frame is not complete"
    return frames
