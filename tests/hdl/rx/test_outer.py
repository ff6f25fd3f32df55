"""The outer parser against the reference model: reasons, where the inner frame lies, chunks that tell the same."""

import os
from collections import defaultdict
from dataclasses import replace
from random import Random

import pytest
from amaranth import Value
from amaranth.sim import Simulator

from driver.receive import match_rows
from hdl.registers.receive import Encapsulation, RxReason
from hdl.registers.rx_tables import FOLD_FIELDS, OPTION_FIELDS, fold
from hdl.rx.layouts import chunk_rows
from hdl.rx.outer import OuterParse
from hdl.stream.paced_fifo import PACKET_PACE
from sim.model.card import Card
from sim.model.receive import decapsulate, stt
from sim.model.receive.outer import read
from sim.model.receive.reasons import Dropped, SlowPath
from sim.model.receive.receiver import Receiver, tunnelled
from sim.model.receive.terminate import Settings
from tests.support.frames import samples, udp_frame
from tests.support.mutations import made_right, mutate, with_ip_options
from tests.support.networks import MIXED, MIXED_TUNNELS, OPTIONS, TUNNELS, network
from tests.support.receivers import KNOWN, far_end

SEED = int(os.environ.get("SEED", "1"))
PACKETS = int(os.environ.get("PACKETS", "150"))
KINDS = ("gre", "vxlan", "geneve", "stt")
LOOKED_UP = ("unknown_peer", "udp_checksum_missing", "gre_flags")

ENTRIES = list(
    {
        (one.encapsulation, one.local, one.key): one for one in (far_end(TUNNELS[name]) for name in MIXED_TUNNELS)
    }.values()
)
LOCALS = list(dict.fromkeys(entry.local for entry in ENTRIES))


def packets(rng, count):
    """What tunnels send, some of it broken, and what no tunnel sends."""
    card, made = Card(MIXED), []
    for sample in samples(SEED, 10 * count):
        vport = rng.randrange(len(MIXED.vports))
        sent = card.transmit(sample.frame, vport=vport, gso_size=sample.gso_size, accecn=sample.accecn)
        for packet in rng.sample(sent, min(len(sent), 3)):
            made.append(packet if rng.random() < 0.5 else mutate(rng, packet))
            while rng.random() < 0.2:  # at the pace of the shortest there are
                made.append(packet[: rng.randint(1, 80)])
        if len(made) >= count:
            break
    return [packet[:9300] if packet else b"\0" for packet in [*made, *moved()]]


def moved():
    """Geneve's options at every place that the outer header's own options can move them to."""
    frame, made = udp_frame(4, b"moved"), []
    for options in (OPTIONS, OPTIONS[16:] + OPTIONS[:16]):  # the second of its two first
        (packet,) = Card(network(replace(TUNNELS["geneve-v4-options"], options=options))).transmit(frame)
        made += [made_right(with_ip_options(packet, words, b"\1" * 4 * words)) for words in range(11)]
    return made


def option_digests(sent, facts):
    """By Geneve's options, as bytes: what the parser tells them apart by."""
    found = defaultdict(set)
    for packet, fact in zip(sent, facts, strict=True):
        if fact.tunnelled and not fact.reason and tunnelled(outer := read(packet)) == ("geneve",):
            found[decapsulate.geneve(outer).options].add(fact.options)
    return found


def expected(packet):
    """(reason or None, inner bytes or None) by the model's own functions, without any key being looked up."""
    receiver = Receiver(Settings(ENTRIES, options=KNOWN, slow_path=True))
    if len(packet) < 14:
        return "runt", None
    if len(packet) > 9238:
        return "oversize", None
    outer = read(packet)
    if outer is None or outer.destination not in receiver.local or not (kinds := tunnelled(outer)):
        return None, packet
    try:
        if outer.lies:
            raise Dropped("outer_length")
        if not decapsulate.verify.outer_ip(outer):
            raise Dropped("ip_checksum")
        if outer.fragment:
            raise SlowPath("outer_fragment")
        if not receiver.settings.ends_here(kinds, outer.destination):
            raise SlowPath("not_terminated")
        if kinds == ("stt",):
            one = stt.fragment(outer)
            if one.offset:
                return None, None
            stt.frame_header(one.data)
            return None, one.data[18:]
        inside = {"gre": decapsulate.gre, "vxlan": decapsulate.vxlan, "geneve": decapsulate.geneve}[kinds[0]](outer)
        options = decapsulate.geneve_options(inside.options)
        if any(kind & 0x80 and (group, kind) not in KNOWN for group, kind in options):
            raise Dropped("geneve_critical")
        return None, inside.frame
    except (Dropped, SlowPath) as reason:
        return str(reason), None


def asks(request, packet, fact, reason, where):
    """Whose a packet is: what of it the tables look at."""
    assert fact.tunnelled == (request.kind != 0), where
    vlan = packet[12:14] in (b"\x81\x00", b"\x88\xa8") and len(packet) >= 18
    if not fact.tunnelled and len(packet) >= 14:
        assert request.tagged == vlan, where
        assert not vlan or request.vid == int.from_bytes(packet[14:16], "big") & 0xFFF, where
    if not fact.tunnelled or reason:
        return
    outer = read(packet)
    kinds = tunnelled(outer)
    assert LOCALS[request.local] == outer.destination, where
    assert request.source == int(outer.source) and request.ipv6 == (outer.source.version == 6), where
    assert request.kind == Encapsulation[{"nvgre": "gre"}.get(kinds[0], kinds[0]).upper()], where
    assert request.asked == (kinds != ("stt",) or fact.zero), where
    if fact.zero:
        assert request.key == int.from_bytes(stt.fragment(outer).data[8:16], "big"), where
    if kinds != ("stt",):
        inside = {"gre": decapsulate.gre, "vxlan": decapsulate.vxlan, "geneve": decapsulate.geneve}[kinds[0]](outer)
        key = getattr(inside, "key", None)
        assert (request.key if request.has_key else None) == key, where


