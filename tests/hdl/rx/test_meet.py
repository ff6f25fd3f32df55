"""What both parsers and the tables say comes together in one record, in order."""

import random

import pytest

from hdl.registers.receive import SLOW, RxReason
from hdl.rx.meet import INNER_PACE, Meet
from tests.hdl.stream.drive import repeat, run

SEED = 41
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
DECAPSULATE = {  # inner, outer (RFC 6040, figure 4); None: drop
    **{(NOT_ECT, outer): NOT_ECT for outer in (NOT_ECT, ECT0, ECT1)},
    (NOT_ECT, CE): None,
    **{(ECT0, outer): outer if outer else ECT0 for outer in (NOT_ECT, ECT0, ECT1, CE)},
    **{(ECT1, outer): ECT1 for outer in (NOT_ECT, ECT0, ECT1)},
    (ECT1, CE): CE,
    **{(CE, outer): CE for outer in (NOT_ECT, ECT0, ECT1, CE)},
}


def one(rng, width):
    """A packet as the parsers and the tables describe it, and what is to come of it."""
    tunnelled = rng.random() < 0.8
    chunked = tunnelled and rng.random() < 0.3
    own = rng.choice([0] * 8 + [*SLOW, RxReason.UDP_CHECKSUM, RxReason.GENEVE_CRITICAL]) if not chunked else 0
    tables = rng.choice([0] * 8 + [RxReason.NOT_TERMINATED, RxReason.UNKNOWN_PEER])
    start = 2 * rng.randint(20, 200) if tunnelled else 0
    outer = {
        "tunnelled": tunnelled,
        "reason": own,
        "row": rng.getrandbits(16),
        "end_row": rng.getrandbits(16),
        "length": rng.randint(400, 1514),
        "start": start,
        "l3": rng.choice([14, 18, 22]),
        "chunked": chunked,
        "zero": chunked and rng.random() < 0.5,
        "inner_length": rng.randint(14, 1000),
        "origin": rng.getrandbits(32),
        "options": rng.getrandbits(32),
        "tos": rng.getrandbits(8),
        "stt": {"mss": rng.getrandbits(16)},
    }
    termination = {
        "reason": tables,
        "vnet": rng.getrandbits(6),
        "entry": rng.getrandbits(6),
        "uniform": rng.randrange(2),
        "nvgre": rng.random() < 0.2,
    }
    to = {"known": rng.randrange(2), "vport": rng.getrandbits(6)}
    inner = {
        "runt": rng.random() < 0.1,
        "tags": rng.choice([0, 0, 1, 2]),
        "has_ip": rng.random() < 0.8,
        "tos": rng.getrandbits(8),
        "hash": rng.getrandbits(32),
    }
    return outer, termination, to, inner


def expected(packet, width):
    outer, termination, to, inner = packet
    own, reason, tos = outer["reason"], termination["reason"], inner["tos"]
    if outer["chunked"]:
        if not outer["zero"]:
            return None
        return "facts", reason, termination["vnet"], to["vport"], outer["stt"]["mss"], inner["hash"]
    if own and (own != RxReason.GENEVE_CRITICAL or not reason):
        reason = own
    given, tunnelled = reason, outer["tunnelled"]
    ecn = DECAPSULATE[tos & 3, outer["tos"] & 3]
    if tunnelled and inner["has_ip"]:
        tos = (outer["tos"] if termination["uniform"] else tos) & 0xFC | (ecn or 0)
    else:
        ecn = 0
    if not reason and tunnelled:
        if inner["runt"]:
            reason = RxReason.RUNT
        elif termination["nvgre"] and inner["tags"]:
            reason = RxReason.INNER_VLAN
        elif ecn is None:
            reason = RxReason.ECN
    whole = not tunnelled or given
    at = (outer["row"], 0, outer["length"])
    if not whole:
        at = ((outer["row"] + outer["start"] // width) & 0xFFFF, outer["start"] % width, outer["inner_length"])
    origin = outer["origin"] ^ termination["entry"] if tunnelled else 0
    tos = None if reason == RxReason.ECN else tos
    return "packet", reason, reason in SLOW, *at, tos, origin, to["vport"], inner["hash"]


@pytest.mark.parametrize("width", [8, 16, 64])
def test_meet(width):
    """The outer parser's facts, the tables' answers and the address's come before the inner facts, at any time."""
    rng, dut = random.Random(SEED + width), Meet(width=width)
    traffic = [one(rng, width) for _ in range(400)]
    want = [found for found in (expected(packet, width) for packet in traffic) if found]
    got = []

    async def source(ctx):
        for outer, termination, to, inner in traffic:
            for stream, value in ((dut.outer, outer), (dut.termination, termination), (dut.to, to)):
                ctx.set(stream.payload, value)
                ctx.set(stream.valid, 1)
            ctx.set(dut.inner, inner)
            ctx.set(dut.inner_valid, 1)
            assert ctx.get(dut.outer.ready) and ctx.get(dut.termination.ready) and ctx.get(dut.to.ready)
            assert ctx.get(dut.chunked) == outer["chunked"]
            await ctx.tick()
            ctx.set(dut.inner_valid, 0)
            for _ in range(INNER_PACE[width] - 1 + rng.choice((0, 0, 3))):
                await ctx.tick()

    async def sink(ctx):
        while len(got) < len(want):
            *_, is_packet, p, is_facts, f = await ctx.tick().sample(
                dut.packet_valid, dut.packet, dut.facts_valid, dut.facts
            )
            if is_facts:
                facts.append(("facts", f.reason, f.vnet, f.to.vport, f.stt.mss, f.inner.hash))
            if is_packet:
                tos = None if p.reason == RxReason.ECN else p.tos
                at = p.row, p.lane, p.length
                packets.append(("packet", p.reason, p.slow, *at, tos, p.origin, p.to.vport, p.inner.hash))
            got[:] = packets + facts

    packets, facts = [], []
    run(dut, source, sink)
    for kind, found in (("packet", packets), ("facts", facts)):
        assert found == [one for one in want if one[0] == kind], repeat("tests/hdl/rx/test_meet.py", SEED)
