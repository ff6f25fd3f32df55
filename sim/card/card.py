"""The virtual card that transmits: what the driver and the tests hold in their hands."""

import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from hdl.config import NicConfig
from hdl.registers.counters import MAXIMUM_FRAME, SIDE_COUNTERS, DropReason, LocalCounter, TxCounter
from hdl.stream.beat import FRAME_LENGTH_BITS
from sim.card.base import CHUNK, PATIENCE, SETTLE, Card, CardError, CardHang, Progress, chance
from sim.card.binding import Status
from sim.card.binding_receive import FAULTS, FaultKind
from sim.card.binding_transmit import FRAME_HEAD, PACKET, Options, State, TransmitLibrary
from sim.card.deliveries import delivery
from sim.card.tops import TRANSMIT, TRANSMIT_LOCAL
from sim.card.traffic import Frame, Measurement, Packet, Result

BUFFERS = 256


class VirtualCard(Card[TransmitLibrary]):
    """The transmit side's RTL, compiled, between a host that always has frames and a MAC at line rate.

    ::

        transmit ──> host memory ── descriptor, i ──> [ RTL ] ── o ──> MAC (FIFO of `mac_fifo` bytes) ──> packets, times
                          ^────────── turn ───────────┘ │ │
        write_row ──────────────────────────────────────┘ │└─────────> read_counter
                                                          └── place, delivery ──> memory ──> frames for other vports

    Each vport's frames leave in their order; whose turn it is, the card says. The host offers a vport's descriptors as
    long as the card has room for them.

    It has the methods of the driver's transport (`write_row`, `read_counter`). The first card of a configuration is
    compiled, which takes from seconds to a minute; later ones come from a cache.

    Bytes behind a frame's end in its last beat, and the meta of all beats but the first, are junk on purpose.

    Parameters
    ----------
    config : width, clock and line rate
    trace : write a waveform (VCD) of every signal here; slow
    component : hardware to run, with the ports of `hdl.tx.side.TxSide`; default is that of `config`
    local : with what hands frames to other vports; without it, they are dropped
    mac_fifo : line time, in bytes, that the MAC takes ahead before it is no longer ready

    Raises BuildError if the card cannot be compiled.
    """

    def __init__(
        self,
        config: NicConfig,
        *,
        trace: Path | None = None,
        component: Any = None,
        mac_fifo: int = 2048,
        local: bool = False,
    ) -> None:
        if mac_fifo < 1:
            raise ValueError(f"mac_fifo is {mac_fifo} bytes; it must be at least 1")
        top = TRANSMIT_LOCAL if local else TRANSMIT
        super().__init__(config, top, TransmitLibrary, counters=SIDE_COUNTERS, trace=trace, component=component)
        self.mac_fifo = mac_fifo

    def transmit(
        self,
        frames: Iterable[Frame],
        *,
        input_pause: float = 0.0,
        output_pause: float = 0.0,
        wire: bool = True,
        seed: int = 0,
        quantum: int = MAXIMUM_FRAME,
        place_pause: float = 0.0,
        delivery_pause: float = 0.0,
        buffers: int = BUFFERS,
        progress: Progress | None = None,
        chunk: int = CHUNK,
    ) -> Result:
        """Gives frames to the card and runs it until it has sent what they become.

        Parameters
        ----------
        input_pause, output_pause : chance that the host, or the MAC, makes a pause in a cycle
        wire : the MAC sends at line rate; otherwise it takes all that comes
        seed : of the pauses
        quantum : bytes that a vport may send at a turn
        place_pause, delivery_pause : chance that the host takes no placement, or no delivery, in a cycle
        buffers : that the card may have at once, for frames to other vports
        progress : called with frames taken and frames given, every `chunk` cycles; it may rewrite tables
        chunk : cycles

        Raises CardHang if the card stops with work left, CardError if it breaks a rule of its interfaces.
        """
        frames = list(frames)
        self._configure(
            input_pause,
            output_pause,
            place_pause,
            delivery_pause,
            wire=wire,
            seed=seed,
            quantum=quantum,
            buffers=buffers,
            record=True,
        )
        before, began = self._library.state(), time.perf_counter()
        self._push(frames, loop=False)
        self._drain(before.frames_in, len(frames), progress, chunk)
        wire_time = self._between(before, self._library.state(), time.perf_counter() - began)
        order = self._library.order()
        kept, bodies = self._library.frames()
        heads, data = self._library.packets()
        packets = [
            Packet(data[offset : offset + size], start * self._tick_ns, first, last)
            for offset, size, start, first, last in PACKET.iter_unpack(heads)
        ]
        return Result(packets=packets, local=[delivery(one, bodies) for one in kept], order=order, wire=wire_time)

    def measure(
        self, frames: Iterable[Frame], *, warm_up_cycles: int, cycles: int, progress: Progress | None = None
    ) -> Measurement:
        """What passes in exactly `cycles` cycles, with the given frames again and again, all at line rate.

        The count begins `warm_up_cycles` cycles after the first frame was offered. The card is empty afterwards.

        Parameters
        ----------
        progress : called with cycles run and cycles to run

        Raises CardHang and CardError as `transmit` does.
        """
        frames = list(frames)
        if not frames:
            raise ValueError("there are no frames to measure with")
        self._configure(0, 0, 0, 0, wire=True, seed=0, quantum=MAXIMUM_FRAME, buffers=BUFFERS, record=False)
        self._push(frames, loop=True)
        self._run(warm_up_cycles)
        before, began, left = self._library.state(), time.perf_counter(), cycles
        while left:
            step = min(left, CHUNK)
            self._run(step)
            left -= step
            if progress:
                progress(cycles - left, cycles)
        measurement = self._between(before, self._library.state(), time.perf_counter() - began)
        self._library.finish()
        self._drain(0, 0, None)
        return measurement

    def _configure(
        self,
        input_pause: float,
        output_pause: float,
        place_pause: float,
        delivery_pause: float,
        *,
        wire: bool,
        seed: int,
        quantum: int,
        buffers: int,
        record: bool,
    ) -> None:
        if not 1 <= quantum < 1 << FRAME_LENGTH_BITS:
            raise ValueError(f"quantum is {quantum} bytes; it must be 1 to {(1 << FRAME_LENGTH_BITS) - 1}")
        self._library.configure(
            Options(
                chance("input_pause", input_pause),
                chance("output_pause", output_pause),
                seed & (1 << 63) - 1,
                self.mac_fifo if wire else 0,
                record,
                self.config.vport_queue,
                quantum,
                chance("place_pause", place_pause),
                chance("delivery_pause", delivery_pause),
                buffers,
            )
        )

    def _push(self, frames: list[Frame], *, loop: bool) -> None:
        heads = b"".join(
            FRAME_HEAD.pack(len(frame.data), frame.descriptor_length, frame.gso_size, frame.vport, frame.accecn)
            for frame in frames
        )
        self._library.push(b"".join(frame.data for frame in frames), heads, loop=loop)

    def _run(self, cycles: int) -> Status:
        status = self._library.run(cycles, settle=SETTLE, patience=PATIENCE)
        state = self._library.state()
        if state.malformed or state.unstable or state.wrong_turns:
            raise CardError(
                f"the card's output broke the rules of streams by cycle {state.cycle}: {state.malformed} beats with a "
                f"wrong number of bytes, {state.unstable} beats changed or withdrawn before they were taken, "
                f"{state.wrong_turns} descriptors that are not what was given or out of their vport's order"
            )
        if state.fault.kind:
            what = FAULTS[FaultKind(state.fault.kind)].format(handle=state.fault.handle, byte=state.fault.byte)
            raise CardError(f"the card's output broke a rule in cycle {state.fault.cycle}: {what}")
        if status is Status.STUCK:
            raise CardHang(self._outstanding(state))
        self._tell_time(state.cycle)
        return status

    def _drain(self, taken_before: int, total: int, progress: Progress | None, chunk: int = CHUNK) -> None:
        while (status := self._run(chunk)) is Status.RUNNING:
            if progress:
                progress(self._library.state().frames_in - taken_before, total)
        assert status is Status.IDLE
        if progress:
            progress(total, total)

    def _between(self, before: State, after: State, seconds: float) -> Measurement:
        cycles = after.cycle - before.cycle
        return Measurement(
            cycles=cycles,
            seconds=seconds,
            frames_in=after.frames_in - before.frames_in,
            bytes_in=after.bytes_in - before.bytes_in,
            packets=after.packets - before.packets,
            bytes_out=after.bytes_out - before.bytes_out,
            ideal_wire_units=after.line_bytes - before.line_bytes,
            wire_units=Fraction(after.busy_ticks - before.busy_ticks, self._rate.ticks_per_byte),
            line_units=Fraction(cycles * self._rate.ticks_per_cycle, self._rate.ticks_per_byte),
            underruns=after.underruns - before.underruns,
        )

    def _outstanding(self, state: State) -> str:
        waits = []
        if state.frames_waiting:
            waits.append(f"{state.frames_waiting} frames wait, {state.taken_of_frame} bytes of the first are taken")
        if state.inside:
            waits.append(f"a packet is open after {state.given_of_packet} bytes")
        handshakes = ", ".join(
            f"{name} {getattr(state, name)}" for name in ("i_valid", "i_ready", "o_valid", "o_ready")
        )
        names = (*DropReason, *TxCounter, *LocalCounter)
        counts = {counter.name.lower(): self.read_counter(counter) for counter in names}
        counters = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "all 0"
        return (
            f"the card hangs: nothing moved for {PATIENCE} cycles before cycle {state.cycle}. "
            f"{'; '.join(waits)}. {handshakes}. {state.frames_in} frames in, {state.packets} packets out. "
            f"Its counters: {counters}"
        )
