"""The virtual card that receives."""

import time
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

from hdl.config import NicConfig
from hdl.registers.receive import RxCounter, RxReason
from sim.card.base import CHUNK, PATIENCE, SETTLE, Card, CardError, CardHang, Progress, chance
from sim.card.binding import Status
from sim.card.binding_receive import (
    FAULTS,
    PACKET_HEAD,
    FaultKind,
    Options,
    ReceiveLibrary,
    State,
)
from sim.card.deliveries import ReceiveMeasurement, ReceiveResult, delivery
from sim.card.tops import RECEIVE

DRAIN = 1_000  # quiet cycles after which all that the card took has come to where a flush finds it
BUFFERS = 1024
LONGEST_WAIT = 0xFFFF  # ticks of `idle` and `timeout`

Time = int | float | Fraction


class VirtualReceiver(Card[ReceiveLibrary]):
    """The receive path's RTL, compiled, between a line that brings packets at its rate and a host's memory.

    ::

        receive ──> line (MAC's FIFO of `mac_fifo` bytes) ── i ──> [ RTL ] ── place, delivery ──> memory ──> deliveries
                                             write_row ─────────────> │ │ ^──── buffer ─────────────┘
                                                                       └──> read_counter

    A beat can be offered when the line has brought its bytes. A packet that begins to come while more than `mac_fifo`
    bytes wait for the card is lost and counted (`overruns`).

    The host's buffers are of 64 KB, with handles scattered over all 16 bits. Every byte that the card writes is
    checked: that the card has the buffer, that the byte lies in it and, where asked, was not written before; and that a
    frame is whole when it is delivered. Bytes behind a packet's end in its last beat are junk on purpose.

    Parameters
    ----------
    config : width, clock and line rate
    trace : write a waveform (VCD) of every signal here; slow
    component : hardware to run, with the ports of `hdl.rx.path.RxPath`; default is that of `config`
    mac_fifo : bytes that may wait for the card when a packet begins to come

    Raises BuildError if the card cannot be compiled.
    """

    def __init__(
        self, config: NicConfig, *, trace: Path | None = None, component: Any = None, mac_fifo: int = 256
    ) -> None:
        if mac_fifo < 0:
            raise ValueError(f"mac_fifo is {mac_fifo} bytes; it must be at least 0")
        counters = max(*RxReason, *RxCounter) + 1
        super().__init__(config, RECEIVE, ReceiveLibrary, counters=counters, trace=trace, component=component)
        self.mac_fifo = mac_fifo
        self._failed = False

    def reset(self) -> None:
        """The card as after power-up, its tables empty; cycles count from 0 and a waveform begins anew."""
        super().reset()
        self._failed = False

    def receive(
        self,
        packets: Iterable[bytes],
        *,
        times: Sequence[Time] | None = None,
        line_rate: bool = True,
        input_pause: float = 0.0,
        place_pause: float = 0.0,
        delivery_pause: float = 0.0,
        seed: int = 0,
        flush: bool = True,
        settle: int = SETTLE,
        idle: int = LONGEST_WAIT,
        timeout: int = LONGEST_WAIT,
        buffers: int = BUFFERS,
        once: bool = False,
        progress: Progress | None = None,
    ) -> ReceiveResult:
        """Gives packets to the card and runs it until nothing moves any more.

        Parameters
        ----------
        packets : without the FCS, at least one byte each
        times : nanoseconds from now before which each packet does not begin on the line; default: one behind the other
        line_rate : packets come at the line's rate, however fast the card is; otherwise the line is infinitely fast and
            waits for the card
        input_pause : chance that the line stands still in a cycle
        place_pause, delivery_pause : chance that the host takes no placement, or no delivery, in a cycle
        seed : of the pauses
        flush : tell the card to hand up what is open once it has taken all packets and nothing moves
        settle : quiet cycles after which nothing more is expected
        idle, timeout : the card's inputs of these names, in its own ticks
        buffers : that the card may have at once, those waiting in it included
        once : it is an error if a byte is placed twice while the card has its buffer. A broken packet's bytes may be:
            they are placed before its checksum is known, and do not count
        progress : called with packets that came and packets given

        Raises CardHang if the card stops with work left, CardError if it breaks a rule of its interfaces. The card has
        to be reset then.
        """
        packets = list(packets)
        self._configure(
            chance("input_pause", input_pause),
            chance("place_pause", place_pause),
            chance("delivery_pause", delivery_pause),
            seed=seed,
            line_rate=line_rate,
            buffers=buffers,
            idle=idle,
            timeout=timeout,
            record=True,
            once=once,
        )
        before, began = self._library.state(), time.perf_counter()
        self._push(packets, times, loop=False)
        self._drain(flush=flush, settle=settle, before=before, total=len(packets), progress=progress)
        after, seconds = self._library.state(), time.perf_counter() - began
        records, data = self._library.frames()
        return ReceiveResult(
            deliveries=[delivery(record, data) for record in records],
            lost=_lost(before, after),
            start_cycle=before.cycle,
            cycles=after.cycle - before.cycle,
            seconds=seconds,
            overruns=after.overruns - before.overruns,
            buffer_peak=after.buffers_peak,
            open_peak=after.open_peak,
            buffers_left=after.buffers_used,
            held=after.held,
        )

    def measure(
        self,
        packets: Iterable[bytes],
        *,
        warm_up_cycles: int,
        cycles: int,
        idle: int = LONGEST_WAIT,
        timeout: int = LONGEST_WAIT,
        buffers: int = BUFFERS,
        progress: Progress | None = None,
    ) -> ReceiveMeasurement:
        """What passes in exactly `cycles` cycles, with the given packets again and again, at line rate.

        The count begins `warm_up_cycles` cycles after the first packet began. The card is empty afterwards: its open
        frames are flushed.

        Parameters
        ----------
        progress : called with cycles run and cycles to run

        Raises CardHang and CardError as `receive` does.
        """
        packets = list(packets)
        if not packets:
            raise ValueError("there are no packets to measure with")
        self._configure(
            *(0, 0, 0), seed=0, line_rate=True, buffers=buffers, idle=idle, timeout=timeout, record=False, once=False
        )
        self._push(packets, None, loop=True)
        self._run(warm_up_cycles)
        before, began, left = self._library.state(), time.perf_counter(), cycles
        while left:
            step = min(left, CHUNK)
            self._run(step)
            left -= step
            if progress:
                progress(cycles - left, cycles)
        after, seconds = self._library.state(), time.perf_counter() - began
        self._library.finish()
        self._drain(flush=True, settle=SETTLE, before=after, total=0, progress=None)
        ran = after.cycle - before.cycle
        return ReceiveMeasurement(
            cycles=ran,
            seconds=seconds,
            packets_in=after.packets_in - before.packets_in,
            bytes_in=after.bytes_in - before.bytes_in,
            overruns=after.overruns - before.overruns,
            frames=after.frames - before.frames,
            packets=after.packets_out - before.packets_out,
            bytes_out=after.bytes_out - before.bytes_out,
            lost=_lost(before, after),
            wire_units=after.line_bytes - before.line_bytes,
            line_units=Fraction(ran * self._rate.ticks_per_cycle, self._rate.ticks_per_byte),
        )

    def _configure(
        self,
        input_pause: int,
        place_pause: int,
        delivery_pause: int,
        *,
        seed: int,
        line_rate: bool,
        buffers: int,
        idle: int,
        timeout: int,
        record: bool,
        once: bool,
    ) -> None:
        if self._failed:
            raise CardError("the card has failed before; reset it")
        for name, value, most in (
            ("idle", idle, LONGEST_WAIT),
            ("timeout", timeout, LONGEST_WAIT),
            ("buffers", buffers, 1 << 16),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"{name} is {value}; it must be 0 to {most}")
        pauses = input_pause, place_pause, delivery_pause
        self._library.configure(
            Options(*pauses, seed & (1 << 62) - 1, line_rate, self.mac_fifo, buffers, idle, timeout, record, once)
        )

    def _push(self, packets: list[bytes], times: Sequence[Time] | None, *, loop: bool) -> None:
        if times is None:
            times = (0,) * len(packets)
        if len(times) != len(packets):
            raise ValueError(f"there are {len(packets)} packets and {len(times)} times")
        if not all(packets):
            raise ValueError(f"packet {packets.index(b'')} has no bytes; a beat has at least one")
        if min(times, default=0) < 0:
            raise ValueError(f"a packet's time is {min(times)} ns; it must be at least 0")
        heads = b"".join(
            PACKET_HEAD.pack(len(packet), ceil(Fraction(start) / self._tick_ns))
            for packet, start in zip(packets, times, strict=True)
        )
        self._library.push(b"".join(packets), heads, loop=loop)

    def _drain(self, *, flush: bool, settle: int, before: State, total: int, progress: Progress | None) -> None:
        """Runs until the card is quiet, then flushes it and does so again."""
        came_before = before.packets_in + before.overruns
        for flushing in (False, True) if flush else (False,):
            self._library.flush(flushing)
            while self._run(CHUNK, DRAIN if flush and not flushing else settle) is Status.RUNNING:
                if progress:
                    state = self._library.state()
                    progress(state.packets_in + state.overruns - came_before, total)
        self._library.flush(False)
        if progress:
            progress(total, total)

    def _run(self, cycles: int, settle: int = SETTLE) -> Status:
        status = self._library.run(cycles, settle=settle, patience=max(PATIENCE, settle))
        state = self._library.state()
        if status in (Status.BROKEN, Status.STUCK):
            self._failed = True
            if status is Status.STUCK:
                raise CardHang(self._outstanding(state))
            fault = state.fault
            what = FAULTS[FaultKind(fault.kind)].format(handle=fault.handle, byte=fault.byte)
            raise CardError(f"the card's output broke a rule in cycle {fault.cycle}: {what}")
        self._tell_time(state.cycle)
        return status

    def _outstanding(self, state: State) -> str:
        waits = []
        if state.packets_left:
            waits.append(f"{state.packets_left} packets wait, {state.taken_of_packet} bytes of the first are taken")
        if state.inside:
            waits.append("a placement has begun and does not end")
        streams = ("i", "place", "delivery", "buffer")
        handshakes = ", ".join(
            f"{name} {getattr(state, name)}" for stream in streams for name in (f"{stream}_valid", f"{stream}_ready")
        )
        counts = {counter.name.lower(): self.read_counter(counter) for counter in (*RxReason, *RxCounter)}
        counters = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "all 0"
        return (
            f"the card hangs: nothing moved for {PATIENCE} cycles before cycle {state.cycle}. "
            f"{'; '.join(waits)}. {handshakes}. {state.packets_in} packets in, {state.frames} frames delivered, "
            f"{state.buffers_out} buffers are the card's, {state.held} packets held. Its counters: {counters}"
        )


def _lost(before: State, after: State) -> dict[RxReason, int]:
    """Packets lost in between, by reason."""
    counts = {RxReason(n): after.lost[n] - before.lost[n] for n in RxReason if n}
    return {reason: count for reason, count in counts.items() if count}
