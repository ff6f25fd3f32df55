"""The flow hash against Python's CRC."""

from binascii import crc_hqx
from functools import reduce
from operator import xor
from random import Random
from struct import pack

from amaranth import Module, Signal
from amaranth.sim import Simulator

from hdl.net.flow import (
    DESTINATION_PORT,
    DESTINATION_SUM,
    PROTOCOL,
    SOURCE_PORT,
    SOURCE_SUM,
    START,
    constant_part,
    part,
)


def test_parts_make_the_crc():
    random = Random(1)
    offsets = (SOURCE_SUM, DESTINATION_SUM, SOURCE_PORT, DESTINATION_PORT)
    words = [Signal(16, name=f"word_{offset}") for offset in offsets]
    total = Signal(16)
    m = Module()
    m.d.comb += total.eq(reduce(xor, map(part, words, offsets)))
    simulator = Simulator(m)

    async def bench(ctx):
        for protocol in (0, 6, 17, 255):
            for _ in range(50):
                values = [random.getrandbits(16) for _ in offsets]
                for word, value in zip(words, values, strict=True):
                    ctx.set(word, value)
                got = ctx.get(total) ^ START ^ constant_part(protocol, PROTOCOL)
                assert got == crc_hqx(pack("!4HB", *values, protocol), 0xFFFF)

    simulator.add_testbench(bench)
    simulator.run()
