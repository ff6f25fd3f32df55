"""`tunnelnic bench tx`: how near to line rate the transmit path stays, for every encapsulation.

The frames of a pattern go round and round, the next one always waiting. The count begins when the path is in a steady
state; then `wire_utilisation` is the part of the line's time in which it was busy. `limit_bps` is the TCP payload of
one round over the ideal wire time of the packets that the model makes of it, `goodput_bps` the same payload at the
packets' measured rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from rich.table import Table

from driver import counters, tables
from hdl.config import NicConfig
from host import traffic, wire
from host.encapsulations import all_tunnels, config_of
from host.errors import UserError
from host.expect import expect
from host.packets import CapturedPacket
from host.progress import Advance
from host.segment import to_frames
from host.simulation import DROP, open_card, preset

CYCLES = 1_000_000
WARM_UP_ROUNDS = 2
WARM_UP_CYCLES = 20_000
MTU = 1500

Row = dict[str, Any]


def choose(all_of: Sequence[str], wanted: Sequence[str], what: str) -> list[str]:
    """The ones wanted, or all. Raises UserError."""
    for name in wanted:
        if name not in all_of:
            raise UserError(f"there is no {what} {name!r}; there are {', '.join(all_of)}")
    return list(wanted) or list(all_of)


def bench(
    presets: Sequence[str],
    encapsulations: Sequence[str],
    patterns: Sequence[str],
    cycles: int,
    progress: Advance,
) -> Iterator[Row]:
    """A row for each preset, encapsulation and pattern."""
    jobs = [(encapsulation, pattern) for encapsulation in encapsulations for pattern in patterns]
    total = len(presets) * len(jobs)
    for done_presets, name in enumerate(presets):
        nic = preset(name)
        progress(done_presets * len(jobs), total, f"compiling {name}")
        with open_card(nic, show=False) as card:
            for done, (encapsulation, pattern) in enumerate(jobs, done_presets * len(jobs)):
                progress(done, total, f"{name} {encapsulation} {pattern}")
                yield measure(card, nic, encapsulation, pattern, cycles)


def measure(card: Any, nic: NicConfig, encapsulation: str, pattern: str, cycles: int) -> Row:
    """One row. The card is reset before. Raises UserError where a frame was lost."""
    config = config_of(all_tunnels()[encapsulation], MTU)
    frames = to_frames([CapturedPacket(frame) for frame in traffic.frames(pattern)], config)
    expected = expect(config.model_network(), frames)
    units = [wire.units([len(packet)]) for packet in expected.packets]
    round_units = sum(units)
    round_cycles = round(wire.seconds(round_units, nic.line_bps) * nic.clock_hz)
    card.reset()
    tables.program(card, config.driver_network(), nic.width, fresh=True)
    found = card.measure(frames, warm_up_cycles=WARM_UP_CYCLES + WARM_UP_ROUNDS * round_cycles, cycles=cycles)
    if found.ideal_wire_units not in windows(units, found.packets):
        raise UserError(
            f"{nic.name} {encapsulation} {pattern}: the packets do not have the sizes that the model gives them"
        )
    lost = {name: count for name, count in counters.read(card).items() if name.startswith(DROP) and count}
    if lost or found.underruns:
        raise UserError(f"{nic.name} {encapsulation} {pattern}: {found.underruns} underruns, lost frames: {lost}")
    limit = wire.rate(expected.payload, wire.seconds(round_units, nic.line_bps))
    return {
        "preset": nic.name,
        "encapsulation": encapsulation,
        "pattern": pattern,
        "wire_utilisation": found.wire_utilisation,
        "goodput_bps": limit * found.wire_utilisation,
        "limit_bps": limit,
        "ratio": found.wire_utilisation,
        "cycles": found.cycles,
        "packets": found.packets,
        "simulation_cycles_per_second": found.cycles_per_second,
    }


def windows(units: Sequence[int], packets: int) -> set[int]:
    """The wire times that so many packets in a row can take, of a round that goes on for ever."""
    rounds, rest = divmod(packets, len(units))
    ends = [0, *accumulate([*units, *units])]
    return {rounds * sum(units) + ends[at + rest] - ends[at] for at in range(len(units))}


def table(rows: Sequence[Row]) -> Table:
    """The rows for people: a line for each preset and encapsulation, the patterns side by side."""
    patterns = list(dict.fromkeys(row["pattern"] for row in rows))
    shown = Table(title="transmit path: part of the line's time in use, and goodput in Gb/s", title_justify="left")
    shown.add_column("preset", no_wrap=True)
    shown.add_column("encapsulation", no_wrap=True)
    for pattern in patterns:
        shown.add_column(f"{pattern}: wire", justify="right")
        shown.add_column("goodput", justify="right")
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row["preset"], row["encapsulation"]), {})[row["pattern"]] = row
    for (name, encapsulation), by_pattern in lines.items():
        cells = []
        for pattern in patterns:
            found = by_pattern.get(pattern)
            cells += [f"{found['wire_utilisation']:.4f}", f"{found['goodput_bps'] / 1e9:.3f}"] if found else ["", ""]
        shown.add_row(name, encapsulation, *cells)
    return shown
