"""A wrapper that keeps a block whole through synthesis: every input changes, every output counts."""

from amaranth import Cat, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring


class Wrapper(Elaboratable):
    """Registers in front of and behind a block, with four pins.

    ::

        serial_in ── shift register ── registers ── block ── registers ── XOR tree (fours) ── serial_out

    The shift register reaches every input bit and every output bit reaches `serial_out`, so that nothing of the block
    is optimised away, and no path of the wrapper is longer than one LUT. The registers between the shift register and
    the block may lie where the block lies.

    Parameters
    ----------
    block : a `wiring.Component`
    """

    def __init__(self, block: wiring.Component):
        self.block = block
        self.serial_in = Signal()
        self.serial_out = Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = self.block
        inputs: list[Value] = []
        outputs: list[Value] = []
        for _, member, value in self.block.signature.flatten(self.block):
            (inputs if member.flow == wiring.In else outputs).append(Value.cast(value))

        bits = len(Cat(inputs))
        shift = Signal(bits)
        held = Signal(bits)
        m.d.sync += [shift.eq(Cat(self.serial_in, shift)), held.eq(shift)]
        at = 0
        for value in inputs:
            m.d.comb += value.eq(held[at : at + len(value)])
            at += len(value)

        level = Cat(outputs)
        while True:
            stage = Signal(len(level), name=f"reduce_{len(level)}")
            m.d.sync += stage.eq(level)
            if len(stage) == 1:
                break
            level = Cat(stage[i : i + 4].xor() for i in range(0, len(stage), 4))
        m.d.comb += self.serial_out.eq(stage)
        return m