@pytest.mark.parametrize("width", [8, 64])
def test_outer(width):
    rng = Random(SEED + width)
    sent = packets(rng, PACKETS)
    dut = OuterParse(width)
    seen, facts, chunks, order, requests = [], [], [], [], []
    again = f"repeat with: SEED={SEED} PACKETS={PACKETS} pytest 'tests/hdl/rx/test_outer.py::test_outer[{width}]'"

    async def drive(ctx):
        for number, address in enumerate(LOCALS):
            ctx.set(dut.local_write.valid, 1)
            ctx.set(dut.local_write.row, number)
            ends = {entry.encapsulation.replace("nvgre", "gre") for entry in ENTRIES if entry.local == address}
            row = {"valid": 1, "ipv6": address.version == 6, "address": int(address)}
            ctx.set(dut.local_write.entry, row | {kind: kind in ends for kind in KINDS})
            await ctx.tick()
        ctx.set(dut.local_write.valid, 0)
        folds = match_rows(FOLD_FIELDS, {number: fold(int(address)) for number, address in enumerate(LOCALS)})
        known = {number: group << 8 | kind for number, (group, kind) in enumerate(sorted(KNOWN))}
        for port, rows in ((dut.folds_write, folds), (dut.options_write, match_rows(OPTION_FIELDS, known))):
            for number, row in rows.items():
                ctx.set(port.valid, 1)
                ctx.set(port.row, number)
                ctx.set(Value.cast(port.entry), row)
                await ctx.tick()
            ctx.set(port.valid, 0)
        since = 0  # cycles since a packet's last beat
        for packet in sent:
            for at in range(0, len(packet), width):
                last = at + width >= len(packet)
                while rng.random() < 0.1 or (last and since < PACKET_PACE[width] - 1):
                    since += 1
                    ctx.set(dut.i_valid, 0)
                    await ctx.tick()
                piece = packet[at : at + width]
                data = int.from_bytes(piece + b"\xa5" * (width - len(piece)), "little")
                ctx.set(dut.i, {"data": data, "bytes": len(piece), "last": last})
                ctx.set(dut.i_valid, 1)
                await ctx.tick()
                since = 0 if last else since + 1
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(80)

    async def watch(ctx):
        while True:
            await ctx.tick()
            if ctx.get(dut.beat_valid):
                beat = ctx.get(dut.beat)
                seen.append((beat.first, beat.last, beat.switch, beat.lane, beat.length))
            if ctx.get(dut.order_valid):
                order.append(ctx.get(dut.order))
            if ctx.get(dut.chunk_valid):
                chunks.append(ctx.get(dut.chunk))
            if ctx.get(dut.request_valid):
                requests.append((len(facts), ctx.get(dut.request)))
            if ctx.get(dut.facts_valid):
                facts.append(ctx.get(dut.facts))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()

    assert len(facts) == len(order) == len(requests) == len(sent), again
    digests = option_digests(sent, facts)
    assert all(len(found) == 1 for found in digests.values()), f"{digests}: the same options differ. {again}"
    assert len(set.union(*digests.values())) == len(digests) > 1, f"{digests}: different options do not. {again}"
    row, beat = 0, 0
    for number, (packet, fact) in enumerate(zip(sent, facts, strict=True)):
        where = f"packet {number}: {packet[:150].hex()} ({len(packet)} bytes). {again}"
        rows = -(-len(packet) // width)
        assert (fact.row, fact.end_row) == (row, row + rows), where
        reason, inner = expected(packet)
        mine = seen[beat : beat + rows]
        assert mine[0][0] and mine[-1][1] and not any(one[0] for one in mine[1:]), where
        switches = [(index, one[3], one[4]) for index, one in enumerate(mine) if one[2]]
        assert len(switches) <= 1, where
        got = RxReason(fact.reason).name.lower() if fact.reason else None
        if fact.chunked:
            assert order[number] == 1, where
            own = [chunks.pop(0)]
            while not own[-1].last:
                own.append(chunks.pop(0))
            assert own[0].first and not any(one.first for one in own[1:]), where
            code = own[-1].verdict or own[0].reason
            got = RxReason(code).name.lower() if code else None
            first, step = chunk_rows(width)
            assert len(own) == (1 if rows <= first else 1 + -(-(rows - first) // step)), where
            if not code:
                outer = read(packet)
                data = outer.body[4 * (outer.body[12] >> 4) :]
                came = b"".join(packet[(one.row - row) * width + one.lane :][: one.length] for one in own)
                assert came == data and own[0].size == len(data), where
        else:
            assert order[number] == 0, where
        assert got == reason, f"{got}, not {reason}. {where}"
        before, request = requests[number]
        asks(request, packet, fact, reason, where)
        assert before <= number, where  # it comes before the facts of its packet
        if reason is None and fact.tunnelled and (not fact.chunked or fact.zero):
            at = switches[0][0] * width + switches[0][1]
            assert at == fact.start and packet[at : at + len(inner)] == inner, where
            if not fact.chunked:
                assert fact.inner_length == switches[0][2] == len(inner), where
        if reason is None and not fact.tunnelled:
            assert not switches and fact.start == 0 and fact.inner_length == len(packet), where
        row, beat = row + rows, beat + rows
    assert not chunks, again
