"""What goes into the virtual card and what comes out."""

from dataclasses import dataclass
from fractions import Fraction

from hdl.stream.beat import FRAME_LENGTH_BITS
from sim.card.deliveries import Delivery

LARGEST_LENGTH = (1 << FRAME_LENGTH_BITS) - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as the host hands it to the card.

    Parameters
    ----------
    data : bytes from the destination MAC on; may be empty
    vport : index of the sender's vport, 0 to 63
    gso_size : bytes of TCP payload a segment; 0: do not segment
    accecn : leave CWR on every segment (RFC 9768)
    length : bytes, as the descriptor says; default is the truth
    """

    data: bytes
    vport: int = 0
    gso_size: int = 0
    accecn: bool = False
    length: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.vport < 64:
            raise ValueError(f"vport is {self.vport}; it must be 0 to 63")
        if not 0 <= self.gso_size < 1 << 16:
            raise ValueError(f"gso_size is {self.gso_size}; it must be 0 to 65535")
        if not 0 <= self.descriptor_length <= LARGEST_LENGTH:
            raise ValueError(f"length is {self.descriptor_length}; a descriptor holds 0 to {LARGEST_LENGTH}")

    @property
    def descriptor_length(self) -> int:
        """Bytes, as the descriptor says."""
        return len(self.data) if self.length is None else self.length


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as the MAC got it.

    `start_ns`: when its preamble began on the line, nanoseconds since reset, exact.
    `cycle`, `last_cycle`: clock cycles since reset in which the MAC took its first and its last beat.
    """

    data: bytes
    start_ns: Fraction
    cycle: int
    last_cycle: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What passed in a number of cycles.

    A wire unit is the time of one byte on the line. A packet takes max(length, 60) + 24 units: preamble 8, FCS 4 and
    gap 12.
    """

    cycles: int
    seconds: float  # of the machine that ran the simulation
    frames_in: int  # frames that the card took
    bytes_in: int
    packets: int  # packets that the card gave
    bytes_out: int
    ideal_wire_units: int  # units that these packets take
    wire_units: Fraction  # units in which the line was busy: never more than `line_units`
    line_units: Fraction  # units that the line had
    underruns: int  # beats that came after the line had sent all bytes before them; 0 in hardware that works

    @property
    def wire_utilisation(self) -> float:
        """The part of the time in which the line was busy, 0 to 1."""
        return float(self.wire_units / self.line_units) if self.line_units else 0.0

    @property
    def cycles_per_second(self) -> float:
        """Speed of the simulation."""
        return self.cycles / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of some frames."""

    packets: list[Packet]  # in the order in which they left
    local: list[Delivery]  # frames for other vports, likewise
    order: list[int]  # numbers of the frames as the card took turns between vports; a vport's own keep their order
    wire: Measurement  # over all cycles, with the quiet time at the end

    @property
    def cycles(self) -> int:
        """Clock cycles that the card ran."""
        return self.wire.cycles

    @property
    def seconds(self) -> float:
        """Wall time of the simulation."""
        return self.wire.seconds

    @property
    def underruns(self) -> int:
        """Beats that came too late for the line; counted only while the MAC makes no pauses of its own."""
        return self.wire.underruns
