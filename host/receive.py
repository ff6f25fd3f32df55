"""`tunnelnic receive`: a capture of the wire through the card.

::

    IN ── packets, line rate ──┬── virtual card ── deliveries ──┬── frames for vports ── OUT, report
    CONFIG ── tables ──────────┘                                │
             └── reference model ── deliveries ──────── compare ┘
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from host import captures, report_receive, simulation
from host.config import Config, load
from host.errors import UserError
from host.expect_receive import compare, expect
from host.packets import CapturedPacket
from host.progress import Advance, progress_bar
from host.receive_simulation import ReceiveRun, ReceivingCard, arrivals, open_receiver, run_card
from host.report import Report, write_json
from host.wire import SHORTEST
from sim.model.parse import parse
from sim.model.receive.delivery import Delivery


def on_the_wire(packets: Sequence[CapturedPacket]) -> list[bytes]:
    """The packets as an Ethernet sender makes them: short ones are padded."""
    return [packet.data.ljust(SHORTEST, b"\0") for packet in packets]


def times_of(packets: Sequence[CapturedPacket]) -> list[int]:
    """Nanoseconds from the first packet; one that is said to be earlier comes with it."""
    return [max(0, packet.time_ns - packets[0].time_ns) for packet in packets]


def comment(delivery: Delivery, *, cut: bool) -> str:
    """What virtio-net tells a guest of a frame, so that `tunnelnic segment` reads it back.

    ::

        gso_size=1448 gso_type=tcpv4 checksum=partial queue=3
    """
    size = 0 if cut else delivery.gso_size
    kind = f"tcpv{parse(delivery.frame).ip_version}" if size else "none"
    checksum = "bad" if "bad" in (delivery.ip_checksum, delivery.l4_checksum) else delivery.l4_checksum
    checksum = "good" if cut else checksum
    slow = " slow_path=yes" if delivery.slow else ""
    return f"gso_size={size} gso_type={kind} checksum={checksum} queue={delivery.queue}{slow}"


def output_packets(done: ReceiveRun) -> list[CapturedPacket]:
    """What the vports got, at the time at which it was handed up; an interface is a vport."""
    return [
        CapturedPacket(frame, done.time_ns(number), (comment(delivery, cut=delivery.cut),), interface=vport)
        for number, delivery in enumerate(done.deliveries)
        for vport in delivery.vports
        for frame in delivery.frames_for(vport)
    ]


def check_received(config: Config) -> None:
    """Raise ValueError if the configuration has nothing to receive."""
    uplink = config.uplink
    if not config.terminate and uplink.vnet is None and not uplink.vlans and uplink.slow_path is None:
        raise ValueError("nothing is received: there is no [[terminate]], and [uplink] has no vnet, vlans or slow_path")


def run(
    card: ReceivingCard,
    config: Config,
    packets: Sequence[CapturedPacket],
    progress: Advance,
    *,
    check: bool = True,
    keep_times: bool = False,
) -> tuple[ReceiveRun, list[CapturedPacket], Report]:
    """Bring packets to a card; the model runs beside it. The run, what the vports got, and the figures."""
    sent, times = on_the_wire(packets), times_of(packets) if keep_times else None
    nic, settings = card.config, config.receive_settings(card.config.name)
    with ThreadPoolExecutor(1) as pool:
        start = perf_counter()
        model = pool.submit(expect, settings, sent, arrivals(sent, times, nic.line_bps)) if check else None
        done = run_card(card, config, sent, progress, times)
        expected = model.result() if model else None
        elapsed = perf_counter() - start
    names = [vport.name for vport in config.vport]
    comparison = compare(expected, done.deliveries, done.counters, names) if expected else None
    out = output_packets(done)
    padded = sum(len(packet.data) < SHORTEST for packet in packets)
    figures = report_receive.build(
        done,
        expected,
        comparison,
        terminate=config.terminate,
        times=times,
        padded=padded,
        frames=len(out),
        elapsed=elapsed,
    )
    return done, out, figures


def receive(
    source: Path,
    target: Path,
    config_path: Path,
    *,
    preset: str,
    keep_times: bool,
    report_path: Path | None,
    trace: Path | None,
    check: bool,
) -> Report:
    """The whole command but for what it shows. Raises UserError; writes OUT and the report whatever the check says."""
    nic, config = simulation.preset(preset), load(config_path)
    captures.check_writable(target)
    for path in (report_path, trace):
        if path is not None:
            captures.check_folder(path)
    packets = captures.read(source)
    captures.check_apart([source, config_path], [path for path in (target, report_path, trace) if path is not None])
    try:
        check_received(config)
    except ValueError as error:
        raise UserError(f"{config_path}: {error}") from None
    if trace is not None:
        captures.write_bytes(trace, ())  # the simulator would not say that it cannot
    with open_receiver(nic, trace) as card, progress_bar("receiving") as progress:
        _, out, figures = run(card, config, packets, progress, check=check, keep_times=keep_times)
    captures.write(target, out, [vport.name for vport in config.vport])
    if report_path is not None:
        write_json(report_path, figures)
    return figures
