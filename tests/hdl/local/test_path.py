"""Frames into another vport's memory: bytes and record as the reference model has them, whatever pauses."""

import os
import random

import pytest

from hdl.local.path import LocalPath
from hdl.registers.receive import ChecksumStatus, RxReason
from sim.model.card import hand_over
from sim.model.parse import parse
from sim.model.receive.delivery import GSO_NONE, GSO_TCPV4, GSO_TCPV6, Delivery
from tests.hdl.stream.drive import beats, receive, repeat, run, send
from tests.support.frames import samples, tcp_frame

SEED = int(os.environ.get("SEED", "1"))
FRAMES = int(os.environ.get("FRAMES", "30"))
HANDLES = [3, 0xFFFF, 700, 12]


def as_delivery(frame: bytes, up) -> Delivery:
    """The card's record as the model writes it."""
    return Delivery(
        frame,
        tuple(vport for vport in range(64) if up.vports >> vport & 1),
        up.vnet,
        packets=up.packets,
        queue=up.queue,
        hash=up.hash,
        gso_size=up.gso_size,
        gso_type=(GSO_TCPV6 if up.tcpv6 else GSO_TCPV4) if up.gso_size else GSO_NONE,
        ip_checksum=ChecksumStatus(up.ip_status).name.lower(),
        l4_checksum=ChecksumStatus(up.l4_status).name.lower(),
        cut=bool(up.cut),
    )


# the compiled card has the other widths (`tests/path/test_local.py`)
@pytest.mark.parametrize("width, pauses", [(16, (0.4, 0.3, 0.6, 0.5)), (32, (0.0, 0.0, 0.3, 0.0))])
def test_hands_over(width, pauses):
    """Good and hostile frames, each fourth with a descriptor that lies; four buffers, given back as frames arrive."""
    again = repeat("tests/hdl/local/test_path.py", f"{SEED}, {width}, {pauses}")
    rng = random.Random(str((SEED, width, pauses)))
    dut = LocalPath(width)
    sent = [(sample.frame, sample.gso_size) for sample in samples(SEED + width, FRAMES, largest=1500)]
    sent = [(frame, gso_size) for frame, gso_size in sent if 14 <= len(frame) <= 900]  # shorter ones do not come here
    sent += [(tcp_frame(4, rng.randbytes(size)), 300) for size in (299, 300, 301, 1000)]
    rng.shuffle(sent)
    # by whole beats: a frame's last beat does not say where in it the data ends
    lies = [width * rng.choice([-3, -1, 1, 3]) if rng.random() < 0.25 else 0 for _ in sent]
    lies = [lie if len(frame) + lie >= 14 else 0 for lie, (frame, _) in zip(lies, sent, strict=True)]
    targets = [
        {"local": 1, "vport": rng.randrange(64), "vnet": rng.randrange(64), "receive_mtu": rng.choice([500, 0x1FFFF])}
        for _ in sent
    ]
    memory = {handle: bytearray() for handle in HANDLES}
    free, card, done = list(HANDLES), [], []

    def items():
        for (frame, gso_size), lie, to in zip(sent, lies, targets, strict=True):
            meta = {"vport": 1, "length": len(frame) + lie, "gso_size": gso_size}
            lines = beats(frame, width)
            for at, line in enumerate(lines):
                yield {"data": line, "last": at == len(lines) - 1, "meta": meta, "target": to}

    async def source(ctx):
        await send(ctx, dut.i, items(), rng=rng, pause=pauses[0])

    async def buffers(ctx):
        while len(done) < len(sent):
            if not free or rng.random() < pauses[1]:
                await ctx.tick()
                continue
            handle = free.pop()
            ctx.set(dut.buffer.payload, handle)
            ctx.set(dut.buffer.valid, 1)
            memory[handle].clear()
            card.append(handle)
            *_, ready = await ctx.tick().sample(dut.buffer.ready)
            while not ready and len(done) < len(sent):
                *_, ready = await ctx.tick().sample(dut.buffer.ready)
            ctx.set(dut.buffer.valid, 0)

    async def placements(ctx):
        expected = None  # handle and offset of the placement under way
        while len(done) < len(sent):
            ready = rng.random() >= pauses[2]
            ctx.set(dut.place.ready, ready)
            _, _, valid, beat = await ctx.tick().sample(dut.place.valid, dut.place.payload)
            if not (valid and ready):
                continue
            at = (beat.handle, beat.offset)
            assert expected in (None, at), again
            assert beat.handle in card, again
            assert beat.bytes == width if not beat.last else 1 <= beat.bytes <= width, again
            buffer = memory[beat.handle]
            assert beat.offset <= len(buffer), f"a hole; {again}"
            buffer[beat.offset : beat.offset + beat.bytes] = beat.data.to_bytes(width, "little")[: beat.bytes]
            expected = None if beat.last else (beat.handle, beat.offset + width)

    async def deliveries(ctx):
        def keep(_, up):
            (frame, gso_size), lie, to = (every[len(done)] for every in (sent, lies, targets))
            card.remove(up.handle)
            done.append(up.handle)
            assert up.claimed, again
            assert up.reason == (RxReason.OUTER_LENGTH if lie else RxReason.NONE), f"frame {len(done)}; {again}"
            if not lie:
                got = as_delivery(bytes(memory[up.handle][: up.length]), up)
                want = hand_over(parse(frame), to["vport"], to["vnet"], gso_size, to["receive_mtu"])
                assert got == want, f"frame {len(done)}; {again}"
            free.append(up.handle)
            return len(done) == len(sent)

        await receive(ctx, dut.delivery, keep, rng=rng, pause=pauses[3], limit=100_000)

    run(dut, source, buffers, placements, deliveries)
    assert any(lies)
