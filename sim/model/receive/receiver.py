"""The receive side of the card: packets off the wire in, frames for vnets out.

::

                          ┌ no tunnel to one of our addresses ── the vnet of the uplink, or of its VLAN
    packet ── whose is it ┼ a fragment, or a tunnel that nobody ends here ── the slow path, as it came
                          ├ GRE, NVGRE, VXLAN, Geneve ── one frame
                          └ STT ── held until its frame is whole ── one frame
"""

from sim.model.encapsulate import GENEVE_PORT, GRE, VXLAN_PORT
from sim.model.parse import ETHERNET, TCP, UDP, parse, word
from sim.model.receive import decapsulate, ecn, stt, verify
from sim.model.receive.decapsulate import CRITICAL, Inside, geneve_options
from sim.model.receive.delivery import Delivery
from sim.model.receive.outer import Outer, read, vlan
from sim.model.receive.reasons import DROPS, SLOW, Dropped, SlowPath
from sim.model.receive.reassemble import Reassembler
from sim.model.receive.terminate import Settings, Terminate, find
from sim.model.segment import needs_cutting
from sim.model.stt import PORT as STT_PORT
from sim.model.stt import STT_HEADER

BY_PORT = {(UDP, VXLAN_PORT): ("vxlan",), (UDP, GENEVE_PORT): ("geneve",), (TCP, STT_PORT): ("stt",)}
UNWRAP = {"gre": decapsulate.gre, "vxlan": decapsulate.vxlan, "geneve": decapsulate.geneve}


