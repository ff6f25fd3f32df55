"""A card for the tools' own tests: as the virtual card, but what happens inside is `tests.driver.table_card`.

It needs no compiler. Packets follow each other on the wire without a gap.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Self

from hdl.config import NicConfig
from hdl.registers.tables import Table
from sim.card.traffic import Frame, Measurement, Packet, Result
from tests.driver.table_card import TableCard


class FakeCard:
    """`spoil` changes the packets on their way out; `lose` makes a counter forget."""

    spoil: Callable[[list[bytes]], list[bytes]] = staticmethod(lambda packets: packets)
    lose: int | None = None

    def __init__(self, config: NicConfig, *, trace: Path | None = None, local: bool = False) -> None:
        self.config = config
        if trace is not None:
            trace.write_text("$end\n")
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reset(self) -> None:
        self.inside = TableCard(self.config.width)

    def write_row(self, table: Table, row: int, data: int) -> None:
        self.inside.write_row(table, row, data)

    def read_counter(self, index: int) -> int:
        return 0 if index == type(self).lose else self.inside.read_counter(index)

    def send(self, frame: Frame) -> list[bytes]:
        return self.inside.send(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)

    def transmit(self, frames: Iterable[Frame], *, progress: Any = None) -> Result:
        frames = list(frames)
        packets = type(self).spoil([packet for frame in frames for packet in self.send(frame)])
        if progress:
            progress(len(frames), len(frames))
        at, timed = Fraction(100), []
        for packet in packets:
            timed.append(Packet(packet, at * Fraction(8 * 10**9, self.config.line_bps), 0, 0))
            at += max(len(packet), 60) + 24
        return Result(packets=timed, local=[], order=list(range(len(frames))), wire=self.measured(packets, round(at)))

    def measure(
        self, frames: Iterable[Frame], *, warm_up_cycles: int, cycles: int, progress: Any = None
    ) -> Measurement:
        assert warm_up_cycles > 0
        units, frames, packets = (
            cycles * self.config.line_bps // (8 * self.config.clock_hz),
            list(frames),
            list[bytes](),
        )
        total = 0
        for number in count():
            more = type(self).spoil(self.send(frames[number % len(frames)]))
            packets += more
            total += sum(max(len(packet), 60) + 24 for packet in more)
            if total >= units:
                return self.measured(packets, units)
        raise AssertionError

    def measured(self, packets: list[bytes], units: int) -> Measurement:
        return Measurement(
            cycles=units * 8 * self.config.clock_hz // self.config.line_bps,
            seconds=0.5,
            frames_in=0,
            bytes_in=0,
            packets=len(packets),
            bytes_out=sum(map(len, packets)),
            ideal_wire_units=sum(max(len(packet), 60) + 24 for packet in packets),
            wire_units=Fraction(units),
            line_units=Fraction(units),
            underruns=0,
        )
