"""Small packets by the method of RFC 2544: throughput, latency, frame loss and back-to-back frames.

The device under test is the link: transmit card, wire, receive card. Frames are the RFC's (UDP echo requests), of its
sizes for Ethernet, inside the tunnel: a frame of 64 bytes is one of 60 bytes and an FCS for a guest. The underlay's MTU
is large enough for the largest of them in any tunnel. What is not as in the RFC: a trial lasts so many frames, not 60
seconds; latency is that of every frame of a trial, not of one in each of 20.

::

    throughput    the highest load on the wire at which every frame arrives: the whole line first, then by halves
    latency       at that load, from the last byte of a packet in to its frame's delivery
    frame loss    at 100 % of the line, 90 %, ... until two loads in a row lose nothing
    back-to-back  the longest burst without a pause that arrives whole: at most a trial
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.table import Table

from hdl.config import NicConfig
from host import wire
from host.article import NAMES, Row
from host.config import Config
from host.encapsulations import all_tunnels, config_of
from host.flows import echo_payload, echo_requests
from host.link import Arrived, Link, Sent, one_after_the_other, spread
from host.progress import Advance

SIZES = (64, 128, 256, 512, 1024, 1280, 1518)
MTU = 1600  # 1500 of the guest and any outer header
STEP = 0.1  # of load, in the frame loss test
RESOLUTION = 0.01  # of load, in the search for the throughput


@dataclass
class Trials:
    """One size in one encapsulation: the frames have been sent once, and arrive at any load."""

    link: Link
    config: Config
    sent: Sent

    def at(self, load: float, number: int | None = None) -> Arrived:
        """The first `number` frames at a load; at 1 just as the transmit card sends them."""
        packets = self.sent.packets[:number]
        if load < 1:
            packets = one_after_the_other(packets, self.link.nic.line_bps, load)
        return self.link.receive(self.config, self.sent, packets)

    def lost(self, arrived: Arrived, number: int | None = None) -> int:
        return len(self.sent.packets[:number]) - arrived.completions


def measure(name: str, size: int, number: int) -> Callable[[Link], Row]:
    """All four tests with trials of so many frames."""
    config = config_of(all_tunnels()[name], MTU)

    def run(link: Link) -> Row:
        from sim.card import Frame

        sent = link.transmit(config, [Frame(data) for data in echo_requests(number, size)])
        trials = Trials(link, config, sent)
        full = trials.at(1.0)
        lost = trials.lost(full)
        load, arrived = (1.0, full) if not lost else search(trials)
        return row(name, size, trials, load, arrived, frame_loss(trials, full), burst(trials, lost))

    return run


def search(trials: Trials) -> tuple[float, Arrived]:
    """The highest load without loss, by halves; where there is none, load 0 and what the lowest one gave."""
    low, high, best = 0.0, 1.0, trials.at(RESOLUTION)
    while high - low > RESOLUTION:
        load = (low + high) / 2
        arrived = trials.at(load)
        if trials.lost(arrived):
            high = load
        else:
            low, best = load, arrived
    return low, best


def frame_loss(trials: Trials, full: Arrived) -> list[dict[str, float]]:
    """RFC 2544, 26.3: the part of the frames lost at each load, in steps down from the whole line."""
    number, found, arrived, load = len(trials.sent.packets), [], full, 1.0
    while True:
        found.append({"load": load, "lost": trials.lost(arrived) / number})
        load = round(load - STEP, 3)
        if load < STEP / 2 or (len(found) > 1 and not found[-1]["lost"] and not found[-2]["lost"]):
            return found
        arrived = trials.at(load)


def burst(trials: Trials, lost: int) -> int:
    """RFC 2544, 26.4: frames in the longest burst of which none is lost."""
    low, high = 0, len(trials.sent.packets)
    if not lost:
        return high
    while high - low > 1:
        number = (low + high) // 2
        if trials.lost(trials.at(1.0, number), number):
            high = number
        else:
            low = number
    return low


def row(
    name: str, size: int, trials: Trials, load: float, arrived: Arrived, loss: list[dict[str, float]], back_to_back: int
) -> Row:
    nic, packets = trials.link.nic, trials.sent.packets
    units = wire.units([len(packets[0].data)])
    limit = 1 / wire.seconds(units, nic.line_bps)
    rate = limit * load * trials.sent.utilisation(nic.line_bps)
    ns = 10**9 / nic.clock_hz
    latencies = arrived.latencies or [0]
    cycles = {"min": min(latencies), "mean": fmean(latencies), "max": max(latencies)}
    return {
        "encapsulation": name,
        "frame_bytes": size,
        "wire_bytes": units - wire.AROUND + 4,
        "trial_frames": len(packets),
        "throughput_load": load,
        "packets_per_second": rate,
        "limit_packets_per_second": limit,
        "goodput_bps": rate * echo_payload(size) * 8,
        "limit_bps": limit * echo_payload(size) * 8,
        "latency_cycles": cycles,
        "latency_ns": {which: value * ns for which, value in cycles.items()},
        "frame_loss": loss,
        "back_to_back": back_to_back,
        "overruns": arrived.overruns,
    }


def small_packets(
    links: Sequence[Link], names: Sequence[str], sizes: Sequence[int], number: int, progress: Advance
) -> list[Row]:
    """A row for each encapsulation and size."""
    jobs = [(f"{name}, {size} bytes", measure(name, size, number)) for name in names for size in sizes]
    return spread(links, jobs, progress)


def table(rows: Sequence[Row], nic: NicConfig) -> Table:
    """The rows for people."""
    shown = Table(title=f"{nic.name}: small packets by RFC 2544, UDP in frames of so many bytes", title_justify="left")
    shown.add_column("encapsulation", no_wrap=True)
    for heading in (
        *("frame", "on the wire", "load", "M packets/s", "Gb/s", "cycles", "mean", "most", "mean ns", "lost", "burst"),
    ):
        shown.add_column(heading, justify="right", no_wrap=True)
    last = None
    for one in rows:
        if last not in (None, one["encapsulation"]):
            shown.add_section()
        last = one["encapsulation"]
        shown.add_row(*cells(one))
    shown.caption = (
        "frame, on the wire: bytes with FCS. Gb/s: UDP payload. cycles (least, mean, most) and ns: from a packet's "
        "last byte in to its delivery. lost: of the frames at 100 % of the line. burst: frames back to back without "
        "loss, where a trial has "
        f"{max(row['trial_frames'] for row in rows):,}"
    )
    shown.caption_justify = "left"
    return shown


def cells(one: dict[str, Any]) -> list[str]:
    cycles, number = one["latency_cycles"], one["back_to_back"]
    return [
        NAMES.get(one["encapsulation"], one["encapsulation"]),
        str(one["frame_bytes"]),
        str(one["wire_bytes"]),
        f"{one['throughput_load']:.0%}",
        f"{one['packets_per_second'] / 1e6:.3f}",
        f"{one['goodput_bps'] / 1e9:.3f}",
        f"{cycles['min']}",
        f"{cycles['mean']:.1f}",
        f"{cycles['max']}",
        f"{one['latency_ns']['mean']:.0f}",
        f"{one['frame_loss'][0]['lost']:.2%}",
        f"{'>=' if number == one['trial_frames'] else ''}{number}",
    ]
