"""STT fragments as the outer parser reports them, and what the model says must come of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from hdl.registers.receive import ChecksumStatus, RxReason
from hdl.rx.layouts import chunk_rows
from sim.model.checksum import ones_sum
from sim.model.parse import parse, word
from sim.model.receive import ecn, verify
from sim.model.receive.reasons import Dropped
from sim.model.receive.reassemble import Reassembler
from sim.model.receive.stt import Fragment
from sim.model.segment import finish, finish_partial, needs_cutting, pseudo_header
from sim.model.slots import SecondChance
from sim.model.stt import STT_HEADER
from tests.support.frames import Draw, tcp_frame, udp_frame

HOLES = 24


@dataclass
class Frame:
    """An STT frame, its header included, and what the tables say of it."""

    data: bytes
    key: tuple[int, int, int, int]  # source, local, ipv6, identifier
    partial: bool = False
    mss: int = 0
    tci: int | None = None
    reason: int = 0
    uniform: bool = False
    vnet: int = 0
    entry: int = 0
    hash: int = 0

    @property
    def inner(self) -> bytes:
        return self.data[STT_HEADER:]


@dataclass
class Packet:
    """A fragment as it came off the wire: bytes of its frame, and what is wrong with it."""

    frame: Frame
    start: int
    end: int
    total: int
    tos: int = 0
    reason: int = 0
    verdict: int = 0
    cut: int = 0  # bytes that are missing at its end; it has a verdict then
    row: int = 0
    lead: int = 0  # bytes of headers in front
    data: bytes = b""

    def chunks(self, width: int) -> Iterator[dict[str, Any]]:
        """`SttChunk`s."""
        first, step = chunk_rows(width)
        length = self.lead + len(self.data)
        rows = -(-length // width)
        ends = [*range(first, rows, step), rows] if rows > first else [rows]
        at = self.lead
        for number, end_row in enumerate(ends):
            end = min(end_row * width, length)
            yield {
                "first": number == 0,
                "last": end_row == rows,
                "row": self.row + at // width & 0xFFFF,
                "lane": at % width,
                "length": end - at,
                "release_row": self.row + end_row & 0xFFFF,
                # what counts only with the first, or only with the last, is random elsewhere
                **({} if number else self.facts()),
                **({"verdict": self.verdict, "sum": ones_sum(self.data)} if end_row == rows else {}),
            }
            at = end

    def facts(self) -> dict[str, int]:
        source, local, ipv6, identifier = self.frame.key
        return {
            "reason": self.reason,
            "source": source,
            "local": local,
            "ipv6": ipv6,
            "identifier": identifier,
            "total": self.total,
            "offset": self.start,
            "size": self.end - self.start,
            "tos": self.tos,
        }


def destination(frame: bytes) -> dict[str, int]:
    """`Destination` of a frame: any one that follows from its address."""
    return {"many": frame[0] & 1, "known": frame[5] & 1, "vport": frame[4] & 63}


def outer_key(key: tuple[int, int, int, int]) -> tuple[bytes, bytes, int]:
    source, local, ipv6, identifier = key
    return source.to_bytes(16 if ipv6 else 4, "big"), bytes([local, ipv6]), identifier


def stt_facts(packet: Packet, rng: Random) -> dict[str, Any]:
    """`SttFacts` of a fragment at offset 0; what does not count is random."""
    frame = packet.frame
    inner = facts_of(frame.inner, len(packet.data) - STT_HEADER, rng)
    return {
        "reason": frame.reason,
        "vnet": frame.vnet,
        "entry": frame.entry,
        "uniform": frame.uniform,
        "to": destination(frame.inner),
        "stt": {"partial": frame.partial, "mss": frame.mss, "tagged": frame.tci is not None, "tci": frame.tci or 0},
        "inner": {**inner, "hash": frame.hash},
    }


def facts_of(frame: bytes, here: int, rng: Random) -> dict[str, int]:
    """`InnerFacts` of a frame whose first `here` bytes are to be seen."""
    headers = parse(frame, here)
    found = {
        "dst_mac": int.from_bytes(frame[:6], "big"),
        "l3": headers.l3 // 2,
        "l4": headers.l4 // 2,
        "has_ip": headers.ip_version != 0,
        "ipv6": headers.ip_version == 6,
        "unparsed": headers.unparsed,
        "tcp": headers.tcp,
        "udp": headers.udp and word(frame, headers.l4 + 6) != 0,
        "padded": bool(headers.trailer),
        "ip_status": STATUS[verify.inner_ip(headers)],
    }
    if headers.ip_version:
        found["tos_word"] = word(frame, headers.l3)
        found["tos"] = headers.tos
    if headers.ip_version == 4:
        found["ip_checksum"] = word(frame, headers.l3 + 10)
    if headers.tcp or headers.udp:
        l4, field = headers.l4, headers.l4 + (16 if headers.tcp else 6)
        found |= {
            "header_words": headers.header_length // 2,
            "payload": headers.ip_end - headers.header_length,
            "pseudo_whole": pseudo_header(headers, headers.ip_end),
            "l4_sum": ones_sum(frame[l4 : min(here, headers.ip_end)]),
            "partial": (word(frame, field) - pseudo_header(headers, headers.ip_end)) % 0xFFFF == 0,
        }
    return found


STATUS = {
    verify.NONE: ChecksumStatus.NONE,
    verify.GOOD: ChecksumStatus.GOOD,
    verify.BAD: ChecksumStatus.BAD,
    verify.PARTIAL: ChecksumStatus.PARTIAL,
}


@dataclass
class Expected:
    """What must come of one buffer."""

    reason: int
    packets: int
    frame: bytes = b""  # as it must lie there with its patches written
    values: dict[str, Any] = field(default_factory=dict)


class Oracle:
    """The model's word on every packet, in the order in which they come."""

    def __init__(self, *, slots: int, quota: int, buffers: int = 1 << 16, timeout: float = 1e9) -> None:
        self.reassembler = Reassembler(SecondChance(slots, quota, strict=False), timeout, HOLES, lambda *_: None)
        self.buffers, self.claimed = buffers, 0
        self.handles: dict[Any, int] = {}
        self.frames: dict[Any, Frame] = {}
        self.singles: Counter[int] = Counter()  # packets that are dropped for themselves, by reason
        self.outcomes: dict[int, Expected] = {}  # by handle

    @property
    def held(self) -> int:
        return self.reassembler.held

    def _lose(self, before: dict[Any, Any], reason: RxReason) -> None:
        for key in before.keys() - self.reassembler.open.keys():
            self.outcomes[self.handles.pop(key)] = Expected(reason, before[key].packets)

    def expire(self, now: float) -> None:
        before = dict(self.reassembler.open)
        self.reassembler.expire(now)
        self._lose(before, RxReason.STT_TIMEOUT)

    def add(self, packet: Packet, now: float = 0.0) -> None:
        reason = packet.verdict or packet.reason
        if reason:
            self.singles[reason] += 1
            return
        key, open_frames = outer_key(packet.frame.key), self.reassembler.open
        if key not in open_frames and self.claimed == self.buffers:
            self.singles[RxReason.NO_BUFFER] += 1
            return
        before = dict(open_frames)
        try:
            one = Fragment(key, packet.total, packet.start, packet.data, packet.tos)
            whole = self.reassembler.add(one, now)
        except Dropped as dropped:
            self.singles[RxReason[str(dropped).upper()]] += 1
            return
        if key not in before:
            self.handles[key], self.claimed = self.claimed, self.claimed + 1
        if whole is not None:
            handle = self.handles.pop(key)
            self.outcomes[handle] = finished(packet.frame, whole)
            before.pop(key, None)
        self._lose(before, RxReason.STT_EVICTED)


