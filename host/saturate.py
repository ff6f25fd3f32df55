"""`tunnelnic bench rx`: whether the receive path keeps up with a saturated wire, whatever the packets' size.

Packets of one size come back to back, round and round, while every table is full and every context open:

* 64 termination entries at 16 local addresses, 64 vports with an address each, in 64 vnets (untunnelled: in one);
* 64 TCP flows, more where there are more contexts, whose packets take turns and never say PSH; in STT's frame mode as
  many STT frames, from 16 sources, whose fragments take turns.

A size that leaves less than 54 bytes to the inner frame is filled with the largest thing that fits: UDP, bare IP, or
another EtherType. What is counted is what the card was too slow for (`overruns`) and what it dropped, for any reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from itertools import zip_longest
from pathlib import Path
from random import Random
from struct import pack
from typing import Any

from rich.table import Table

from driver import receive
from driver.receive import Receive, Terminate, Vport
from hdl.config import PRESETS, NicConfig
from hdl.registers import tables
from hdl.registers.rx_tables import ENTRIES, LOCALS
from host import wire
from host.encapsulations import all_tunnels
from host.errors import UserError
from host.flows import FAR, NEAR, vport_mac
from host.link import critical, spread
from host.progress import Advance
from sim.model import outer, stt
from sim.model.card import Card
from sim.model.fit import overhead
from sim.model.network import Network, Tunnel
from sim.model.parse import TCP, UDP, parse
from sim.model.segment import finish

Row = dict[str, Any]

SIZES = tuple(sorted({64, 128, 256, 512, 1024, 1280, 1518, *range(64, 161)}))  # bytes on the wire with FCS
PACKETS = 100_000
FCS, ETHERNET, IPV4 = 4, 14, 20
MAC = vport_mac(NEAR, 0xFF)
ROUNDS = 12  # packets of each flow before all begin again
FRAGMENTS = 12  # of each STT frame
MTU = 9000
EXPERIMENTAL = 0x88B5  # an EtherType for anything (IEEE 802)
SOURCES = 16
FIRST = {  # of the addresses of each end
    (4, "near"): "203.0.113.16",
    (4, "far"): "198.51.100.16",
    (6, "near"): "2001:db8:1::10",
    (6, "far"): "2001:db8:2::10",
}
WARM_UP = 20_000


def tunnels_of(values: dict[str, object]) -> list[Tunnel]:
    """64 tunnels to 16 addresses, as many as can be of the wanted kind, the others VXLAN; a vnet each.

    GRE without a key can end but once at an address.
    """
    kind, version = str(values["encapsulation"]), ip_address(str(values["local"])).version
    ours, theirs = (ip_address(FIRST[version, end]) for end in ("near", "far"))
    more = {name: value for name, value in values.items() if name in ("checksum", "sequence", "stt_mode")}
    options = bytes.fromhex(str(values.get("options", "")))
    made = []
    for number in range(ENTRIES):
        ends: dict[str, Any] = {"local": ours + number % SOURCES, "remote": theirs + number % LOCALS}
        if kind == "gre" and "key" not in values:
            if number < LOCALS:
                made.append(Tunnel(kind, **ends, next_hop=MAC, **more))  # type: ignore[arg-type]
            else:
                made.append(Tunnel("vxlan", **ends, next_hop=MAC, key=number))
        else:
            key = (number + 1) << 8 if kind == "nvgre" else number + 1
            made.append(Tunnel(kind, **ends, next_hop=MAC, key=key, options=options, **more))  # type: ignore[arg-type]
    return made


def full(tunnels: Sequence[Tunnel], *, bare: bool) -> Receive:
    """The receiving card's tables with no room left."""
    return Receive(
        terminate=[
            Terminate(
                encapsulation=tunnel.encapsulation,  # type: ignore[arg-type]
                local=tunnel.remote,
                vnet=number,
                key=tunnel.key,
                udp_checksum="optional" if tunnel.encapsulation in ("vxlan", "geneve") else None,
            )
            for number, tunnel in enumerate(tunnels)
        ],
        vports={
            number: Vport(vnet=0 if bare else number, mac=vport_mac(FAR, number)) for number in range(tables.VPORTS)
        },
        uplink={None: 0, **{vlan: vlan % tables.VNETS for vlan in range(1, 4095)}},
        options=list(dict.fromkeys(option for tunnel in tunnels for option in critical(tunnel.options))),
    )


