"""Take GRE, NVGRE, VXLAN and Geneve off: from what the outer IP packet carries to the key and the inner frame.

::

    GRE      flags, version 2 │ protocol 2 │ checksum, 0 (C) │ key (K) │ sequence (S) │ frame
    VXLAN    UDP 8 │ flags 1 │ 0 3 │ VNI 3 │ 0 1 │ frame
    Geneve   UDP 8 │ version, option length 1 │ O, C 1 │ protocol 2 │ VNI 3 │ 0 1 │ options │ frame
"""

from dataclasses import dataclass
from struct import unpack_from

from sim.model.encapsulate import ETHERNET_OVER_GRE
from sim.model.receive import verify
from sim.model.receive.outer import Outer
from sim.model.receive.reasons import Dropped, SlowPath

CHECKSUM, KEY, SEQUENCE = 0x8000, 0x2000, 0x1000
MUST_BE_ZERO = 0x4C00  # RFC 2784, bits 1, 4 and 5: 2 and 3 have since become K and S (RFC 2890)
VERSION = 0x0007
VALID_VNI = 0x08  # VXLAN's I
CONTROL = 0x80  # Geneve's O
CRITICAL = 0x80  # the highest bit of a Geneve option's type


@dataclass(frozen=True)
class Inside:
    """What a tunnel packet carries, and what its header says of it."""

    frame: bytes
    key: int | None
    has_checksum: bool  # GRE's C, or a UDP checksum
    before: int  # bytes in front of the frame, from the end of the outer IP header on
    has_sequence: bool = False  # GRE's S; the numbers are not looked at
    options: bytes = b""  # Geneve's, whole; frames with other options are never merged


def gre(outer: Outer) -> Inside:
    """RFC 2784 and 2890; which of GRE and NVGRE it is, the termination entry says."""
    body = outer.body
    if len(body) < 4:
        raise Dropped("outer_length")
    flags, protocol = unpack_from("!HH", body)
    if flags & VERSION:
        raise Dropped("gre_version")
    if flags & MUST_BE_ZERO:
        raise Dropped("gre_flags")
    has_checksum, has_key, has_sequence = (bool(flags & bit) for bit in (CHECKSUM, KEY, SEQUENCE))
    size = 4 + 4 * (has_checksum + has_key + has_sequence)
    if len(body) < size:
        raise Dropped("outer_length")
    if has_checksum and not verify.gre(body):
        raise Dropped("gre_checksum")
    if protocol != ETHERNET_OVER_GRE:
        raise SlowPath("not_terminated")
    key = unpack_from("!I", body, 8 if has_checksum else 4)[0] if has_key else None
    return Inside(body[size:], key, has_checksum, size, has_sequence)


def udp(outer: Outer) -> tuple[bytes, bool]:
    """A UDP datagram's payload, and whether it had a checksum. Bytes beyond UDP's length are no part of it."""
    if len(outer.body) < 8:
        raise Dropped("outer_length")
    (length,) = unpack_from("!H", outer.body, 4)
    if not 8 <= length <= len(outer.body):
        raise Dropped("outer_length")
    datagram = outer.body[:length]
    has_checksum = verify.udp_has_checksum(datagram)
    if has_checksum and not verify.outer_l4(outer, datagram):
        raise Dropped("udp_checksum")
    return datagram[8:], has_checksum


def vxlan(outer: Outer) -> Inside:
    """RFC 7348: all bits but I and the VNI are ignored."""
    payload, has_checksum = udp(outer)
    if len(payload) < 8:
        raise Dropped("outer_length")
    flags, vni = unpack_from("!BxxxI", payload)
    if not flags & VALID_VNI:
        raise Dropped("vxlan_flags")
    return Inside(payload[8:], vni >> 8, has_checksum, 8 + 8)


def geneve(outer: Outer) -> Inside:
    """RFC 8926."""
    payload, has_checksum = udp(outer)
    if len(payload) < 8:
        raise Dropped("outer_length")
    version_and_length, flags, protocol, vni = unpack_from("!BBHI", payload)
    if version_and_length >> 6:
        raise Dropped("geneve_version")
    start = 8 + 4 * (version_and_length & 0x3F)
    if len(payload) < start:
        raise Dropped("outer_length")
    options = payload[8:start]
    geneve_options(options)  # a list that does not add up is dropped, whatever else holds
    if flags & CONTROL:
        raise SlowPath("geneve_control")
    if protocol != ETHERNET_OVER_GRE:
        raise SlowPath("not_terminated")
    return Inside(payload[start:], vni >> 8, has_checksum, 8 + start, options=options)


def geneve_options(data: bytes) -> tuple[tuple[int, int], ...]:
    """Class and type of each option; they must fill their space exactly."""
    found, at = [], 0
    while at < len(data):
        kind, number, length = unpack_from("!HBB", data, at)
        found.append((kind, number))
        at += 4 + 4 * (length & 0x1F)
    if at != len(data):
        raise Dropped("geneve_options")
    return tuple(found)
