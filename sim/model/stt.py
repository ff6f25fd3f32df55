"""STT (draft-davie-stt-08): frames of up to 64 KiB behind a header that looks like TCP's.

::

    STT frame    │ STT header 18 │ inner frame ............................................ │
    packets      │ IP │ TCP-like │ first `capacity` bytes │   │ IP │ TCP-like │ the next ... │

The TCP-like header says how long the STT frame is and where in it these bytes belong, so the receiver needs no order.
"""

from struct import pack

from sim.model import outer
from sim.model.checksum import checksum
from sim.model.network import Tunnel
from sim.model.parse import TCP, Headers
from sim.model.segment import CWR, completes_l4, needs_cutting

PORT = 7471
TCP_LIKE, STT_HEADER = 20, 18
LONGEST = 0xFFFF  # bytes of an STT frame, its header included
LONGEST_WHOLE = 9216 + 22  # bytes of an inner frame that is held whole for its checksum: no super-frame
DEEPEST_L4 = 255
VERIFIED, PARTIAL, IS_IPV4, IS_TCP = 0x01, 0x02, 0x04, 0x08
ACK, PSH = 0x10, 0x08
TAG_PRESENT = 0x1000


def capacity(tunnel: Tunnel, mtu: int) -> int:
    """Bytes of an STT frame that one packet takes."""
    return mtu - outer.ip_header_length(tunnel) - TCP_LIKE


def l4_offset(headers: Headers) -> int:
    """Where TCP or UDP starts in the inner frame once its tag has moved to the STT header."""
    return headers.l4 - (4 if headers.tpid == 0x8100 else 0)


def goes_as_super_frame(tunnel: Tunnel, headers: Headers, length: int, gso_size: int) -> bool:
    """Whether a frame, `length` bytes without its tag, leaves uncut, for the receiver's side to segment.

    CWR belongs on the first segment only, which a receiver that cuts by MSS need not know: such frames are cut here.
    """
    return (
        tunnel.stt_mode == "frame"
        and needs_cutting(headers, gso_size)
        and STT_HEADER + length <= LONGEST
        and l4_offset(headers) <= DEEPEST_L4
        and not headers.frame[headers.l4 + 13] & CWR
    )


def stt_header(headers: Headers, context: int, mss: int) -> bytes:
    """The 18 bytes at the start of an STT frame; `mss` is 0 unless it is a super-frame.

    ::

        version 1 │ flags 1 │ L4 offset 1 │ 0 │ MSS 2 │ tag 2 │ context ID 8 │ padding 2
    """
    state = PARTIAL if mss else VERIFIED if completes_l4(headers) else 0
    flags = state and state | (IS_IPV4 if headers.ip_version == 4 else 0) | (IS_TCP if headers.tcp else 0)
    offset = l4_offset(headers) if mss else 0  # Open vSwitch and Wireshark: 0 where there is nothing to compute
    tag = headers.tci & 0xEFFF | TAG_PRESENT if headers.tpid == 0x8100 else 0
    return pack("!BBBxHHQxx", 0, flags, offset, mss, tag, context)


def fragments(tunnel: Tunnel, stt_frame: bytes, capacity: int, port: int, identifier: int) -> list[bytes]:
    """Cut an STT frame and put the TCP-like header in front of each piece: payloads of outer IP packets."""
    packets = []
    for at in range(0, len(stt_frame), capacity):
        piece = stt_frame[at : at + capacity]
        flags = ACK if at + capacity < len(stt_frame) else ACK | PSH
        before = pack("!HHHHIBBH", port, PORT, len(stt_frame), at, identifier, 5 << 4, flags, 0)
        check = checksum(before + pack("!xxxx") + piece, outer.pseudo_header(tunnel, TCP, TCP_LIKE + len(piece)))
        packets.append(before + pack("!HH", check, 0) + piece)
    return packets
