"""What both parsers and the tables say comes together in one record, in order."""

import random

import pytest

from hdl.registers.receive import SLOW, Encapsulation, RxReason
from hdl.rx.meet import Meet
from tests.hdl.stream.drive import repeat, run, send

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
    reason = rng.choice([0] * 6 + [*SLOW, RxReason.UDP_CHECKSUM, RxReason.UNKNOWN_PEER])
    start = 2 * rng.randint(20, 200) if tunnelled else 0
    outer = {
        "kind": Encapsulation.GRE if tunnelled else Encapsulation.BARE,
        "row": rng.getrandbits(16),
        "end_row": rng.getrandbits(16),
        "length": rng.randint(400, 1514),
        "start": start,
        "l3": rng.choice([14, 18, 22]),
        "chunked": chunked,
        "zero": chunked and rng.random() < 0.5,
        "inner_length": rng.randint(14, 1000),
        "source": rng.choice([rng.getrandbits(32), rng.getrandbits(128)]),
        "options": rng.getrandbits(32),
        "tos": rng.getrandbits(8),
        "stt": {"mss": rng.getrandbits(16)},
    }
    termination = {
        "reason": reason,
        "vnet": rng.getrandbits(6),
        "entry": rng.getrandbits(6),
        "uniform": rng.randrange(2),
        "nvgre": rng.random() < 0.2,
        "tunnelled": tunnelled,
        "outer": outer,
    }
    inner = {
        "runt": rng.random() < 0.1,
        "tags": rng.choice([0, 0, 1, 2]),
        "has_ip": rng.random() < 0.8,
        "tos": rng.getrandbits(8),
        "hash": rng.getrandbits(32),
    }
    return termination, inner


def expected(termination, inner, width):
    outer, reason, tos = termination["outer"], termination["reason"], inner["tos"]
    if outer["chunked"]:
        if not outer["zero"]:
            return None
        return "facts", reason, termination["vnet"], outer["stt"]["mss"], inner["hash"]
    ecn = DECAPSULATE[tos & 3, outer["tos"] & 3]
    if termination["tunnelled"] and inner["has_ip"]:
        tos = (outer["tos"] if termination["uniform"] else tos) & 0xFC | (ecn or 0)
    else:
        ecn = 0
    if not reason and termination["tunnelled"]:
        if inner["runt"]:
            reason = RxReason.RUNT
        elif termination["nvgre"] and inner["tags"]:
            reason = RxReason.INNER_VLAN
        elif ecn is None:
            reason = RxReason.ECN
    elif not reason and termination["nvgre"] and inner["tags"]:
        reason = RxReason.INNER_VLAN
    whole = not termination["tunnelled"] or termination["reason"]
    at = (outer["row"], 0, outer["length"])
    if not whole:
        at = ((outer["row"] + outer["start"] // width) & 0xFFFF, outer["start"] % width, outer["inner_length"])
    return "packet", reason, reason in SLOW, *at, None if reason == RxReason.ECN else tos, inner["hash"]


@pytest.mark.parametrize("width", [8, 64])
def test_meet(width):
    rng, dut = random.Random(SEED + width), Meet(width=width, one_at_a_time=width == 8)
    traffic = [one(rng, width) for _ in range(400)]
    want = [found for found in (expected(*both, width) for both in traffic) if found]
    got = []

    def sender(stream, items, seed):
        async def source(ctx):
            await send(ctx, stream, items, rng=random.Random(seed), pause=0.2)

        return source

    async def sink(ctx):
        pauses = random.Random(SEED)
        while len(got) < len(want):
            ctx.set(dut.go, pauses.random() < 0.8)
            *_, is_packet, p, is_facts, f = await ctx.tick().sample(
                dut.packet_valid, dut.packet, dut.facts_valid, dut.facts
            )
            assert not (is_packet and is_facts)
            if is_packet:
                tos = None if p.reason == RxReason.ECN else p.tos
                got.append(("packet", p.reason, p.slow, p.row, p.lane, p.length, tos, p.inner.hash))
            if is_facts:
                got.append(("facts", f.reason, f.vnet, f.stt.mss, f.inner.hash))

    run(
        dut,
        sender(dut.termination, [a for a, _ in traffic], SEED + 1),
        sender(dut.inner, [b for _, b in traffic], SEED + 2),
        sink,
    )
    assert got == want, repeat("tests/hdl/rx/test_meet.py", SEED)
