"""The founding article's tables ("The Overhead of Software Tunneling", networkheresy.com, June 2012), over this card.

Its writes of 32 KB into an MTU of 1500, in three ways:

* one flow, from one card to the other;
* 4 + 4 vports: four flows each way, in both directions at once. A card's two directions share nothing but the clock,
  so each is a simulation of its own, over the same time;
* 64 flows whose packets take turns, the hardest order for whoever puts frames together again: 16 of each of four
  outer source addresses, for one peer's STT frames may take no more than three quarters of a card's contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.table import Table

from hdl.config import NicConfig
from host import wire
from host.config import Config
from host.encapsulations import all_tunnels, config_of, config_of_peers
from host.flows import FAR, NEAR, vport_mac, writes
from host.link import Arrived, Link, OnWire, Sent, backwards, one_after_the_other, spread, whole
from host.packets import CapturedPacket
from host.progress import Advance
from host.segment import to_frames

Row = dict[str, Any]

NAMES = {
    "plain": "no tunnel",
    "gre key ipv4": "GRE",
    "nvgre ipv4": "NVGRE",
    "vxlan ipv4": "VXLAN",
    "geneve ipv4": "Geneve",
    "stt frame ipv4": "STT",
}
"""What the tables show, by the name in `host.encapsulations`."""

THEIRS = {
    "Linux bridge": (9.3e9, 18.4e9),
    "OVS bridge": (9.4e9, 18.4e9),
    "OVS-STT": (9.5e9, 18.5e9),
    "OVS-GRE": (2.3e9, 2.3e9),
}
"""The article's own figures, bits a second: one direction, and both together."""

THEIR_LINE = 10_000_000_000
VPORTS = 4
JOBS = 4  # of each encapsulation: one flow, two directions, flows that take turns
INTERLEAVED = 64
GIGABYTE = 10**9


def frames_of(config: Config, streams: Sequence[Sequence[bytes]]) -> list[Any]:
    """Frames of the vports, one stream each, that take turns; each with the largest `gso_size` that fits."""
    ready = [
        to_frames([CapturedPacket(data) for data in stream], config, vport=vport.name)
        for vport, stream in zip(config.vport, streams, strict=True)
    ]
    return [frame for turn in zip_longest(*ready) for frame in turn if frame is not None]


def one_flow(name: str, number: int) -> Callable[[Link], Row]:
    """So many writes, one direction."""
    config = config_of(all_tunnels()[name])

    def run(link: Link) -> Row:
        sent = link.transmit(config, frames_of(config, [list(writes(number))]))
        return row(name, 1, [(sent, whole(sent, link.receive(config, sent, sent.packets)))])

    return run


def one_way(name: str, number: int, source: int) -> Callable[[Link], tuple[Sent, Arrived]]:
    """Four flows from card `source` to the other one, a vport each."""
    near = config_of(all_tunnels()[name], vports=VPORTS)
    target = NEAR + FAR - source
    config = near if source == NEAR else backwards(near)

    def run(link: Link) -> tuple[Sent, Arrived]:
        streams = [list(writes(number, vport=vport, source=source)) for vport in range(VPORTS)]
        sent = link.transmit(config, frames_of(config, streams))
        return sent, whole(sent, link.receive(config, sent, sent.packets, target))

    return run


