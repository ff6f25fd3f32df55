"""A card that knows nothing but its tables: outer headers by replaying templates, as the hardware does.

Inner packets come from the reference model's own segmenter; everything outside of them only from rows that the driver
wrote. What it puts on the wire must be what the model does, so every field, patch code and partial sum counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from struct import pack, unpack_from

from hdl.registers import tables
from hdl.registers.counters import SIDE_COUNTERS, DropReason, TxCounter
from hdl.registers.patches import OuterPatch as P
from hdl.registers.rows import Fields
from hdl.registers.tables import Table
from sim.model.flow import source_port
from sim.model.parse import Headers, parse
from sim.model.segment import finish_partial, needs_cutting, segment
from sim.model.stt import LONGEST_WHOLE, stt_header
from tests.support.rows import unpack
from tests.support.wire import words_sum

STT_HEADER_WORDS = 9
CWR, ACK, PSH = 0x80, 0x10, 0x08


@dataclass
class TableCard:
    """`rows`: what was written, the rest is zero. Counters and running numbers as the card has them."""

    width: int = 8
    rows: dict[tuple[Table, int], int] = field(default_factory=dict)
    order: list[tuple[Table, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0] * SIDE_COUNTERS)
    identification: int = 0
    stt_identifier: int = 0

    def write_row(self, table: Table, row: int, data: int) -> None:
        self.rows[table, row] = data
        self.order.append((table, row))

    def read_counter(self, index: int) -> int:
        return self.counts[index]

    def row(self, table: Table, number: int, fields: Fields) -> dict[str, int]:
        return unpack(fields, self.rows.get((table, number), 0))

    def words(self, profile: int, count: int) -> Iterator[tuple[int, int]]:
        """(word, patch code) of a template, from its rows."""
        lanes, beats = self.width // 2, tables.TEMPLATE_BYTES // self.width
        for at in range(count):
            row = self.rows.get((Table.TEMPLATE, profile * beats + at // lanes), 0)
            lane = at % lanes
            data = (row >> 16 * lane & 0xFFFF).to_bytes(2, "little")
            yield int.from_bytes(data, "big"), row >> 8 * self.width + 5 * lane & 31

    def route(self, vport: int, mac: bytes) -> tuple[DropReason, int]:
        found = self.row(Table.VPORT, vport, tables.VPORT_FIELDS)
        if not found["valid"]:
            return DropReason.UNKNOWN_VPORT, 0
        vnet, address = found["vnet"], int.from_bytes(mac, "big")
        entry = self.row(Table.WILDCARD, vnet, tables.ROUTE_FIELDS)
        for number in tables.EXACT_TABLE.places_of((vnet, address)):
            exact = self.row(Table.EXACT, number, tables.EXACT_FIELDS)
            if exact["valid"] and (exact["vnet"], exact["mac"]) == (vnet, address):
                entry = exact
        if not entry["valid"]:
            return DropReason.NO_ROUTE, 0
        return (DropReason.POLICY if entry["drop"] else DropReason.NONE), entry["tunnel"]

    def neighbour(self, vport: int, mac: bytes) -> int | None:
        """The vport of this card that a frame is for, if it is."""
        found = self.row(Table.VPORT, vport, tables.VPORT_FIELDS)
        key = found["vnet"], int.from_bytes(mac, "big")
        entry = self.row(Table.LOCAL, tables.LOCAL_WILDCARDS + found["vnet"], tables.LOCAL_FIELDS)
        for number in tables.LOCAL_TABLE.places_of(key):
            exact = self.row(Table.LOCAL, number, tables.LOCAL_TABLE.fields)
            if exact["valid"] and (exact["vnet"], exact["mac"]) == key:
                entry = exact
        target = self.row(Table.VPORT, entry["vport"], tables.VPORT_FIELDS)
        here = found["valid"] and entry["valid"] and entry["local"] and target == found
        return entry["vport"] if here else None

    def send(self, frame: bytes, *, vport: int = 0, gso_size: int = 0, accecn: bool = False) -> list[bytes]:
        """Packets of a frame; none if it is dropped."""
        self.counts[TxCounter.FRAMES_IN] += 1
        reason, packets = self.process(frame, vport, gso_size, accecn)
        if reason:
            self.counts[reason] += 1
            return []
        self.counts[TxCounter.FRAMES_SENT] += 1
        self.counts[TxCounter.PACKETS_OUT] += len(packets)
        self.counts[TxCounter.UNPARSED] += parse(frame).unparsed
        return packets

    def process(self, frame: bytes, vport: int, gso_size: int, accecn: bool) -> tuple[DropReason, list[bytes]]:
        if len(frame) < 14:
            return DropReason.RUNT, []
        reason, number = self.route(vport, frame[:6])
        if reason:
            return reason, []
        tunnel = self.row(Table.TUNNEL, number, tables.TUNNEL_FIELDS)
        profile = self.row(Table.PROFILE, tunnel["profile"], tables.PROFILE_FIELDS)
        headers = parse(frame)
        strip = bool(profile["strip_tag"]) and headers.tpid == 0x8100
        if profile["forbid_tag"] and headers.tags > strip:
            return DropReason.INNER_VLAN, []
        cut = self.cut_for(profile, headers, gso_size, strip)
        inner = [finish_partial(headers)] if cut == "super" else segment(headers, gso_size, accecn)
        inner = [packet[:12] + packet[16:] for packet in inner] if strip else inner
        free = 0 if profile["words"] else headers.l3
        if cut == "fits" and max(map(len, inner)) - free > profile["max_length"]:
            return DropReason.MTU, []
        if cut == "whole" and len(inner[0]) > LONGEST_WHOLE:
            return DropReason.MTU, []
        if not profile["words"]:
            return DropReason.NONE, inner
        mss = gso_size if cut == "super" else 0
        packets = []
        for packet in inner:
            packets += list(self.wrap(number, tunnel, profile, headers, packet, mss))
            self.stt_identifier += profile["stt"]
        return DropReason.NONE, packets

    @staticmethod
    def cut_for(profile: Mapping[str, int], headers: Headers, gso_size: int, strip: bool) -> str:
        """How a frame is cut: "super" for STT's cutter alone, "whole" where STT cuts what fits no packet, "fits"."""
        if not profile["stt_frame"]:
            return "fits"
        if not needs_cutting(headers, gso_size):
            return "whole"
        length, l4 = len(headers.frame) - 4 * strip, headers.l4 - 4 * strip
        small = 18 + length <= 65535 and l4 <= 255
        return "super" if small and not headers.frame[headers.l4 + 13] & CWR else "fits"

    def wrap(
        self,
        number: int,
        tunnel: Mapping[str, int],
        profile: Mapping[str, int],
        headers: Headers,
        packet: bytes,
        mss: int,
    ) -> Iterator[bytes]:
        """One inner packet's outer packets: several only in STT frame mode."""
        size = profile["words"]
        if not profile["stt"]:
            yield self.replay(number, tunnel, profile, headers, packet, size, {})
            return
        total, capacity = 18 + len(packet), profile["stt_capacity"] if profile["stt_frame"] else 1 << 16
        values = {**stt_words(headers, mss), P.SEQUENCE_HIGH: total}
        for offset in range(0, total, capacity):
            last = offset + capacity >= total
            piece = packet[max(0, offset - 18) : offset + capacity - 18]
            values |= {
                P.SEQUENCE_LOW: offset,
                P.ACK_HIGH: self.stt_identifier >> 16,
                P.ACK_LOW: self.stt_identifier & 0xFFFF,
                P.TCP_FLAGS: 0x5000 | ACK | (PSH if last else 0),
            }
            words = size if offset == 0 else size - STT_HEADER_WORDS
            yield self.replay(number, tunnel, profile, headers, piece, words, values)

    def replay(
        self,
        number: int,
        tunnel: Mapping[str, int],
        profile: Mapping[str, int],
        headers: Headers,
        body: bytes,
        count: int,
        stt: Mapping[int, int],
    ) -> bytes:
        """The template's first `count` words, patched, in front of `body`."""
        less = 18 if count < profile["words"] else 0
        length = len(body) + profile["length_add"] - less
        l4_length = len(body) + profile["l4_length_add"] - less
        dscp = profile["dscp"] if profile["pipe"] else headers.tos >> 2
        tos = dscp << 2 | headers.tos & 3
        values = dict(stt)
        values |= {P.LENGTH: length & 0xFFFF, P.ID: self.identification, P.UDP_LENGTH: l4_length & 0xFFFF}
        values[P.TOS] = 0x6000 | tos << 4 if profile["ipv6"] else 0x4500 | tos
        values[P.FLOW_PORT] = source_port(headers)
        values |= {P.NEXT_HOP_0 + k: tunnel["next_hop"] >> 16 * (2 - k) & 0xFFFF for k in range(3)}
        values |= {P.KEY_0 + k: tunnel["key"] >> 16 * (3 - k) & 0xFFFF for k in range(4)}
        values |= {P.REMOTE_0 + k: tunnel["remote"] >> 16 * (7 - k) & 0xFFFF for k in range(8)}
        if profile["sequence"]:
            sequence = self.rows.get((Table.SEQUENCE, number), 0)
            values |= {P.SEQUENCE_HIGH: sequence >> 16, P.SEQUENCE_LOW: sequence & 0xFFFF}
            self.rows[Table.SEQUENCE, number] = (sequence + 1) & 0xFFFFFFFF
        values[P.IP_CHECKSUM] = 0xFFFF ^ fold(
            profile["ip_sum"] + tunnel["remote_sum"] + values[P.TOS] + values[P.LENGTH] + values[P.ID]
        )
        values[P.L4_CHECKSUM] = self.l4_checksum(tunnel, profile, values, l4_length, body, continues=bool(less))
        self.identification = (self.identification + profile["tunnelled"]) & 0xFFFF
        words = (values[code] if code else word for word, code in self.words(tunnel["profile"], count))
        return b"".join(pack("!H", word) for word in words) + body

    @staticmethod
    def l4_checksum(
        tunnel: Mapping[str, int],
        profile: Mapping[str, int],
        values: Mapping[int, int],
        length: int,
        body: bytes,
        *,
        continues: bool,
    ) -> int:
        if not profile["l4_checksum"]:
            return 0
        total = profile["l4_sum"] + words_sum(body)
        if profile["pseudo"]:
            total += tunnel["remote_sum"] + length + values[P.FLOW_PORT]
        if profile["udp"]:
            total += length
        if profile["sequence"] or profile["stt"]:
            total += values[P.SEQUENCE_HIGH] + values[P.SEQUENCE_LOW]
        if profile["stt"]:
            total += values[P.ACK_HIGH] + values[P.ACK_LOW] + values[P.TCP_FLAGS]
        if not continues:
            total += tunnel["key_sum"]
            total += sum(values.get(code, 0) for code in (P.STT_FLAGS, P.STT_L4_OFFSET, P.STT_MSS, P.STT_TCI))
        checksum = 0xFFFF ^ fold(total)
        return 0xFFFF if profile["udp"] and checksum == 0 else checksum


def stt_words(headers: Headers, mss: int) -> dict[int, int]:
    """Words of the STT frame header that come from the inner packet."""
    flags, offset, size, tag = unpack_from("!HHHH", stt_header(headers, 0, mss))
    return {P.STT_FLAGS: flags, P.STT_L4_OFFSET: offset, P.STT_MSS: size, P.STT_TCI: tag}


def fold(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
