"""Read and write capture files; no timestamps, Ethernet only."""

from collections.abc import Iterable
from pathlib import Path
from struct import pack, unpack_from

ETHERNET = 1
LONGEST = 262144  # bytes a packet, as tcpdump has it
PCAPNG = b"\x0a\x0d\x0d\x0a"
ENHANCED_PACKET = 6


def read(source: bytes | str | Path) -> list[bytes]:
    """The packets of a pcap or pcapng file, given as a path or as its bytes."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    return read_pcapng(data) if data[:4] == PCAPNG else read_pcap(data)


def read_pcap(data: bytes) -> list[bytes]:
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    packets, at = [], 24
    while at < len(data):
        (length,) = unpack_from(order + "I", data, at + 8)
        packets.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return packets


def read_pcapng(data: bytes) -> list[bytes]:
    order = "<" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    packets, at = [], 0
    while at < len(data):
        kind, size = unpack_from(order + "II", data, at)
        if kind == ENHANCED_PACKET:
            (length,) = unpack_from(order + "I", data, at + 20)
            packets.append(data[at + 28 : at + 28 + length])
        at += size
    return packets


def write(packets: Iterable[bytes]) -> bytes:
    """A pcap file's bytes; packet k is k microseconds after 1970, so that tools keep the order."""
    parts = [pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, LONGEST, ETHERNET)]
    for number, packet in enumerate(packets):
        parts += [pack("<IIII", number // 1_000_000, number % 1_000_000, len(packet), len(packet)), packet]
    return b"".join(parts)