def taking_turns(name: str, number: int) -> Callable[[Link], Row]:
    """64 flows, so many writes each, whose packets come one of each flow in turn."""
    config = config_of_peers(all_tunnels()[name], [vport_mac(FAR, vport) for vport in range(VPORTS)])

    def run(link: Link) -> Row:
        streams = []
        for vport in range(VPORTS):
            flows = [writes(number, flow=flow, vport=vport) for flow in range(INTERLEAVED // VPORTS)]
            streams.append([write for turn in zip(*flows, strict=True) for write in turn])
        sent = link.transmit(config, frames_of(config, streams))
        packets = one_after_the_other(turns(sent.packets), link.nic.line_bps)
        return row(name, INTERLEAVED, [(sent, whole(sent, link.receive(config, sent, packets)))])

    return run


def turns(packets: Sequence[OnWire]) -> list[OnWire]:
    """Packets of 64 frames each, one of each frame in turn."""
    by_frame: dict[int, list[OnWire]] = {}
    for packet in packets:
        by_frame.setdefault(packet.frame, []).append(packet)
    frames = [by_frame[number] for number in sorted(by_frame)]
    groups = [frames[at : at + INTERLEAVED] for at in range(0, len(frames), INTERLEAVED)]
    return [packet for group in groups for turn in zip_longest(*group) for packet in turn if packet is not None]


def row(name: str, flows: int, ways: Sequence[tuple[Sent, Arrived]]) -> Row:
    """One line of the table. The directions run at the same time: their rates add up."""
    payload = sum(arrived.payload for _, arrived in ways)
    packets = sum(len(sent.packets) for sent, _ in ways)
    descriptors = sum(len(sent.frames) for sent, _ in ways)
    completions = sum(arrived.completions for _, arrived in ways)
    limit = sum(
        wire.limit(sent.payload, (len(packet.data) for packet in sent.packets), arrived.nic.line_bps)
        for sent, arrived in ways
    )
    goodput = sum(arrived.goodput_bps for _, arrived in ways)
    latencies = [latency for _, arrived in ways for latency in arrived.latencies]
    gigabytes = payload / GIGABYTE
    return {
        "encapsulation": name,
        "flows": flows,
        "directions": len(ways),
        "goodput_bps": goodput,
        "limit_bps": limit,
        "ratio": goodput / limit,
        "payload_bytes": payload,
        "packets": packets,
        "descriptors_per_gb": descriptors / gigabytes,
        "completions_per_gb": completions / gigabytes,
        "host_events_per_gb": (descriptors + completions) / gigabytes,
        "software_packets_per_gb": 2 * packets / gigabytes,  # the sender's and the receiver's
        "packets_per_completion": sum(arrived.packets for _, arrived in ways) / completions,
        "open_peak": max(arrived.open_peak for _, arrived in ways),
        "completion_cycles_max": max(latencies),
        "wire_utilisation": min(sent.utilisation(arrived.nic.line_bps) for sent, arrived in ways),
    }


def article(
    links: Sequence[Link], names: Sequence[str], number: int, turns_number: int, progress: Advance
) -> list[Row]:
    """All rows: one flow, both directions, and flows that take turns. `number`: writes of one flow."""
    each = max(1, number // VPORTS)
    single = spread(links, [(f"{name}, one flow", one_flow(name, number)) for name in names], progress)
    ways = spread(
        links,
        [(f"{name}, both directions", one_way(name, each, card)) for name in names for card in (NEAR, FAR)],
        progress,
    )
    both = [row(name, 2 * VPORTS, ways[2 * at : 2 * at + 2]) for at, name in enumerate(names)]
    many = spread(links, [(f"{name}, 64 flows", taking_turns(name, turns_number)) for name in names], progress)
    return single + both + many


def chosen(rows: Sequence[Row], name: str, flows: int) -> Row | None:
    return next((row for row in rows if (row["encapsulation"], row["flows"]) == (name, flows)), None)


def table(rows: Sequence[Row], nic: NicConfig) -> Table:
    """The rows for people, the article's own below them."""
    shown = Table(title=f"{nic.name}: 32 KB writes, MTU 1500, through transmit, wire and receive", title_justify="left")
    shown.add_column("encapsulation", no_wrap=True)
    for heading in ("flows", "Gb/s", "limit", "ratio", "packets", "events/GB", "in software", "merged", "cycles"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for flows in dict.fromkeys(row["flows"] for row in rows):
        for row in rows:
            if row["flows"] == flows:
                shown.add_row(*cells(row))
        shown.add_section()
    for name, figures in THEIRS.items():
        for flows, figure in zip(("1", f"{VPORTS} + {VPORTS}"), figures, strict=True):
            shown.add_row(f"article: {name}", flows, f"{figure / 1e9:.1f}", style="dim")
    shown.caption = (
        f"{VPORTS} + {VPORTS}: both directions at once, added up; {INTERLEAVED}: their packets take turns. limit: the "
        "same payload on a wire without a gap. events: descriptors and completions of both hosts; in software they "
        "would have handled as many packets. merged: packets in a delivered frame. cycles: most from a frame's last "
        "byte in to its delivery"
    )
    shown.caption_justify = "left"
    return shown


def cells(row: Mapping[str, Any]) -> list[str]:
    flows = f"{VPORTS} + {VPORTS}" if row["directions"] == 2 else f"{row['flows']}"
    return [
        NAMES.get(row["encapsulation"], row["encapsulation"]),
        flows,
        f"{row['goodput_bps'] / 1e9:.3f}",
        f"{row['limit_bps'] / 1e9:.3f}",
        f"{row['ratio']:.4f}",
        f"{row['packets']:,}",
        f"{row['host_events_per_gb']:,.0f}",
        f"{row['software_packets_per_gb']:,.0f}",
        f"{row['packets_per_completion']:.1f}",
        f"{row['completion_cycles_max']}",
    ]


def sentence(rows: Sequence[Row], nic: NicConfig) -> str:
    """What it comes to: GRE, one direction and both, beside the article's."""
    one, both = chosen(rows, "gre key ipv4", 1), chosen(rows, "gre key ipv4", 2 * VPORTS)
    if one is None or both is None:
        return "GRE was not measured, so there is nothing to compare with the article's 2.3 Gb/s."
    theirs = THEIRS["OVS-GRE"]
    times = [row["goodput_bps"] / figure for row, figure in zip((one, both), theirs, strict=True)]
    line = "" if nic.line_bps == THEIR_LINE else f" (on a line of 10 Gb/s; this one has {nic.line_bps / 1e9:g})"
    return (
        f"Two simulated cards carry TCP in GRE at {one['goodput_bps'] / 1e9:.2f} Gb/s in one direction "
        f"({one['ratio']:.1%} of what the wire can carry) and at {both['goodput_bps'] / 1e9:.2f} Gb/s in both at once "
        f"({both['ratio']:.1%}); the article measured 2.3 Gb/s for GRE in software{line}, in either case: this is "
        f"{times[0]:.1f} and {times[1]:.1f} times as much."
    )