def finished(frame: Frame, whole: Any) -> Expected:
    if frame.reason:
        return Expected(frame.reason, whole.packets)
    headers = parse(whole.data[STT_HEADER:], whole.first - STT_HEADER)
    try:
        data = ecn.arrive(headers, whole.tos, uniform=frame.uniform)
    except Dropped:
        return Expected(RxReason.ECN, whole.packets)
    l4_status = verify.stt_l4(headers, frame.partial, whole.packets)
    cut = needs_cutting(headers, frame.mss) and l4_status != verify.BAD
    return Expected(
        0,
        whole.packets,
        data,
        {
            "vnet": frame.vnet,
            "entry": frame.entry,
            "hash": frame.hash,
            "tunnelled": 1,
            "stt": 1,
            "slow": 0,
            "fixed_id": 0,
            "to": destination(data),
            "tagged": frame.tci is not None,
            **({} if frame.tci is None else {"tci": frame.tci}),
            "gso_size": frame.mss if cut else 0,
            **({"tcpv6": headers.ip_version == 6} if cut else {}),
            "ip_status": STATUS[verify.inner_ip(headers)],
            "l4_status": STATUS[l4_status],
        },
    )


def patched(frame: bytes, patches: Any) -> bytes:
    """A frame with what a completion says of its headers."""
    data, l3 = bytearray(frame), 2 * patches["l3"]
    assert not patches["merged"]
    if patches["ip"]:
        data[l3 : l3 + 2] = patches["tos_word"].to_bytes(2, "big")
        if not patches["ipv6"]:
            data[l3 + 10 : l3 + 12] = patches["ip_checksum"].to_bytes(2, "big")
    return bytes(data)


