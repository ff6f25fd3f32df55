"""Traffic from the vports of one card to those of another: TCP writes that follow each other, and RFC 2544's frames."""

from collections.abc import Iterator
from random import Random
from struct import pack

from host.traffic import ACK, ETHERNET, IPV4, PSH, TCP, TIMESTAMP_OPTION, WRITE

NEAR, FAR = 1, 2  # the two cards
ECHO = 7  # RFC 2544, appendix C.2.6.4: the frames are for the UDP echo port
UDP = 8
FCS = 4  # bytes that RFC 2544 counts to a frame


def vport_mac(card: int, vport: int) -> bytes:
    """Address of what is attached to a vport of card NEAR or FAR."""
    return bytes([2, 0, 0, 0, card, vport])


def ethernet_ipv4(source: int, vport: int, protocol: int, identification: int, body: bytes) -> bytes:
    """From a vport of card `source` to the vport of the same number of the other one; IP's checksum is left 0."""
    target = NEAR + FAR - source
    macs = vport_mac(target, vport) + vport_mac(source, vport) + b"\x08\x00"
    addresses = bytes([10, 0, source, vport, 10, 0, target, vport])
    header = pack("!BBHHHBBH", 0x45, 0, IPV4 + len(body), identification & 0xFFFF, 0x4000, 64, protocol, 0)
    return macs + header + addresses + body


def writes(number: int, *, flow: int = 0, vport: int = 0, source: int = NEAR, size: int = WRITE) -> Iterator[bytes]:
    """Super-segments of one TCP connection: so many writes of `size` bytes, with timestamps, the last bit of each PSH.

    Random bytes, the same on every run, and different ones in each flow.
    """
    random = Random(f"{source} {vport} {flow}")
    sequence, identification = random.getrandbits(32), random.getrandbits(16)
    words = (TCP + len(TIMESTAMP_OPTION)) // 4
    for write in range(number):
        header = pack(
            *("!HHIIBBHHH", 40000 + flow, 443, (sequence + write * size) & 0xFFFFFFFF),
            *(1, words << 4, ACK | PSH, 512, 0, 0),
        )
        body = header + TIMESTAMP_OPTION + random.randbytes(size)
        yield ethernet_ipv4(source, vport, 6, identification + 64 * write, body)


def echo_requests(number: int, size: int, *, source: int = NEAR) -> Iterator[bytes]:
    """RFC 2544's frames of `size` bytes, FCS counted and left out; no two are alike."""
    payload = Random(size).randbytes(size - FCS - ETHERNET - IPV4 - UDP - 4)
    for index in range(number):
        header = pack("!HHHH", 40000, ECHO, UDP + 4 + len(payload), 1)  # a checksum is wanted
        yield ethernet_ipv4(source, 0, 17, index, header + pack("!I", index) + payload)


def echo_payload(size: int) -> int:
    """Bytes of UDP payload in such a frame."""
    return size - FCS - ETHERNET - IPV4 - UDP
