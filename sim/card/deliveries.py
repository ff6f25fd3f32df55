"""What comes out of a card for a host."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hdl.registers.receive import ChecksumStatus, RxReason
from sim.card.binding_receive import Delivered

GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 0, 1, 4  # virtio-net's


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame in a host's buffer, the card's patches written into it, and what the card's record says of it.

    The time that a frame took from its last byte on is `cycle` - `last_byte_cycle` where no other packet came between.
    """

    data: bytes
    vports: int  # a bit each
    queue: int
    gso_size: int  # bytes of payload of its segments; 0: it is one packet
    gso_type: int  # GSO_NONE, GSO_TCPV4 or GSO_TCPV6
    fixed_id: bool  # its segments had one IPv4 identification
    ip_status: ChecksumStatus
    l4_status: ChecksumStatus
    packets: int  # that it came in
    slow: bool  # the slow path takes it, as it came
    hash: int
    vnet: int
    entry: int  # that ended its tunnel
    tunnelled: bool
    tag: int | None  # TCI of a VLAN tag that belongs into the frame
    cut: bool
    cycle: int  # in which the host took the record, since reset
    last_byte_cycle: int  # in which the card had taken the last beat of the latest packet, as of then

    @property
    def vport_set(self) -> frozenset[int]:
        """Indices of the vports that get it."""
        return frozenset(index for index in range(64) if self.vports >> index & 1)


def delivery(record: Delivered, data: bytes) -> Delivery:
    """A record of the C interface; `data`: of all frames kept."""
    frame = data[record.offset : record.offset + record.size]
    return described(record, frame, cycle=record.cycle, last_byte_cycle=record.last_byte_cycle)


def described(record: Any, frame: bytes, *, cycle: int, last_byte_cycle: int) -> Delivery:
    """A frame with what `record`, which has the fields of `hdl.rx.layouts.Delivery`, says of it."""
    return Delivery(
        data=frame,
        vports=record.vports,
        queue=record.queue,
        gso_size=record.gso_size,
        gso_type=(GSO_TCPV6 if record.tcpv6 else GSO_TCPV4) if record.gso_size else GSO_NONE,
        fixed_id=bool(record.fixed_id),
        ip_status=ChecksumStatus(record.ip_status),
        l4_status=ChecksumStatus(record.l4_status),
        packets=record.packets,
        slow=bool(record.slow),
        hash=record.hash,
        vnet=record.vnet,
        entry=record.entry,
        tunnelled=bool(record.tunnelled),
        tag=record.tci if record.tagged else None,
        cut=bool(record.cut),
        cycle=cycle,
        last_byte_cycle=last_byte_cycle,
    )


@dataclass(frozen=True, kw_only=True)
class ReceiveResult:
    """What became of some packets."""

    deliveries: list[Delivery]  # in the order in which they came
    lost: Mapping[RxReason, int]  # packets that came to nothing, as the records say
    start_cycle: int  # from which the packets' times count
    cycles: int  # that the card ran, with the quiet time at the end
    seconds: float  # of the machine that ran the simulation
    overruns: int  # packets that the card was too slow to take
    buffer_peak: int  # most buffers with bytes in them at once
    open_peak: int  # most open frames at once
    buffers_left: int  # with bytes in them at the end
    held: int  # packets in open frames at the end, as the card says


@dataclass(frozen=True, kw_only=True)
class ReceiveMeasurement:
    """What passed in a number of cycles. A packet takes max(length, 60) + 24 wire units, each a byte on the line."""

    cycles: int
    seconds: float  # of the machine that ran the simulation
    packets_in: int  # that the card took
    bytes_in: int
    overruns: int  # packets that it was too slow to take
    frames: int  # that it delivered
    packets: int  # in these frames
    bytes_out: int  # of these frames
    lost: Mapping[RxReason, int]  # packets that came to nothing
    wire_units: int  # that the packets taken need
    line_units: Fraction  # that the line had

    @property
    def wire_utilisation(self) -> float:
        """The part of the line's time that the packets taken need."""
        return float(self.wire_units / self.line_units) if self.line_units else 0.0

    @property
    def cycles_per_second(self) -> float:
        """Speed of the simulation."""
        return self.cycles / self.seconds if self.seconds else 0.0
