"""`tunnelnic segment`: a capture through the card.

::

    IN ── frames, gso_size ──┬── virtual card ── packets, wire times ──┬── OUT, LOCAL, report
    CONFIG ── tables ────────┘                                         │
             └── reference model ── packets ───────────────── compare ─┘
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from hdl.config import NicConfig
from host import captures, local, offload, report, simulation
from host.config import Config, load
from host.errors import UserError
from host.expect import Expected, compare, expect, tcp_payload
from host.packets import CapturedPacket, CaptureError
from host.progress import Advance, progress_bar
from host.simulation import Run, open_card, transmit

if TYPE_CHECKING:
    from sim.card import Frame, VirtualCard


def to_frames(
    packets: Sequence[CapturedPacket], config: Config, *, vport: str | None = None, gso_size: int | None = None
) -> list[Frame]:
    """Captured packets as a host hands them to its NIC. Raises CaptureError for what it could not hand over."""
    from sim.card import Frame

    network, index = config.model_network(), config.vport_index(vport)
    mtu = config.vport[index].mtu
    frames = []
    for number, packet in enumerate(packets, 1):
        said = offload.decide(packet, number, network, vport=index, vport_mtu=mtu, gso_size=gso_size)
        try:
            frames.append(Frame(packet.data, vport=index, gso_size=said.gso_size or 0, accecn=said.accecn))
        except ValueError as error:
            raise CaptureError(f"packet {number}: {error}") from None
    return frames


def annotated(packets: Sequence[CapturedPacket], frames: Sequence[Frame]) -> list[CapturedPacket]:
    """The packets with what their host said of each in its comment."""
    said = (offload.comment(offload.Offload(frame.gso_size, frame.accecn), frame.data) for frame in frames)
    return [replace(packet, comments=(text,)) for packet, text in zip(packets, said, strict=True)]


def run(
    card: VirtualCard, config: Config, nic: NicConfig, frames: Sequence[Frame], progress: Advance, *, check: bool = True
) -> tuple[Run, report.Report]:
    """Send frames through a card; the model runs beside it."""
    with ThreadPoolExecutor(1) as pool:
        start = perf_counter()
        model = pool.submit(expect, config.model_network(), frames) if check else None
        done = transmit(card, nic, config.driver_network(), frames, progress)
        expected = model.result() if model else None
        elapsed = perf_counter() - start
    comparison = None
    if expected:
        on_the_wire = compare(expected.packets, [packet.data for packet in done.packets])
        comparison = on_the_wire.and_also(local.compare(expected.local, done.local))
    return done, report.build(done, expected, comparison, payload_sent(config, done, expected), elapsed)


def payload_sent(config: Config, done: Run, expected: Expected | None) -> int:
    """TCP payload of the frames that were sent; which those were, only the model can say where some were dropped."""
    if expected is None and not done.drops and not done.local:
        return sum(tcp_payload(frame.data) for frame in done.frames)
    return (expected or expect(config.model_network(), done.frames)).payload


def output_packets(done: Run) -> list[CapturedPacket]:
    """The card's packets at the time at which each began on the wire, to the nearest nanosecond."""
    return [CapturedPacket(packet.data, round(packet.start_ns)) for packet in done.packets]


def segment(
    source: Path,
    target: Path,
    config_path: Path,
    *,
    vport: str | None,
    preset: str,
    gso_size: int | None,
    local_path: Path | None,
    report_path: Path | None,
    trace: Path | None,
    check: bool,
) -> report.Report:
    """The whole command but for what it shows. Raises UserError; writes OUT and the report whatever the check says."""
    nic, config = simulation.preset(preset), load(config_path)
    captures.check_writable(target)
    if local_path is not None:
        captures.check_writable(local_path)
    for path in (report_path, trace):
        if path is not None:
            captures.check_folder(path)
    packets = captures.read(source)
    written = (target, local_path, report_path, trace)
    captures.check_apart([source, config_path], [path for path in written if path is not None])
    try:
        frames = to_frames(packets, config, vport=vport, gso_size=gso_size)
    except CaptureError as error:
        raise UserError(f"{source}: {error}") from None
    except ValueError as error:
        raise UserError(f"{config_path}: {error}") from None
    if trace is not None:
        captures.write_bytes(trace, ())  # the simulator would not say that it cannot
    to_vports = any(entry.to[0] == "vport" for entry in config.forward)
    with open_card(nic, trace, local=to_vports) as card, progress_bar("segmenting") as progress:
        done, figures = run(card, config, nic, frames, progress, check=check)
    captures.write(target, output_packets(done))
    if local_path is not None:
        captures.write(local_path, local.packets(done), [vport.name for vport in config.vport])
    if report_path is not None:
        report.write_json(report_path, figures)
    return figures