class Traffic:
    """Random frames and the packets that they come in."""

    def __init__(self, rng: Random, width: int, *, sources: int = 8, largest: int = 1500) -> None:
        self.rng, self.width, self.largest = rng, width, largest
        self.draw = Draw(rng, largest)
        self.sources = [rng.getrandbits(128 if n % 2 else 32) for n in range(sources)]
        self.identifier = rng.getrandbits(32)
        self.row = rng.getrandbits(16)

    def inner(self) -> bytes:
        rng, draw = self.rng, self.draw
        version, tos = rng.choice((4, 6)), rng.getrandbits(8)
        make = rng.choice((tcp_frame, tcp_frame, udp_frame))
        kind = rng.randrange(12)
        if kind == 0:
            return rng.randbytes(rng.randint(14, 300))  # anything
        payload = draw.payload()
        frame = make(version, payload, ip={"tos": tos})
        if kind == 1:
            return frame + bytes(rng.randint(1, 40))  # Ethernet padding
        if kind == 2:
            return frame[: rng.randint(14, len(frame))]  # cut short
        return frame

    def frame(self) -> Frame:
        rng = self.rng
        source = rng.randrange(len(self.sources))
        self.identifier = self.identifier + 1 & 0xFFFFFFFF
        inner, partial = self.inner(), rng.random() < 0.5
        headers = parse(inner)
        if not headers.unparsed and rng.random() < 0.8:  # else the checksums are any
            inner = finish_partial(headers) if partial and headers.tcp else finish(headers)
        return Frame(
            rng.randbytes(STT_HEADER) + inner,
            (self.sources[source], rng.randrange(2), source % 2, self.identifier),
            partial,
            rng.choice((0, 100, 536)),
            rng.choice((None, rng.getrandbits(16) & 0xEFFF)),
            rng.choice((0,) * 9 + (RxReason.NOT_TERMINATED, RxReason.UNKNOWN_PEER)),
            rng.random() < 0.5,
            rng.getrandbits(6),
            rng.getrandbits(6),
            rng.getrandbits(32),
        )

    def packet(self, frame: Frame, start: int, end: int, **more: Any) -> Packet:
        one = Packet(frame, start, end, **{"total": len(frame.data), "tos": self.rng.choice((0, 2, 1, 3)), **more})
        one.data = frame.data[start:end] if not one.verdict else self.rng.randbytes(end - start - one.cut)
        one.row, one.lead = self.row, self.rng.choice((54, 58, 74, 78, 142))
        self.row = self.row + -(-(one.lead + len(one.data)) // self.width) & 0xFFFF
        return one

    def cuts(self, frame: Frame, most: int) -> list[tuple[int, int]]:
        """Where a frame is cut into pieces: the first has the STT header."""
        size = len(frame.data)
        inside = range(STT_HEADER, size)
        at = sorted(self.rng.sample(inside, min(self.rng.randint(0, most - 1), len(inside))))
        edges = [0, *at, size]
        return [(a, b) for a, b in pairwise(edges) if a < b]

    def lie(self, packet: Packet) -> Packet | None:
        """Something like this packet that must not be taken, or is one too many."""
        rng, frame = self.rng, packet.frame
        kind = rng.randrange(7)
        if kind == 0:
            verdict = rng.choice((RxReason.STT_CHECKSUM, RxReason.OUTER_LENGTH))
            return self.packet(frame, packet.start, packet.end, verdict=verdict)
        if kind == 1:  # fewer bytes than the header says
            cut = rng.randint(1, packet.end - packet.start)
            return self.packet(frame, packet.start, packet.end, verdict=RxReason.OUTER_LENGTH, cut=cut)
        if kind == 2:
            return self.packet(
                frame, packet.start, packet.end, reason=rng.choice((RxReason.STT_EMPTY, RxReason.IP_CHECKSUM))
            )
        if kind == 3:  # another length
            total = len(frame.data) + rng.randint(1, 9)
            return self.packet(frame, packet.start, packet.end, total=total)
        if kind == 4:
            return self.packet(frame, packet.start, packet.end)
        start = rng.randint(STT_HEADER, len(frame.data) - 1)
        return self.packet(frame, start, rng.randint(start + 1, len(frame.data)))

    def packets(
        self, frames: int, *, open_frames: int, most: int = 8, lies: float = 0.2, losses: float = 0.05
    ) -> list[Packet]:
        """Packets of several frames at a time, in any order."""
        rng = self.rng
        made: list[Packet | None] = []
        current: list[tuple[Frame, list[tuple[int, int]]]] = []
        while frames or current:
            while frames and len(current) < open_frames:
                frame = self.frame()
                pieces = self.cuts(frame, most)
                if rng.random() < 0.7:
                    rng.shuffle(pieces)
                current.append((frame, pieces))
                frames -= 1
            number = rng.randrange(len(current))
            frame, pieces = current[number]
            one = self.packet(frame, *pieces.pop())
            if rng.random() < lies:
                made.append(self.lie(one))
            if rng.random() >= losses:
                made.append(one)
            if rng.random() < lies / 4:
                made.append(self.lie(one))
            if not pieces:
                current.pop(number)
        # rows are counted in the order of the packets
        row = self.row
        sent = [one for one in made if one is not None]
        for one in sent:
            one.row = row
            row = row + -(-(one.lead + len(one.data)) // self.width) & 0xFFFF
        self.row = row
        return sent