def inner(size: int, vport: int, flow: int, number: int) -> bytes:
    """Packet `number` of a flow: a frame of `size` bytes without FCS, TCP where it fits."""
    macs = vport_mac(FAR, vport) + vport_mac(NEAR, vport)
    body = size - ETHERNET - IPV4
    if body < 0:
        return macs + pack("!H", EXPERIMENTAL) + bytes(size - ETHERNET)
    payload = Random(flow << 16 | number).randbytes(max(0, body - 20))
    if body > 20:
        sequence = 1000 + number * len(payload)
        protocol, data = TCP, pack("!HHIIBBHHH", 40000 + flow, 443, sequence, 1, 0x50, 0x10, 512, 0, 0) + payload
    elif body >= 8:
        protocol, data = UDP, pack("!HHHH", 40000 + flow, 443, body, 1) + bytes(body - 8)
    else:
        protocol, data = 0xFD, bytes(body)  # RFC 3692's, for experiments
    header = pack("!BBHHHBBH", 0x45, 0, IPV4 + body, number, 0x4000, 64, protocol, 0)
    return finish(parse(macs + b"\x08\x00" + header + bytes([10, 0, 1, vport, 10, 0, 2, vport]) + data))


def smallest(tunnel: Tunnel | None) -> int:
    """Bytes on the wire with FCS of the smallest packet with a frame's Ethernet header in it.

    An STT frame's first fragment needs that too: the address in it says whose the frame is.
    """
    if tunnel is None:
        return wire.SHORTEST + FCS
    return max(wire.SHORTEST + FCS, ETHERNET + overhead(tunnel) + ETHERNET + FCS)


def takes_turns(tunnel: Tunnel) -> bool:
    """Whether its frames come in several packets."""
    return tunnel.encapsulation == "stt" and tunnel.stt_mode == "frame"


def packets(tunnels: Sequence[Tunnel] | None, size: int, contexts: int) -> list[bytes]:
    """A round: packets of `size` bytes on the wire with FCS, of as many flows or frames as there are contexts."""
    length = size - FCS
    if tunnels is None:
        return [
            inner(length, flow % tables.VPORTS, flow, number) for number in range(ROUNDS) for flow in range(contexts)
        ]
    kind = tunnels[0].encapsulation
    wanted = [number for number, tunnel in enumerate(tunnels) if tunnel.encapsulation == kind]
    if takes_turns(tunnels[0]):
        frames = [list(fragments(tunnels[flow % len(wanted)], flow, length)) for flow in range(contexts)]
        return [packet for turn in zip_longest(*frames) for packet in turn if packet is not None]
    vports = {number: number for number in wanted}
    card = Card(Network(MAC, MTU, vports, {(number, None): number for number in wanted}, tunnels))
    made = []
    for number in range(ROUNDS):
        for flow in range(contexts):
            vport = wanted[flow % len(wanted)]
            within = length - ETHERNET - overhead(tunnels[vport])
            made += card.transmit(inner(within, vport, flow, number), vport=vport)
    return made


def fragments(tunnel: Tunnel, flow: int, length: int) -> Iterator[bytes]:
    """An STT frame in packets of `length` bytes each."""
    capacity = length - ETHERNET - outer.ip_header_length(tunnel) - stt.TCP_LIKE
    headers = parse(inner(FRAGMENTS * capacity - stt.STT_HEADER, flow % ENTRIES, flow, 0))
    frame = stt.stt_header(headers, tunnel.key or 0, 0) + headers.frame
    for at, body in enumerate(stt.fragments(tunnel, frame, capacity, 50000 + flow % 1000, 1000 + flow)):
        header = outer.ip_header(tunnel, TCP, len(body), headers.tos, at)
        yield outer.ethernet_header(tunnel, MAC) + header + body


def measure(name: str, size: int, number: int) -> Callable[[Any], Row]:
    """At least so many packets, after as many rounds as it takes for all contexts to be open."""
    values = all_tunnels()[name]
    tunnels = None if values is None else tunnels_of(values)

    def run(card: Any) -> Row:
        nic: NicConfig = card.config
        least = smallest(tunnels[0] if tunnels else None)
        if size < least:
            raise UserError(f"a packet has at least {least} bytes")
        round_ = packets(tunnels, size, nic.contexts)
        wrong = {len(packet) for packet in round_} - {size - FCS}
        if wrong:
            raise UserError(f"packets have {sorted(wrong)} bytes, not {size - FCS}")
        card.reset()
        tables_full = full(tunnels or tunnels_of(all_tunnels()["vxlan ipv4"] or {}), bare=tunnels is None)
        receive.program(card, tables_full, fresh=True)
        each = wire.seconds(wire.units([size - FCS]), nic.line_bps) * nic.clock_hz  # cycles a packet
        warm_up = WARM_UP + round(len(round_) * each)
        found = card.measure(round_, warm_up_cycles=warm_up, cycles=round((number + 10) * each))
        return {
            "preset": nic.name,
            "encapsulation": name,
            "wire_bytes": size,
            "packets": found.packets_in + found.overruns,
            "overruns": found.overruns,
            "lost": {reason.name.lower(): count for reason, count in found.lost.items()},
            "wire_utilisation": found.wire_utilisation,
            "clock_allows": clock_allows(nic, size),
            "frames": found.frames,
            "packets_per_frame": found.packets / found.frames if found.frames else 0.0,
            "packets_per_second": found.packets_in / found.cycles * nic.clock_hz,
            "contexts": nic.contexts,
            "simulation_cycles_per_second": found.cycles_per_second,
        }

    return run


