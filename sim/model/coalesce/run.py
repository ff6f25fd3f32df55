"""A run: one super-segment that is still open."""

from struct import unpack_from

from sim.model.coalesce.merge import merge
from sim.model.coalesce.packet import GSO_TCPV4, GSO_TCPV6, Arrival, Delivery
from sim.model.coalesce.rules import ENDS, common, flags
from sim.model.parse import Headers, word

# Bytes from the outermost IP header to the end: the most that the kernel merges (GRO_LEGACY_MAX_SIZE). An untunnelled
# frame is counted from its first byte on, because a host buffer has 64 KB.
LONGEST = 65535
DF = 0x4000


class Run:
    """What a context holds: the first packet's headers, and what the next packet must look like.

    ::

        sequence      s       s+g      s+2g     s+3g = next one's
                      │ p0 .. │ p1 .. │ p2 .. │
        identification i       i+1      i+2      i+3, or i for ever where DF is set and the second packet has i too

    `g` is the `gso_size`: the first packet's payload. None is longer; the first that is shorter is the last.
    """

    def __init__(self, arrival: Arrival, headers: Headers) -> None:
        self.arrivals = [arrival]
        self.segments = [headers]
        self.common = common(headers)
        self.gso_size = len(headers.payload)
        self.length = arrival.outer + len(headers.frame)
        self.fixed_id = False

    @property
    def last_time(self) -> int:
        return self.arrivals[-1].time

    def refuses(self, arrival: Arrival, headers: Headers) -> str | None:
        """Why this packet, that may be merged, does not go on with the run; None if it does."""
        if arrival.options != self.arrivals[0].options:
            return "tunnel_options"
        if common(headers) != self.common:
            return "headers"
        if sequence(headers) != (sequence(self.segments[0]) + self.gso_size * len(self.segments)) & 0xFFFFFFFF:
            return "sequence"
        if not self.next_identification(headers):
            return "identification"
        if len(headers.payload) > self.gso_size:
            return "longer"
        if self.length + len(headers.payload) > LONGEST:
            return "full"
        return None

    def next_identification(self, headers: Headers) -> bool:
        """Whether the IPv4 identification goes on by one, or stays (RFC 6864: with DF it says nothing)."""
        if headers.ip_version == 6:
            return True
        count = len(self.segments)
        step = (identification(headers) - identification(self.segments[0])) & 0xFFFF
        if count == 1 and step == 0 and word(headers.frame, headers.l3 + 6) & DF:
            return True
        return step == (0 if self.fixed_id else count)

    def append(self, arrival: Arrival, headers: Headers) -> None:
        """Take a packet that is not refused."""
        if headers.ip_version == 4 and len(self.segments) == 1:
            self.fixed_id = identification(headers) == identification(self.segments[0])
        self.arrivals.append(arrival)
        self.segments.append(headers)
        self.length += len(headers.payload)

    def ended(self) -> str | None:
        """Why nothing can follow the last packet; None if something can."""
        last = self.segments[-1]
        if flags(last) & ENDS:
            return "push"
        return "short" if len(last.payload) < self.gso_size else None

    def deliver(self, reason: str) -> Delivery:
        first = self.arrivals[0]
        if len(self.arrivals) == 1:
            return Delivery((first,), first.frame, checksum=first.checksum, reason=reason)
        gso_type = GSO_TCPV4 if self.segments[0].ip_version == 4 else GSO_TCPV6
        frame = merge(self.segments)
        return Delivery(tuple(self.arrivals), frame, self.gso_size, gso_type, self.fixed_id, "partial", reason)


def sequence(headers: Headers) -> int:
    number: int = unpack_from("!I", headers.frame, headers.l4 + 4)[0]
    return number


def identification(headers: Headers) -> int:
    return word(headers.frame, headers.l3 + 4)
