"""The synthesis wrapper: every input bit changes with the pin, every output bit reaches it."""

from amaranth import Module
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from boards.wrapper import Wrapper

BITS = 23


class Echo(wiring.Component):
    """Outputs are its inputs."""

    def __init__(self, passed: int):
        self.passed = passed
        super().__init__({"i": In(BITS), "o": Out(BITS)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i & self.passed)
        return m


def answers(passed: int, cycles: int = 80) -> list[int]:
    """What comes out after a single 1 has gone in."""
    wrapper = Wrapper(Echo(passed))
    seen = []

    async def bench(ctx):
        ctx.set(wrapper.serial_in, 1)
        await ctx.tick()
        ctx.set(wrapper.serial_in, 0)
        for _ in range(cycles):
            await ctx.tick()
            seen.append(ctx.get(wrapper.serial_out))

    simulator = Simulator(wrapper)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def test_every_bit_in_and_out_counts() -> None:
    """A 1 that walks through the inputs is seen at the output once for each bit that the block passes on."""
    assert sum(answers((1 << BITS) - 1)) == BITS
    for bit in range(BITS):
        assert sum(answers(1 << bit)) == 1


def test_it_converts() -> None:
    """The wrapper is synthesisable with its two pins."""
    wrapper = Wrapper(Echo(1))
    assert "serial_out" in rtlil.convert(wrapper, name="top", ports=[wrapper.serial_in, wrapper.serial_out])