def clock_allows(nic: NicConfig, size: int) -> float:
    """The part of the line's rate at which packets of this size can come at all, a beat a cycle, no beat shared.

    100g: 65 bytes without FCS are two beats of 64, 8 ns at 250 MHz; on the line they take 7.1 ns.
    """
    length = size - FCS
    beats = -(-length // nic.width)
    return min(1.0, wire.seconds(wire.units([length]), nic.line_bps) * nic.clock_hz / beats)


def sizes_of(name: str, sizes: Sequence[int]) -> list[int]:
    """Those of the sizes that a packet of this encapsulation can have."""
    values = all_tunnels()[name]
    return [size for size in sizes if size >= smallest(None if values is None else tunnels_of(values)[0])]


Shard = tuple[int, int]
"""Which of how many parts of the work, from 1 on."""


def shard(text: str) -> Shard:
    """`2/5` as (2, 5). Raises UserError."""
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part = parts = 0
    if not 1 <= part <= parts:
        raise UserError(f"--shard is {text!r}; it must be K/N, 1 <= K <= N: one part of N, 2/5 say")
    return part, parts


def saturate(
    cards: Sequence[Any],
    names: Sequence[str],
    sizes: Sequence[int],
    number: int,
    progress: Advance,
    part: Shard = (1, 1),
) -> list[Row]:
    """A row for each encapsulation and size, on cards of one preset; or a part of these rows, evenly taken."""
    jobs = [
        (f"{cards[0].config.name} {name}, {size} bytes", measure(name, size, number))
        for name in names
        for size in sizes_of(name, sizes)
    ]
    return spread(cards, jobs[part[0] - 1 :: part[1]], progress)


def merged(files: Sequence[Path]) -> list[Row]:
    """The rows of several runs, each once, in the order in which one run has them. Raises UserError.

    Of two with the same preset, encapsulation and size the one that lost something counts.
    """
    found: dict[tuple[str, str, int], Row] = {}
    for file in files:
        try:
            rows = json.loads(file.read_text())["rows"]
            for row in rows:
                key = row["preset"], row["encapsulation"], row["wire_bytes"]
                if key not in found or keeps_up(found[key]):
                    found[key] = row
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} is no JSON of `bench rx`: {error}") from error
    presets, names = list(PRESETS), list(all_tunnels())
    return [found[key] for key in sorted(found, key=lambda key: (presets.index(key[0]), names.index(key[1]), key[2]))]


def keeps_up(row: Row) -> bool:
    return not row["overruns"] and not row["lost"] and bool(row["packets"])


def does_its_best(row: Row) -> bool:
    """Whether it keeps up with the wire, or where the clock is too slow for that, with the clock."""
    limited = row["clock_allows"] < 1 and row["wire_utilisation"] > row["clock_allows"] - 0.001
    return keeps_up(row) or (limited and not row["lost"])


def losses(rows: Sequence[Row]) -> str:
    """How many of which size; of those that the clock is too slow for, only which they are."""
    bad = [row for row in rows if not does_its_best(row)]
    said = [f"[bold red]{row['wire_bytes']}: {row['overruns'] + sum(row['lost'].values()):,}[/]" for row in bad]
    slow = [row for row in rows if does_its_best(row) and not keeps_up(row)]
    if slow:
        sizes = f"{slow[0]['wire_bytes']} to {slow[-1]['wire_bytes']}"
        rates = f"{slow[0]['clock_allows']:.0%} to {slow[-1]['clock_allows']:.0%}"
        said.append(f"[yellow]{sizes}: the clock allows {rates}[/]")
    return ", ".join(said) or "[green]none[/]"


def table(rows: Sequence[Row]) -> Table:
    """A line for each preset and encapsulation; the sizes only where something was lost."""
    shown = Table(title="receive path: the wire saturated, tables full, contexts open", title_justify="left")
    for heading in ("preset", "encapsulation", "sizes", "packets", "fastest", "least of the line", "lost"):
        shown.add_column(heading, justify="left" if heading in ("preset", "encapsulation", "lost") else "right")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["preset"], row["encapsulation"]), []).append(row)
    for (preset, name), found in groups.items():
        shown.add_row(
            preset,
            name,
            f"{len(found)}: {found[0]['wire_bytes']} to {found[-1]['wire_bytes']}",
            f"{sum(row['packets'] for row in found):,}",
            f"{max(row['packets_per_second'] for row in found) / 1e6:.3f} M/s",
            f"{min(row['wire_utilisation'] for row in found):.4f}",
            losses(found),
        )
    return shown
