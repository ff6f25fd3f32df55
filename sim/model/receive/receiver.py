"""The receive side of the card: packets off the wire in, frames for vnets out.

::

                          ┌ no tunnel to one of our addresses ── the vnet of the uplink, or of its VLAN
    packet ── whose is it ┼ a fragment, or a tunnel that nobody ends here ── the slow path, as it came
                          ├ GRE, NVGRE, VXLAN, Geneve ── one frame
                          └ STT ── held until its frame is whole ── one frame

An STT frame says whose it is in its first fragment only, which may come last: all fragments are taken in, and a frame
that nobody ends goes as a whole, all its packets under that reason.
"""

from sim.model.encapsulate import GENEVE_PORT, GRE, VXLAN_PORT
from sim.model.parse import ETHERNET, TCP, UDP, parse, word
from sim.model.receive import decapsulate, ecn, stt, verify
from sim.model.receive.decapsulate import CRITICAL, geneve_options
from sim.model.receive.outer import Outer, read, vlan
from sim.model.receive.reasons import DROPS, SLOW, Dropped, SlowPath
from sim.model.receive.reassemble import Reassembler, Whole
from sim.model.receive.received import Received
from sim.model.receive.rss import receive_hash
from sim.model.receive.terminate import Settings, Terminate, find
from sim.model.segment import needs_cutting
from sim.model.slots import SecondChance
from sim.model.stt import PORT as STT_PORT
from sim.model.stt import STT_HEADER

BY_PORT = {(UDP, VXLAN_PORT): ("vxlan",), (UDP, GENEVE_PORT): ("geneve",), (TCP, STT_PORT): ("stt",)}
LONGEST = 22 + 9216  # bytes of a packet off the wire: two VLAN tags and the largest MTU
UNWRAP = {"gre": decapsulate.gre, "vxlan": decapsulate.vxlan, "geneve": decapsulate.geneve}


