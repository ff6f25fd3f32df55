"""The transmit side of the card: frames in, packets on the wire out."""

from collections.abc import Iterator

from sim.model import encapsulate, outer, stt
from sim.model.fit import overhead, tag_moves_out
from sim.model.flow import source_port
from sim.model.network import Network, ToVport, Tunnel
from sim.model.parse import ETHERNET, TCP, Headers, parse
from sim.model.receive.delivery import GSO_NONE, GSO_TCPV4, GSO_TCPV6, Delivery
from sim.model.receive.rss import receive_hash
from sim.model.receive.verify import GOOD, NONE, PARTIAL
from sim.model.segment import completes_l4, finish, finish_partial, needs_cutting, segment

LONGEST = 22 + 40 + 65535  # bytes: the longest Ethernet header, and IPv6 with the largest payload it can say
REASONS = ("runt", "oversize", "bad_length", "unknown_vport", "no_route", "policy", "inner_vlan", "mtu")


class Dropped(Exception):
    """A frame that does not go out; the argument is the reason, one of `REASONS`."""


class Card:
    """A card with a configuration, its running numbers and its counters.

    Counters: frames_in = frames_sent + frames_local (those for another vport) + all drop.<reason>; packets_out;
    unparsed, the frames sent whole because their headers were not understood. `drop.bad_length` stays 0: a frame here
    is as long as it is.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.identification = 0  # of the next outer IP packet, modulo 2^16
        self.stt_identifier = 0  # of the next STT frame, modulo 2^32
        self.sequence = [0] * len(network.tunnels)  # of the next GRE packet of each tunnel, modulo 2^32
        self.last_drop: str | None = None
        self.local: list[Delivery] = []  # what the last frame became for another vport: one or none
        names = (
            "frames_in",
            "frames_sent",
            "frames_local",
            "packets_out",
            "unparsed",
            *(f"drop.{reason}" for reason in REASONS),
        )
        self.counters = dict.fromkeys(names, 0)

    def transmit(self, frame: bytes, *, vport: int = 0, gso_size: int = 0, accecn: bool = False) -> list[bytes]:
        """The packets that a frame becomes, none if it is dropped (`last_drop` says why) or for a vport (`local`).

        `gso_size`: bytes of TCP payload a segment, 0 to never cut; `accecn`: CWR belongs on every segment (RFC 9768).
        """
        if not 0 <= gso_size <= 0xFFFF:
            raise ValueError(f"gso_size {gso_size} is not 0 to 65535")
        self.counters["frames_in"] += 1
        self.local = []
        try:
            headers, packets = self._process(bytes(frame), vport, gso_size, accecn)
        except Dropped as dropped:
            self.last_drop = str(dropped)
            self.counters[f"drop.{self.last_drop}"] += 1
            return []
        self.last_drop = None
        if self.local:
            self.counters["frames_local"] += 1
            return []
        self.counters["frames_sent"] += 1
        self.counters["packets_out"] += len(packets)
        self.counters["unparsed"] += headers.unparsed
        return packets

    def _process(self, frame: bytes, vport: int, gso_size: int, accecn: bool) -> tuple[Headers, list[bytes]]:
        if len(frame) < ETHERNET:
            raise Dropped("runt")
        if len(frame) > LONGEST:
            raise Dropped("oversize")
        if vport not in self.network.vports:
            raise Dropped("unknown_vport")
        destination = self.network.route(vport, frame)
        if destination is None:
            raise Dropped("no_route")
        if destination == "drop":
            raise Dropped("policy")
        headers = parse(frame)
        if isinstance(destination, ToVport):
            most = self.network.receive_mtu.get(destination.vport)
            self.local = [hand_over(headers, destination.vport, self.network.vports[vport], gso_size, most)]
            return headers, []
        if isinstance(destination, int):
            return headers, self._tunnel(destination, headers, gso_size, accecn)
        packets = segment(headers, gso_size, accecn)
        check_fit(packets, -headers.l3, self.network.mtu)  # Ethernet header and tags are free
        return headers, packets

    def _tunnel(self, index: int, headers: Headers, gso_size: int, accecn: bool) -> list[bytes]:
        tunnel = self.network.tunnels[index]
        if tunnel.encapsulation == "nvgre" and headers.tags > tag_moves_out(tunnel, headers):
            raise Dropped("inner_vlan")
        if tunnel.encapsulation == "stt":
            bodies = self._stt(tunnel, headers, gso_size, accecn)
        else:
            bodies = self._per_packet(index, headers, gso_size, accecn)
        link, tos = outer.ethernet_header(tunnel, self.network.mac), outer.tos(tunnel, headers)
        protocol = encapsulate.PROTOCOL.get(tunnel.encapsulation, TCP)
        packets = []
        for body in bodies:
            packets.append(link + outer.ip_header(tunnel, protocol, len(body), tos, self.identification) + body)
            self.identification = (self.identification + 1) & 0xFFFF
        return packets

    def _per_packet(self, index: int, headers: Headers, gso_size: int, accecn: bool) -> Iterator[bytes]:
        """GRE, NVGRE, VXLAN, Geneve: a header in front of every segment."""
        tunnel, port = self.network.tunnels[index], source_port(headers)
        packets = inner_packets(tunnel, headers, gso_size, accecn)
        check_fit(packets, overhead(tunnel), self.network.mtu_of(tunnel))
        for packet in packets:
            yield encapsulate.encapsulate(tunnel, packet, port, self.sequence[index])
            self.sequence[index] = (self.sequence[index] + 1) & 0xFFFFFFFF

    def _stt(self, tunnel: Tunnel, headers: Headers, gso_size: int, accecn: bool) -> Iterator[bytes]:
        """STT: the whole frame cut behind the TCP-like header, or a frame a segment, each in one packet."""
        mtu = self.network.mtu_of(tunnel)
        length = len(headers.frame) - (4 if tag_moves_out(tunnel, headers) else 0)
        if stt.goes_as_super_frame(tunnel, headers, length, gso_size):
            mss = gso_size
            packets = [
                without_tag(finish_partial(headers)) if tag_moves_out(tunnel, headers) else finish_partial(headers)
            ]
        else:
            mss = 0
            packets = inner_packets(tunnel, headers, gso_size, accecn)
            if tunnel.stt_mode == "segment" or len(packets) > 1:
                check_fit(packets, overhead(tunnel), mtu)
            else:
                check_fit(packets, 0, stt.LONGEST_WHOLE)
        for packet in packets:
            stt_frame = stt.stt_header(headers, tunnel.key or 0, mss) + packet
            yield from stt.fragments(
                tunnel, stt_frame, stt.capacity(tunnel, mtu), source_port(headers), self.stt_identifier
            )
            self.stt_identifier = (self.stt_identifier + 1) & 0xFFFFFFFF


def hand_over(headers: Headers, vport: int, vnet: int, gso_size: int, most: int | None) -> Delivery:
    """A frame for another vport, uncut: a super-segment stays one, as its sender's host made it.

    `most`: the vport's `receive_mtu`. What is longer is in its memory in one piece, too, and marked: to be cut.

    All checksums are complete but a super-segment's TCP checksum, which is its pseudo-header's sum: the frame has been
    on no wire.
    """
    several = needs_cutting(headers, gso_size)
    frame = finish_partial(headers) if several else finish(headers)
    four, l4 = headers.ip_version == 4, PARTIAL if several else GOOD if completes_l4(headers) else NONE
    return Delivery(
        frame,
        (vport,),
        vnet,
        hash=receive_hash(headers),
        gso_size=gso_size if several else 0,
        gso_type=(GSO_TCPV4 if four else GSO_TCPV6) if several else GSO_NONE,
        ip_checksum=GOOD if four and not headers.unparsed else NONE,
        l4_checksum=NONE if headers.unparsed else l4,
        cut=several and most is not None and len(frame) - headers.l3 > most,
    )


def inner_packets(tunnel: Tunnel, headers: Headers, gso_size: int, accecn: bool) -> list[bytes]:
    packets = segment(headers, gso_size, accecn)
    return [without_tag(packet) for packet in packets] if tag_moves_out(tunnel, headers) else packets


def without_tag(frame: bytes) -> bytes:
    """The frame without its outermost VLAN tag."""
    return frame[:12] + frame[16:]


def check_fit(packets: list[bytes], more: int, most: int) -> None:
    """Drop the frame if its largest packet and `more` bytes are over `most`: the card never fragments."""
    if max(map(len, packets)) + more > most:
        raise Dropped("mtu")
