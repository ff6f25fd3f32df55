"""What the coalescer must do, packet by packet: `sim.model.coalesce` with a bounded number of slots; and its inputs."""

from dataclasses import dataclass, replace
from random import Random
from struct import pack_into
from zlib import crc32

from hdl.registers.receive import ChecksumStatus, RxReason
from sim.model.checksum import ones_sum
from sim.model.coalesce.coalescer import Coalescer, Limits, passed
from sim.model.coalesce.packet import GSO_TCPV6, Arrival, Delivery
from sim.model.coalesce.rules import alone, common
from sim.model.coalesce.run import Run
from sim.model.parse import ETHERNET, TCP, Headers, parse, word
from sim.model.receive import verify
from sim.model.receive.ecn import with_tos

MASKED = 128  # longest headers that are compared
LONGEST_FRAME = 65535  # a frame with all its headers fits a buffer
STATUS = {
    "none": int(ChecksumStatus.NONE),
    "good": int(ChecksumStatus.GOOD),
    "bad": int(ChecksumStatus.BAD),
    "partial": int(ChecksumStatus.PARTIAL),
}


@dataclass(frozen=True)
class Given:
    """One packet as the coalescer gets it: a frame, and what the outer header has said."""

    frame: bytes
    vnet: int = 0
    tunnel: int | None = None  # the origin's digest
    outer: int = 0
    options: int = 0
    tos: int | None = None  # the new one
    reason: int = 0
    slow: bool = False
    hash: int | None = None  # instead of the flow's

    @property
    def changed(self) -> bytes:
        """The frame with its new TOS."""
        if self.tos is None or self.reason or len(self.frame) < ETHERNET:
            return self.frame
        headers = parse(self.frame)
        return with_tos(headers, self.tos) if headers.ip_version else self.frame

    @property
    def headers(self) -> Headers | None:
        return parse(self.frame) if len(self.frame) >= ETHERNET else None

    @property
    def flow_hash(self) -> int:
        headers = self.headers
        if self.hash is not None or headers is None:
            return self.hash or 0
        return crc32(b"".join(headers.addresses) + headers.frame[headers.l4 : headers.l4 + 4] * headers.tcp)

    def rows(self, width: int) -> list[int]:
        """The masked headers."""
        headers = self.headers
        if headers is None or not headers.tcp:
            return []
        masked = bytearray(common(headers))
        if headers.ip_version == 4:
            masked[headers.l3 + 1] = 0
        else:
            pack_into("!H", masked, headers.l3, word(bytes(masked), headers.l3) & 0xF00F)
        del masked[MASKED:]
        return [int.from_bytes(masked[at : at + width], "little") for at in range(0, len(masked), width)]

    def inner(self, width: int, random: Random) -> dict[str, int]:
        """`InnerFacts`; what has no meaning for the frame is noise."""
        headers, frame = self.headers, self.frame
        facts = {
            "hash": self.flow_hash,
            "id": random.getrandbits(16),
            "payload": random.getrandbits(17),
            "rows": len(self.rows(width)),
            "fragment_word": random.getrandbits(16),
            "sequence": random.getrandbits(32),
            "tcp_flags": random.getrandbits(16),
            "ip_checksum": random.getrandbits(16),
            "pseudo": random.getrandbits(16),
        }
        if headers is None:
            return {"runt": 1, **facts}
        l3, l4, v4 = headers.l3, headers.l4, headers.ip_version == 4
        facts |= {
            "tags": headers.tags,
            "dst_mac": int.from_bytes(frame[:6], "big"),
            "link": link(frame, headers.tags),
            "l3": l3 // 2,
            "l4": min(l4 // 2, 256),
            "header_words": min(headers.header_length // 2, 256),
            "has_ip": bool(headers.ip_version),
            "ipv6": headers.ip_version == 6,
            "unparsed": headers.unparsed,
            "tcp": headers.tcp,
            "udp": headers.udp,
            "tos": headers.tos,
            "padded": headers.ip_end != len(frame),
            "ip_status": STATUS[verify.inner_ip(headers)],
            "l4_status": STATUS[verify.inner_l4(headers)],
        }
        if headers.ip_version:
            facts["tos_word"] = word(frame, l3)
            facts["ip_length"] = word(frame, l3 + (2 if v4 else 4))
        if v4:
            facts |= {
                "id": word(frame, l3 + 4),
                "fragment_word": word(frame, l3 + 6),
                "ip_checksum": word(frame, l3 + 10),
            }
        if headers.tcp:
            facts |= {
                "sequence": int.from_bytes(frame[l4 + 4 : l4 + 8], "big"),
                "tcp_flags": word(frame, l4 + 12),
                "l4_checksum": word(frame, l4 + 16),
                "payload": headers.ip_end - headers.header_length,
                "pseudo": ones_sum(b"".join(headers.addresses), TCP),
            }
        return facts

    def record(self, width: int, row: int, lane: int, random: Random) -> dict:
        """`RxPacket`."""
        tos = self.headers.tos if self.headers else 0
        return {
            "reason": self.reason,
            "slow": self.slow,
            "row": row,
            "lane": lane,
            "length": len(self.frame),
            "release_row": (row + rows_of(self, width, lane)) & 0xFFFF,
            "vnet": self.vnet,
            "entry": (self.tunnel or 0) & 63,
            "tunnelled": self.tunnel is not None,
            "origin": self.tunnel or 0,
            "options": self.options,
            "outer_bytes": self.outer,
            "tos": tos if self.tos is None else self.tos,
            "tos_patch": self.changed != self.frame,
            "inner": self.inner(width, random),
        }

    @property
    def arrival(self) -> Arrival:
        headers = self.headers
        ip, l4 = (verify.inner_ip(headers), verify.inner_l4(headers)) if headers else ("none", "none")
        good = l4 == "good" and (ip == "good" or (headers is not None and headers.ip_version == 6))
        return Arrival(
            self.changed,
            vnet=self.vnet,
            tunnel=self.tunnel,
            checksum="good" if good else "bad",
            outer=self.outer,
            options=self.options.to_bytes(4, "big"),
        )

    @property
    def tag(self) -> object:
        """Who the slots take it for; two flows with one hash are one."""
        headers = parse(self.frame)
        return self.flow_hash, self.vnet, self.tunnel, self.frame[: headers.l3], b"".join(headers.addresses)


def link(frame: bytes, tags: int) -> int:
    """The digest of an Ethernet header's source, outermost type, and TCIs; the inner TCI with its bytes swapped."""
    digest = word(frame, 6) ^ word(frame, 8) ^ word(frame, 10) ^ word(frame, 12)
    digest ^= word(frame, 14) if tags else 0
    return digest ^ (int.from_bytes(frame[18:20], "little") if tags == 2 else 0)


def rows_of(given: Given, width: int, lane: int) -> int:
    return max(1, -(-(lane + len(given.frame)) // width))


@dataclass(frozen=True)
class Expected:
    """A completion, as far as it must be the same."""

    frame: bytes
    packets: int = 1
    reason: int = 0
    slow: bool = False
    vnet: int | None = None
    gso_size: int = 0
    tcpv6: bool = False
    fixed_id: bool = False
    ip_status: int = 0
    l4_status: int = 0


class SecondChance:
    """Which of `size` slots makes room; at most `quota` of one kind."""

    def __init__(self, size: int, quota: int) -> None:
        self.size, self.quota, self.hand = size, quota, 0
        self.kinds: list[int | None] = [None] * size
        self.marks = [False] * size

    def insert(self, kind: int) -> int:
        everyone = self.kinds.count(kind) < self.quota
        order = [(self.hand + step) % self.size for step in range(self.size)]
        candidates = [one for one in order if everyone or self.kinds[one] == kind]
        victim = next((one for one in candidates if self.kinds[one] is None), None)
        if victim is None:
            victim = next((one for one in candidates if not self.marks[one]), None)
            passed_over = candidates if victim is None else candidates[: candidates.index(victim)]
            for one in passed_over:
                self.marks[one] = False
            victim = candidates[0] if victim is None else victim
        self.kinds[victim], self.marks[victim], self.hand = kind, False, (victim + 1) % self.size
        return victim


class Reference(Coalescer):
    """The model with slots. It is told which packets found no buffer."""

    def __init__(self, slots: int, quota: int) -> None:
        super().__init__(Limits(slots, slots, 0))
        self.table = SecondChance(slots, quota)
        self.slot_of: dict[object, int] = {}
        self.last: dict[object, int] = {}  # when the latest packet of a run came

    def idle(self, now: int, ticks: int) -> list[Expected]:
        """Runs whose latest packet came `ticks` ago or more."""
        gone = [tag for tag in self.runs if now - self.last[tag] >= ticks]
        return [expected(done) for tag in gone for done in self.end(tag, "idle")]

    def take(self, given: Given, now: int, starved: bool) -> list[Expected]:
        if given.reason and not given.slow:
            return [Expected(b"", reason=given.reason)]
        own = [Expected(b"", reason=RxReason.NO_BUFFER) if starved else as_it_came(given)]
        headers = given.headers
        if given.slow or headers is None or not headers.tcp:
            return own
        arrival, tag = given.arrival, given.tag
        headers = parse(arrival.frame)
        refusal, run = alone(arrival, headers), self.runs.get(tag)
        if tag in self.slot_of:
            self.table.marks[self.slot_of[tag]] = True
        if refusal or headers.header_length > MASKED:
            return [*map(expected, self.end(tag, "alone")), *own]
        done: list[Delivery] = []
        self.last[tag] = now
        if tag not in self.slot_of:
            slot = self.table.insert(given.vnet)
            for old in [old for old, its in self.slot_of.items() if its == slot]:
                del self.slot_of[old]
                done += self.end(old, "evicted")
            self.slot_of[tag] = slot
        if run and not self.refuses(run, arrival, headers):
            assert not starved
            run.append(arrival, headers)
        else:
            done += self.end(tag, "refused")
            if starved:
                return [*map(expected, done), *own]
            run = self.runs[tag] = Run(arrival, headers)
        if run.ended():
            done += self.end(tag, "ended")
        return list(map(expected, done))

    def refuses(self, run: Run, arrival: Arrival, headers: Headers) -> bool:
        first = run.arrivals[0]
        length = run.segments[0].header_length + sum(len(one.payload) for one in run.segments)
        return (
            (first.vnet, first.tunnel) != (arrival.vnet, arrival.tunnel)
            or run.refuses(arrival, headers) is not None
            or length + len(headers.payload) > LONGEST_FRAME
        )

    @property
    def held(self) -> int:
        return sum(len(run.arrivals) for run in self.runs.values())


def as_it_came(given: Given) -> Expected:
    if given.slow:
        return Expected(given.frame, slow=True, reason=given.reason)
    return expected(passed(replace(given.arrival, frame=given.changed), ""), given.frame)


def expected(delivery: Delivery, original: bytes | None = None) -> Expected:
    frame = delivery.arrivals[0].frame if original is None else original
    headers = parse(frame) if len(frame) >= ETHERNET else None
    ip, l4 = (verify.inner_ip(headers), verify.inner_l4(headers)) if headers else ("none", "none")
    return Expected(
        delivery.frame,
        packets=delivery.segments,
        vnet=delivery.arrivals[0].vnet,
        gso_size=delivery.gso_size,
        tcpv6=delivery.gso_type == GSO_TCPV6,
        fixed_id=delivery.fixed_id,
        ip_status=STATUS[ip],
        l4_status=STATUS[delivery.checksum if delivery.segments > 1 else l4],
    )


def patched(frame: bytes, patches) -> bytes:
    """What the host makes of a frame and its `Patches`."""
    out, l3, l4 = bytearray(frame), 2 * patches.l3, 2 * patches.l4
    if patches.ip:
        pack_into("!H", out, l3, patches.tos_word)
        if not patches.ipv6:
            pack_into("!H", out, l3 + 10, patches.ip_checksum)
    if patches.merged:
        pack_into("!H", out, l3 + (4 if patches.ipv6 else 2), patches.ip_length)
        pack_into("!H", out, l4 + 12, patches.tcp_flags)
        pack_into("!H", out, l4 + 16, patches.l4_checksum)
    return bytes(out)
