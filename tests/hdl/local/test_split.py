"""Every frame goes one way, whole and in order: to a vport of its own vnet, or to the wire."""

import random

import pytest

from driver.network import Network, ToVport
from driver.tables import local_rows, vport_rows
from hdl.local.split import Split
from hdl.registers.counters import MAXIMUM_FRAME
from hdl.registers.tables import Table
from tests.hdl.stream.drive import beats, receive, repeat, run, send

MACS = [bytes([2, 0, 0, 0, 0, number]) for number in range(8)]
NETWORK = Network(
    mac=bytes(6),
    mtu=1500,
    vports={0: 0, 1: 0, 2: 1, 3: 1, 4: 2},
    forwarding={
        (0, MACS[0]): ToVport(1),
        (0, MACS[1]): 0,
        (0, MACS[2]): "drop",
        (0, MACS[3]): ToVport(0),
        (1, MACS[0]): ToVport(3),
        (1, MACS[4]): "uplink",
        (1, None): ToVport(2),
        # whoever writes such a row: vports 3 and 9 are none of vnet 0
        (0, MACS[5]): ToVport(3),
        (0, MACS[6]): ToVport(9),
    },
    receive_mtu={1: 1500, 3: 0x1FFFF, 2: 68},
)


def target(vport: int, length: int, mac: bytes) -> int | None:
    """The vport that gets a frame, if one does."""
    vnet = NETWORK.vports.get(vport)
    if vnet is None or not 14 <= length <= MAXIMUM_FRAME:
        return None
    to = NETWORK.forwarding.get((vnet, mac), NETWORK.forwarding.get((vnet, None)))
    return to.vport if isinstance(to, ToVport) and NETWORK.vports.get(to.vport) == vnet else None


@pytest.mark.parametrize("width, pauses", [(8, (0.0, 0.0, 0.0)), (16, (0.3, 0.0, 0.6)), (64, (0.0, 0.6, 0.1))])
def test_split(width, pauses):
    """Also while rows are written again, as they are."""
    rng = random.Random(str((width, pauses)))
    dut = Split(width)
    rows = [write for write in (*vport_rows(NETWORK), *local_rows(NETWORK)) if write.data]
    frames = []
    for number in range(120):
        size = rng.choice([1, 13, 14, 14, width, 3 * width + 1, 100])
        data = rng.choice(MACS) + number.to_bytes(2, "big") + rng.randbytes(100)
        length = rng.choice([size, size, size, 65_600])  # what the descriptor says is what counts
        frames.append((data[:size], {"vport": rng.choice([0, 1, 2, 3, 4, 5]), "length": length, "gso_size": number}))
    sent = {"wire": [], "local": []}
    for data, meta in frames:
        to = target(meta["vport"], meta["length"], data[:6].ljust(6, b"\0"))
        sent["wire" if to is None else "local"].append((beats(data, width), meta, to))
    assert all(len(way) > 10 for way in sent.values())
    written = []

    async def write(ctx, row):
        ctx.set(dut.hold, 1)
        await ctx.tick().repeat(dut.latency + 4)
        ctx.set(dut.table, {"valid": 1, "table": row.table, "row": row.row, "data": row.data})
        await ctx.tick()
        ctx.set(dut.table.valid, 0)
        await ctx.tick()
        ctx.set(dut.hold, 0)

    async def source(ctx):
        for row in rows:
            await write(ctx, row)
        written.append(True)

        def items():
            for data, meta in frames:
                lines = beats(data, width)
                for at, line in enumerate(lines):
                    first = {"meta": meta} if at == 0 else {"meta": {"vport": rng.getrandbits(6), "length": 50}}
                    yield {"data": line, "last": at == len(lines) - 1, **first}

        await send(ctx, dut.i, items(), rng=rng, pause=pauses[0])

    async def again(ctx):
        while not written:
            await ctx.tick()
        for _ in range(20):
            await ctx.tick().repeat(rng.randrange(1, 60))
            await write(ctx, rng.choice(rows))

    def sink(name, pause):
        got, lines = [], []
        way = getattr(dut, name)

        async def take(ctx):
            while not written:
                await ctx.tick()

            def keep(_, beat):
                if not lines:
                    meta = {key: getattr(beat.meta, key) for key in ("vport", "length", "gso_size")}
                    to = None
                    if name == "local":
                        to = beat.target.vport
                        assert beat.target.local
                        assert beat.target.vnet == NETWORK.vports[to]
                        assert beat.target.receive_mtu == NETWORK.receive_mtu.get(to, 0x1FFFF)
                    got.append((lines.copy(), meta, to))
                lines.append(beat.data)
                if beat.last:
                    got[-1] = (lines.copy(), *got[-1][1:])
                    lines.clear()
                return beat.last and len(got) == len(sent[name])

            await receive(ctx, way, keep, rng=rng, pause=pause)
            assert got == sent[name], repeat("tests/hdl/local/test_split.py", (width, pauses))

        return take

    run(dut, source, again, sink("wire", pauses[1]), sink("local", pauses[2]))
    assert Table.LOCAL in {row.table for row in rows}
