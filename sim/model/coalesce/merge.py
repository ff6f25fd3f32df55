"""Write the headers of a merged frame, as the kernel does (inet_gro_complete, tcp_gro_complete)."""

from collections.abc import Sequence
from struct import pack_into

from sim.model.coalesce.rules import ENDS, flags
from sim.model.parse import Headers, parse
from sim.model.segment import finish_partial


def merge(segments: Sequence[Headers]) -> bytes:
    """One frame of several segments: the first one's headers, everyone's payload.

    ::

        headers0 │ p0 │  headers1 │ p1 │  headers2 │ p2        FIN, PSH: on the last only
        headers'                  │ p0 │ p1 │ p2               FIN, PSH of the last; lengths, checksums anew

    The IPv4 identification and the sequence number stay the first one's. TCP's checksum is the pseudo-header's sum.
    """
    first, last = segments[0], segments[-1]
    frame = bytearray(first.frame[: first.header_length])
    for headers in segments:
        frame += headers.payload
    if first.ip_version == 4:
        pack_into("!H", frame, first.l3 + 2, len(frame) - first.l3)
    else:
        pack_into("!H", frame, first.l3 + 4, len(frame) - first.l3 - 40)
    frame[first.l4 + 13] |= flags(last) & ENDS
    return finish_partial(parse(bytes(frame)))
