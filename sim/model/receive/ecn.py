"""Bring what the outer header learned on its way into the inner one: congestion (RFC 6040) and class (RFC 2983).

::

    outer TOS │ DSCP 6 │ ECN 2 │
                   ↓ uniform ↓ always, by the table
    inner TOS │ DSCP 6 │ ECN 2 │  and the inner IPv4 header checksum with it
"""

from struct import pack_into

from sim.model.checksum import checksum
from sim.model.parse import Headers, word
from sim.model.receive.reasons import Dropped

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
DROP = None

DECAPSULATE: dict[int, dict[int, int | None]] = {  # inner, outer: what leaves (RFC 6040, figure 4)
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: DROP},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}


def arrive(headers: Headers, outer_tos: int, *, uniform: bool) -> bytes:
    """The inner frame with its new TOS; a frame without an IP header has none and stays as it is."""
    if not headers.ip_version:
        return headers.frame
    ecn = DECAPSULATE[headers.tos & 3][outer_tos & 3]
    if ecn is None:
        raise Dropped("ecn")
    return with_tos(headers, (outer_tos if uniform else headers.tos) & 0xFC | ecn)


def with_tos(headers: Headers, tos: int) -> bytes:
    """The frame with this TOS or traffic class.

    The IPv4 header checksum is corrected, not computed anew (RFC 1624, equation 3): one that was wrong stays wrong, so
    that no broken header is made to look whole.
    """
    if tos == headers.tos:
        return headers.frame
    frame, l3 = bytearray(headers.frame), headers.l3
    was = word(headers.frame, l3)
    if headers.ip_version == 6:
        pack_into("!H", frame, l3, was & 0xF00F | tos << 4)
        return bytes(frame)
    now = was & 0xFF00 | tos
    old = word(headers.frame, l3 + 10)
    pack_into("!H", frame, l3, now)
    pack_into("!H", frame, l3 + 10, checksum(b"", (0xFFFF ^ old) + (0xFFFF ^ was) + now))
    return bytes(frame)
