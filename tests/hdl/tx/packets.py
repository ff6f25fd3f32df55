"""Random packets as records and ring contents, with the bytes that must leave: a trivial oracle by concatenation."""

import random
from dataclasses import dataclass, field
from typing import Any

from hdl.registers.tables import pack_template_row
from hdl.tx.layouts import InnerValues, OuterValues
from tests.hdl.stream.drive import beats

INNER_CODES = 8
OUTER_CODES = 32


def values_of(layout: Any, words: list[int]) -> Any:
    """A record's values from its words, first code first."""
    return layout.from_bits(sum(word << (16 * i) for i, word in enumerate(words)))


def patched(data: bytes, codes: list[int], words: list[int]) -> bytes:
    """`data` with each word whose code is not 0 replaced."""
    out = b""
    for i, code in enumerate(codes):
        out += words[code - 1].to_bytes(2, "big") if code else data[2 * i : 2 * i + 2]
    return out


@dataclass
class Template:
    """A template of a profile: words and their codes."""

    data: bytes
    codes: list[int]

    def rows(self, width: int) -> list[int]:
        words = [int.from_bytes(self.data[i : i + 2], "big") for i in range(0, len(self.data), 2)]
        pairs = list(zip(words, self.codes, strict=True))
        return [pack_template_row(pairs[at : at + width // 2], width) for at in range(0, len(pairs), width // 2)]


def random_template(rng: random.Random, words: int) -> Template:
    """The destination MAC is patched where it is; any other code may be anywhere; a template fills 128 bytes."""
    codes = [17, 18, 19] + [
        rng.choice([0, rng.choice([c for c in range(1, 32) if not 17 <= c <= 19])]) for _ in range(61)
    ]
    if rng.random() < 0.3:
        codes = [0] * 3 + codes[3:]
    return Template(rng.randbytes(128), codes)


@dataclass
class Traffic:
    """Records, ring rows, and packets that must come of them."""

    width: int
    header_rows: list[dict[str, Any]] = field(default_factory=list)
    payload_bytes: bytearray = field(default_factory=bytearray)
    templates: dict[int, Template] = field(default_factory=dict)
    outer: list[dict[str, Any]] = field(default_factory=list)
    header: list[dict[str, Any]] = field(default_factory=list)
    payload: list[dict[str, Any]] = field(default_factory=list)
    header_until: list[int] = field(default_factory=list)  # rows that must be written before a record may come
    payload_until: list[int] = field(default_factory=list)
    outer_parts: list[bytes] = field(default_factory=list)  # what each engine must emit, without what is in front
    header_parts: list[tuple[int, bytes, int]] = field(default_factory=list)  # offset, bytes, more
    payload_parts: list[tuple[int, bytes]] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)

    def frame(
        self,
        rng: random.Random,
        *,
        outer_words: int,
        header_words: int,
        strip: bool,
        pieces: list[int],
        profile: int = 0,
        discard: bool = False,
        header_once: bool = False,
        shared_lane: int | None = None,
    ) -> None:
        """A frame of `header_words` words of headers, sent as packets with `pieces` bytes of payload each.

        header_once : only the first packet has inner headers (STT frame mode)
        shared_lane : lane at which the payload begins; its place in the frame unless given
        """
        width = self.width
        row = len(self.header_rows)
        header = rng.randbytes(2 * header_words)
        codes = [0] * min(8, header_words) + [rng.choice([0, rng.randrange(8)]) for _ in range(header_words - 8)]
        padded = codes + [0] * (-header_words % (width // 2))
        for i, value in enumerate(beats(header, width)):
            self.header_rows.append({"data": value, "codes": padded[i * width // 2 : (i + 1) * width // 2]})
        lane = 2 * header_words % width if shared_lane is None else shared_lane
        data = rng.randbytes(sum(pieces))
        if data:
            self.payload_bytes += rng.randbytes(lane) + data + rng.randbytes(-(lane + len(data)) % width)
        end_row = len(self.header_rows)

        for number, size in enumerate(pieces or [0]):
            words = header_words if number == 0 or not header_once else 0
            inner, outer = ([rng.getrandbits(16) for _ in range(count)] for count in (INNER_CODES - 1, OUTER_CODES - 1))
            final = number == len(pieces or [0]) - 1
            self.header.append(
                {
                    "row": row & 0xFFFF,
                    "words": words,
                    "strip": strip,
                    "offset": outer_words,
                    "payload": size > 0,
                    "discard": discard,
                    "release": final,
                    "release_row": end_row & 0xFFFF,
                    "values": values_of(InnerValues, inner),
                }
            )
            self.header_until.append(end_row)
            inner_header = patched(header, codes, inner) if words else b""
            if strip and words:
                inner_header = inner_header[:12] + inner_header[16:]
            front = b""
            if outer_words:
                template = self.templates[profile]
                front = patched(template.data[: 2 * outer_words], template.codes[:outer_words], outer)
            if size:
                keep = not final and (lane + size) % width != 0
                self.payload.append(
                    {
                        "lane": lane,
                        "length": size,
                        "offset": (len(front) + len(inner_header)) % width,
                        "keep": keep,
                        "discard": discard,
                    }
                )
                self.payload_until.append(len(self.payload_bytes) // width)
                lane = (lane + size) % width
            piece, data = data[:size], data[size:]
            if discard:
                continue
            self.outer.append({"profile": profile, "words": outer_words, "values": values_of(OuterValues, outer)})
            self.outer_parts.append(front)
            self.header_parts.append((len(front), inner_header, int(size > 0 or not words)))
            if size:
                self.payload_parts.append(((len(front) + len(inner_header)) % width, piece))
            self.packets.append(front + inner_header + piece)


def random_traffic(rng: random.Random, width: int, frames: int) -> Traffic:
    """Frames of every kind: tunnelled or bare, tagged, segmented, in STT frame mode, without payload, discarded."""
    traffic = Traffic(width)
    for profile in range(4):
        traffic.templates[profile] = random_template(rng, 64)
    for _ in range(frames):
        outer_words = rng.choice([0, 19, 21, 25, 27, 64, 4 * width if width <= 16 else 32, rng.randint(1, 64)])
        header_words = rng.choice([7, 27, 33, rng.randint(7, 120), 256 if rng.random() < 0.1 else 21])
        strip = header_words >= 11 and rng.random() < 0.3
        kind = rng.random()
        if kind < 0.2:
            pieces = []
        elif kind < 0.5:
            pieces = [rng.randint(1, 3 * width)]
        else:
            size = rng.choice([1, width, rng.randint(1, 3 * width), rng.randint(1, 200)])
            pieces = [size] * rng.randint(1, 4) + [rng.randint(1, size)]
        traffic.frame(
            rng,
            outer_words=outer_words,
            header_words=header_words,
            strip=strip,
            pieces=pieces,
            profile=rng.randrange(4),
            discard=rng.random() < 0.1,
            header_once=bool(pieces) and rng.random() < 0.2,
        )
    return traffic


async def fill(ctx: Any, *, write: Any, i: Any, space: Any, rows: list[Any], written: list[int]) -> None:
    """Write rows while there is space; `written[0]` counts them."""
    for row in rows:
        ctx.set(write, 0)
        while not ctx.get(space):
            await ctx.tick()
        ctx.set(write, 1)
        ctx.set(i, row)
        await ctx.tick()
        written[0] += 1
    ctx.set(write, 0)


async def send_behind(
    ctx: Any, stream: Any, records: list[Any], until: list[int], written: list[int], *, rng: random.Random, pause: float
) -> None:
    """Send records, each only once `until` rows are written."""
    for record, rows in zip(records, until, strict=True):
        while written[0] < rows or rng.random() < pause:
            await ctx.tick()
        ctx.set(stream.payload, record)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


class PartKeeper:
    """Gathers the bytes of parts and checks that everything outside them is zero."""

    def __init__(self, width: int, parts: list[tuple[int, bytes]]):
        self.width, self.parts = width, parts
        self.done = 0
        self.cycles: list[int] = []
        self.ends: list[tuple[int, int, int]] = []  # more, join, bytes
        self.gathered = b""

    def __call__(self, cycle: int, beat: Any) -> bool:
        self.cycles.append(cycle)
        self.gathered += beat.data.to_bytes(self.width, "little")
        if beat.last:
            offset, part = self.parts[self.done]
            start = offset % self.width
            expected = bytes(start) + part
            expected += bytes(-len(expected) % self.width) if expected else bytes(self.width)
            assert self.gathered == expected, f"part {self.done}: {self.gathered.hex()} is not {expected.hex()}"
            self.ends.append((beat.more, beat.join, beat.bytes))
            self.gathered = b""
            self.done += 1
        return self.done == len(self.parts)
