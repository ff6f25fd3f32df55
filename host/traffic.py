"""Made-up frames to measure with, the same on every run."""

from random import Random
from struct import pack

PATTERNS = ("32k", "64", "mix")
WRITE = 32 * 1024  # bytes of payload in a super-segment of pattern "32k"
FLOWS = 8
MIX_FRAMES = 96
ETHERNET, IPV4, TCP, TIMESTAMPS = 14, 20, 20, 12
TSO_HEADERS = ETHERNET + IPV4 + TCP + TIMESTAMPS
SHORTEST, LONGEST = 60, 9000  # bytes without the FCS
TIMESTAMP_OPTION = bytes.fromhex("0101080a0000123400005678")
ACK, PSH = 0x10, 0x08


def frames(pattern: str, seed: int = 1) -> list[bytes]:
    """Frames to send round and round: `32k` super-segments, `64` the shortest, `mix` of 64 to 9000 bytes on the wire.

    Checksums are left 0, for the card to fill in.
    """
    random = Random(seed)
    match pattern:
        case "32k":
            return [tcp(random, flow, WRITE) for flow in range(FLOWS)]
        case "64":
            return [tcp(random, flow, SHORTEST - ETHERNET - IPV4 - TCP, timestamps=False) for flow in range(FLOWS)]
        case "mix":
            lengths = [SHORTEST, LONGEST, *(any_length(random) for _ in range(MIX_FRAMES - 2))]
            random.shuffle(lengths)
            return [any_frame(random, length) for length in lengths]
    raise ValueError(f"there is no pattern {pattern!r}; there are {', '.join(PATTERNS)}")


def any_length(random: Random) -> int:
    """As many between 60 and 120 bytes as between 4500 and 9000."""
    return round(SHORTEST * (LONGEST / SHORTEST) ** random.random())


def any_frame(random: Random, length: int) -> bytes:
    """TCP of `length` bytes, or, one time in eight where it needs no cutting, UDP."""
    flow = random.randrange(FLOWS)
    if length <= 1200 and random.randrange(8) == 0:
        return udp(random, flow, length - ETHERNET - IPV4 - 8)
    if length <= TSO_HEADERS:
        return tcp(random, flow, length - ETHERNET - IPV4 - TCP, timestamps=False)
    return tcp(random, flow, length - TSO_HEADERS)


def tcp(random: Random, flow: int, payload: int, *, timestamps: bool = True) -> bytes:
    """TCP over IPv4 over Ethernet."""
    options = TIMESTAMP_OPTION if timestamps else b""
    words = (TCP + len(options)) // 4
    header = pack("!HHIIBBHHH", 40000 + flow, 443, random.getrandbits(32), 1, words << 4, ACK | PSH, 512, 0, 0)
    return ipv4(random, flow, 6, header + options + random.randbytes(payload))


def udp(random: Random, flow: int, payload: int) -> bytes:
    header = pack("!HHHH", 40000 + flow, 443, 8 + payload, 1)
    return ipv4(random, flow, 17, header + random.randbytes(payload))


def ipv4(random: Random, flow: int, protocol: int, body: bytes) -> bytes:
    addresses = bytes([10, 0, 0, 1, 10, 0, 1, flow])
    header = pack("!BBHHHBBH", 0x45, 0, IPV4 + len(body), random.getrandbits(16), 0x4000, 64, protocol, 0)
    return bytes.fromhex("0200000001020200000001010800") + header + addresses + body