class Receiver:
    """The path with its configuration, its open frames and its counters.

    Counters are of packets: packets_in = packets_delivered + all slow.<reason> + all drop.<reason> + `held`. Without a
    slow path its reasons are counted as drops. Beside these: frames_delivered.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.local = {entry.local for entry in settings.terminate}
        slots = SecondChance(settings.contexts, settings.share, strict=settings.class_contexts is not None)
        self.frames = Reassembler(slots, settings.timeout, settings.holes, self._lost)
        self.last_reason: str | None = None
        names = ("packets_in", "packets_delivered", "frames_delivered")
        reasons = (*(f"slow.{name}" for name in SLOW), *(f"drop.{name}" for name in (*SLOW, *DROPS)))
        self.counters = dict.fromkeys((*names, *reasons), 0)

    @property
    def held(self) -> int:
        """Packets that wait for the rest of their frame."""
        return self.frames.held

    def expire(self, now: float) -> None:
        """Let time pass without a packet."""
        self.frames.expire(now)

    def receive(self, packet: bytes, now: float = 0.0) -> Received | None:
        """What comes of a packet: a frame, or nothing if it is held or dropped (`last_reason`, None while held).

        `now` is the time in seconds, never less than before.
        """
        self.counters["packets_in"] += 1
        self.last_reason = None
        self.expire(now)
        try:
            received = self._process(bytes(packet), now)
        except SlowPath as slow:
            self.last_reason = str(slow)
            self.counters[f"{'slow' if self.settings.slow_path else 'drop'}.{slow}"] += 1
            return Received(bytes(packet), None, slow=str(slow)) if self.settings.slow_path else None
        except Dropped as dropped:
            self.last_reason = str(dropped)
            self.counters[f"drop.{dropped}"] += 1
            return None
        if received is not None:
            self.counters["frames_delivered"] += 1
            self.counters["packets_delivered"] += received.packets
        return received

    def _lost(self, reason: str, packets: int) -> None:
        self.counters[f"drop.{reason}"] += packets

    def _process(self, packet: bytes, now: float) -> Received | None:
        if len(packet) < ETHERNET:
            raise Dropped("runt")
        if len(packet) > LONGEST:
            raise Dropped("oversize")
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
        if encapsulations == ("stt",):
            return self._stt(outer, entries, now)
        return self._per_packet(outer, encapsulations, entries)

    def _untunnelled(self, packet: bytes) -> Received:
        """A frame of the vnet that the uplink, or its VLAN, is mapped to; tags stay on it, as they do on transmit."""
        uplink = self.settings.uplink
        vnet = uplink.get(vlan(packet), uplink.get(None))
        if vnet is None:
            raise SlowPath("not_terminated")
        headers = parse(packet)
        return Received(
            packet,
            vnet,
            ip_checksum=verify.inner_ip(headers),
            l4_checksum=verify.inner_l4(headers),
            hash=receive_hash(headers),
        )

    def _per_packet(self, outer: Outer, encapsulations: tuple[str, ...], entries: list[Terminate]) -> Received:
        """GRE, NVGRE, VXLAN, Geneve: every packet is a frame."""
        inside = UNWRAP[encapsulations[0]](outer)
        entry = find(entries, inside.key, outer.source)
        if entry is None:
            raise SlowPath("not_terminated")
        if entry.requires_udp_checksum and not inside.has_checksum:
            raise Dropped("udp_checksum_missing")
        if entry.encapsulation == "nvgre" and (inside.has_checksum or inside.has_sequence):
            raise Dropped("gre_flags")
        options = geneve_options(inside.options)
        if any(kind & CRITICAL and (group, kind) not in self.settings.options for group, kind in options):
            raise Dropped("geneve_critical")
        if len(inside.frame) < ETHERNET:
            raise Dropped("runt")
        if entry.encapsulation == "nvgre" and parse(inside.frame).tags:
            raise Dropped("inner_vlan")
        headers = parse(inside.frame)
        return Received(
            ecn.arrive(headers, outer.tos, uniform=entry.dscp == "uniform"),
            entry.vnet,
            entry=entry,
            source=outer.source,
            tunnel=self.settings.tunnel_of(entry, outer.source),
            outer=outer.l4 - outer.l3 + inside.before,
            options=inside.options,
            ip_checksum=verify.inner_ip(headers),
            l4_checksum=verify.inner_l4(headers),
            hash=receive_hash(headers),
        )

    def _stt(self, outer: Outer, entries: list[Terminate], now: float) -> Received | None:
        """One fragment of a frame."""
        one = stt.fragment(outer)
        if one.offset == 0:
            stt.frame_header(one.data)
        whole = self.frames.add(one, now)
        if whole is None:
            return None
        try:
            return self._whole(whole, entries, outer)
        except Dropped as dropped:  # the frame's other packets go with this one
            self._lost(str(dropped), whole.packets - 1)
            raise

    def _whole(self, whole: Whole, entries: list[Terminate], outer: Outer) -> Received:
        """An STT frame; its headers are looked for in the first fragment only."""
        header = stt.frame_header(whole.data)
        entry = find(entries, header.context, outer.source)
        if entry is None:
            raise Dropped("not_terminated")
        headers = parse(whole.data[STT_HEADER:], whole.first - STT_HEADER)
        l4_checksum = verify.stt_l4(headers, header.partial, whole.packets)
        cut = needs_cutting(headers, header.mss) and l4_checksum != verify.BAD
        return Received(
            ecn.arrive(headers, whole.tos, uniform=entry.dscp == "uniform"),
            entry.vnet,
            packets=whole.packets,
            entry=entry,
            source=outer.source,
            tunnel=self.settings.tunnel_of(entry, outer.source),
            tag=header.tag,
            ip_checksum=verify.inner_ip(headers),
            l4_checksum=l4_checksum,
            gso_size=header.mss if cut else 0,
            hash=receive_hash(headers),
        )


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