class Receiver:
    """The path with its configuration, its open frames and its counters.

    Counters are of packets: packets_in = packets_delivered + all slow.<reason> + all drop.<reason> + `held`. Without a
    slow path its reasons are counted as drops. Beside these: frames_delivered, and out_of_order, the GRE packets whose
    sequence number was not above the last one's (RFC 2890).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.local = {entry.local for entry in settings.terminate}
        self.frames = Reassembler(settings.contexts, settings.timeout, settings.holes, self._lost)
        self.sequence: dict[tuple[object, ...], int] = {}  # the last of each peer and key
        self.last_reason: str | None = None
        names = ("packets_in", "packets_delivered", "frames_delivered", "out_of_order")
        reasons = (*(f"slow.{name}" for name in SLOW), *(f"drop.{name}" for name in (*SLOW, *DROPS)))
        self.counters = dict.fromkeys((*names, *reasons), 0)

    @property
    def held(self) -> int:
        """Packets that wait for the rest of their frame."""
        return self.frames.held

    def expire(self, now: float) -> None:
        """Let time pass without a packet."""
        self.frames.expire(now)

    def receive(self, packet: bytes, now: float = 0.0) -> Delivery | None:
        """What comes of a packet: a frame, or nothing if it is held or dropped (`last_reason`, None while held).

        `now` is the time in seconds, never less than before.
        """
        self.counters["packets_in"] += 1
        self.last_reason = None
        self.expire(now)
        try:
            delivery = self._process(bytes(packet), now)
        except SlowPath as slow:
            self.last_reason = str(slow)
            self.counters[f"{'slow' if self.settings.slow_path else 'drop'}.{slow}"] += 1
            return Delivery(bytes(packet), None, slow=str(slow)) if self.settings.slow_path else None
        except Dropped as dropped:
            self.last_reason = str(dropped)
            self.counters[f"drop.{dropped}"] += 1
            return None
        if delivery is not None:
            self.counters["frames_delivered"] += 1
            self.counters["packets_delivered"] += delivery.packets
        return delivery

    def _lost(self, reason: str, packets: int) -> None:
        self.counters[f"drop.{reason}"] += packets

    def _process(self, packet: bytes, now: float) -> Delivery | None:
        if len(packet) < ETHERNET:
            raise Dropped("runt")
        outer = read(packet)
        encapsulations = tunnelled(outer) if outer and outer.destination in self.local else ()
        if outer is None or not encapsulations:
            return self._untunnelled(packet)
        if outer.lies:
            raise Dropped("outer_length")
        if not verify.outer_ip(outer):
            raise Dropped("ip_checksum")
        if outer.fragment:
            raise SlowPath("outer_fragment")
        entries = self.settings.ends_here(encapsulations, outer.destination)
        if not entries:
            raise SlowPath("not_terminated")
        if encapsulations == ("stt",):
            return self._stt(outer, entries, now)
        return self._per_packet(outer, encapsulations, entries)

    def _untunnelled(self, packet: bytes) -> Delivery:
        """A frame of the vnet that the uplink, or its VLAN, is mapped to; tags stay on it, as they do on transmit."""
        uplink = self.settings.uplink
        vnet = uplink.get(vlan(packet), uplink.get(None))
        if vnet is None:
            raise SlowPath("not_terminated")
        headers = parse(packet)
        return Delivery(packet, vnet, ip_checksum=verify.inner_ip(headers), l4_checksum=verify.inner_l4(headers))

    def _per_packet(self, outer: Outer, encapsulations: tuple[str, ...], entries: list[Terminate]) -> Delivery:
        """GRE, NVGRE, VXLAN, Geneve: every packet is a frame."""
        inside = UNWRAP[encapsulations[0]](outer)
        entry = find(entries, inside.key, outer.source)
        if entry is None:
            raise SlowPath("not_terminated")
        if entry.requires_udp_checksum and not inside.has_checksum:
            raise Dropped("udp_checksum_missing")
        if entry.encapsulation == "nvgre" and (inside.has_checksum or inside.sequence is not None):
            raise Dropped("gre_flags")
        options = geneve_options(inside.options)
        if any(kind & CRITICAL and (group, kind) not in entry.options for group, kind in options):
            raise Dropped("geneve_critical")
        if len(inside.frame) < ETHERNET:
            raise Dropped("runt")
        if entry.encapsulation == "nvgre" and parse(inside.frame).tags:
            raise Dropped("inner_vlan")
        self._count_sequence(outer, inside)
        return self._deliver(inside.frame, entry, outer, outer.tos, options=inside.options)

    def _stt(self, outer: Outer, entries: list[Terminate], now: float) -> Delivery | None:
        """One fragment of a frame; which vnet it is for stands in the first one only."""
        one = stt.fragment(outer)
        if not any(entry.remote in (None, outer.source) for entry in entries):
            raise Dropped("unknown_peer")
        if one.offset == 0 and find(entries, stt.frame_header(one.data).context, outer.source) is None:
            raise SlowPath("not_terminated")
        whole = self.frames.add(one, now)
        if whole is None:
            return None
        header = stt.frame_header(whole.data)
        entry = find(entries, header.context, outer.source)
        assert entry is not None, "its first fragment was let in"
        try:
            return self._deliver(whole.data[STT_HEADER:], entry, outer, whole.tos, packets=whole.packets, header=header)
        except Dropped as dropped:  # the frame's other packets go with this one
            self._lost(str(dropped), whole.packets - 1)
            raise

    def _deliver(
        self,
        frame: bytes,
        entry: Terminate,
        outer: Outer,
        tos: int,
        *,
        packets: int = 1,
        header: stt.FrameHeader = stt.NO_HEADER,
        options: bytes = b"",
    ) -> Delivery:
        """Verify the inner checksums as they came, then bring the outer header's ECN and DSCP in."""
        headers = parse(frame)
        l4_checksum = verify.inner_l4(headers, header.partial)
        cut = needs_cutting(headers, header.mss) and l4_checksum != verify.BAD
        return Delivery(
            ecn.arrive(headers, tos, uniform=entry.dscp == "uniform"),
            entry.vnet,
            packets=packets,
            entry=entry,
            source=outer.source,
            tunnel=self.settings.tunnel_of(entry, outer.source),
            options=options,
            tag=header.tag,
            ip_checksum=verify.inner_ip(headers),
            l4_checksum=l4_checksum,
            gso_size=header.mss if cut else 0,
        )

    def _count_sequence(self, outer: Outer, inside: Inside) -> None:
        """RFC 2890: out of order is a number not above the last, modulo 2^32. It is counted, never enforced."""
        if inside.sequence is None:
            return
        flow = (outer.source, outer.destination, inside.key)
        if flow in self.sequence and not 0 < (inside.sequence - self.sequence[flow]) & 0xFFFFFFFF < 1 << 31:
            self.counters["out_of_order"] += 1
        else:
            self.sequence[flow] = inside.sequence


def tunnelled(outer: Outer) -> tuple[str, ...]:
    """The encapsulations that a packet to one of our addresses may be; none if it is no tunnel's.

    A fragment may be any tunnel's: the ports stand in the first one only.
    """
    if outer.protocol == GRE:
        return ("gre", "nvgre")
    if outer.fragment and outer.protocol in (TCP, UDP):
        return ("vxlan", "geneve", "stt")
    if outer.protocol in (TCP, UDP) and outer.l4 + 4 <= len(outer.packet):
        return BY_PORT.get((outer.protocol, word(outer.packet, outer.l4 + 2)), ())
    return ()
