"""The benchmark's curves as a picture: an SVG file.

::

    M packets/s │ goodput      against the size of the inner frame, a line an encapsulation
    ────────────┼────────
    latency     │ loss         delivered payload against the part of the packets that is lost
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log2, log10
from pathlib import Path
from typing import Any

from host.article import NAMES
from host.errors import UserError

Row = Mapping[str, Any]
COLOURS = ("#222222", "#e41a1c", "#377eb8", "#4daf4a", "#984ea3", "#ff7f00")
DASHES = ("none", "none", "8 4", "2 4", "none", "10 3 2 3")  # lines that lie on each other all show
WIDTH, HEIGHT = 1600, 1200
NO_ROOM = 1280  # on the axis: too near to 1518


def write(path: Path, rows: Sequence[Row], losses: Sequence[Row], title: str) -> None:
    """Raises UserError where it cannot be written."""
    text = svg(rows, losses, title)
    try:
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def svg(rows: Sequence[Row], losses: Sequence[Row], title: str) -> str:
    """The document's text. `rows` are those of `host.rfc2544`, `losses` those of `host.loss`."""
    import leather

    leather.theme.title_font_family = leather.theme.legend_font_family = "sans-serif"
    leather.theme.axis_title_font_family = leather.theme.tick_font_family = "sans-serif"
    leather.theme.tick_color, leather.theme.label_color = "#dddddd", "#555555"
    leather.theme.default_series_colors = list(COLOURS)
    grid = leather.Grid()
    grid.add_many(
        [
            chart(rows, f"{title}: throughput", "million packets a second", packets_a_second, logarithmic=True),
            chart(rows, "goodput", "Gb/s of UDP payload", lambda row: row["goodput_bps"] / 1e9),
            chart(rows, "latency", "ns from last byte in to delivery, mean", lambda row: row["latency_ns"]["mean"]),
            loss_chart(losses),
        ]
    )
    return str(grid.to_svg(width=WIDTH, height=HEIGHT))


def packets_a_second(row: Row) -> float:
    return float(row["packets_per_second"]) / 1e6


def chart(
    rows: Sequence[Row], title: str, unit: str, value: Callable[[Row], float], *, logarithmic: bool = False
) -> Any:
    """A line for each encapsulation over the frame size, which has a logarithmic axis; so has `value`, if asked for."""
    import leather

    sizes = sorted({row["frame_bytes"] for row in rows})
    values = [value(row) for row in rows]
    made = leather.Chart(title)
    made.add_x_scale(log2(sizes[0]), log2(sizes[-1]) if len(sizes) > 1 else log2(sizes[0]) + 1)
    shown = [size for size in sizes if size != NO_ROOM]
    made.add_x_axis([log2(size) for size in shown], lambda at, *_: f"{2**at:.0f}", "bytes of the inner frame, with FCS")
    if logarithmic:
        least = max(min(values), 1e-6)
        ticks = [
            log10(step * 10.0**power)
            for power in range(floor(log10(least)), floor(log10(max(max(values), least))) + 1)
            for step in (1, 2, 5, 10)
        ]
        ticks = [tick for tick in ticks if log10(least) - 0.5 < tick < log10(max(max(values), least)) + 0.5]
        made.add_y_scale(ticks[0], ticks[-1])
        made.add_y_axis(sorted(set(ticks)), lambda at, *_: f"{10**at:g}"[:6], unit)
    else:
        made.add_y_scale(0, (max(values) or 1) * 1.05)
        made.add_y_axis(None, lambda at, *_: f"{at:g}", unit)
    add_lines(
        made,
        rows,
        lambda row: (log2(row["frame_bytes"]), log10(max(value(row), 1e-6)) if logarithmic else value(row)),
    )
    return made


def loss_chart(losses: Sequence[Row]) -> Any:
    """Goodput against the part of the packets that is lost, in percent."""
    import leather

    made = leather.Chart("delivered payload of 32 KB writes on a lossy wire")
    made.add_x_scale(0, max(row["loss"] for row in losses) * 100 or 1)
    made.add_x_axis(None, lambda at, *_: f"{at:g}", "% of the packets lost")
    made.add_y_scale(0, max(row["goodput_bps"] for row in losses) / 1e9 * 1.05)
    made.add_y_axis(None, lambda at, *_: f"{at:g}", "Gb/s")
    add_lines(made, losses, lambda row: (row["loss"] * 100, row["goodput_bps"] / 1e9))
    return made


def add_lines(made: Any, rows: Sequence[Row], point: Callable[[Row], tuple[float, float]]) -> None:
    """A line for each encapsulation, of the same colour in all charts."""
    for name in dict.fromkeys(row["encapsulation"] for row in rows):
        number = list(NAMES).index(name) if name in NAMES else len(name)
        made.add_line(
            [point(row) for row in rows if row["encapsulation"] == name],
            name=NAMES.get(name, name),
            stroke_color=COLOURS[number % len(COLOURS)],
            stroke_dasharray=DASHES[number % len(DASHES)],
        )
