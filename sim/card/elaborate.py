"""From Amaranth to Verilog, and the facts that the C++ harness needs of it."""

from typing import Any

import amaranth.back.verilog
from amaranth import ClockDomain, Module
from amaranth._toolchain.yosys import find_yosys  # private, but what `amaranth.back.verilog` itself runs
from amaranth.back import rtlil
from amaranth.hdl import Shape
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In


class WithoutReset(wiring.Component):
    """The card in a clock domain with no reset: thousands of registers that the simulation need not ask about it."""

    def __init__(self, card: Any):
        self.card = card
        super().__init__({**card.signature.members, "clk": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.submodules.card = self.card
        m.d.comb += sync.clk.eq(self.clk)
        for name, member in self.card.signature.members.items():
            outside, inside = getattr(self, name), getattr(self.card, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outside), inside)
            else:
                m.d.comb += inside.eq(outside) if member.flow == In else outside.eq(inside)
        return m


PASSES = (
    "proc -norom",
    "memory_collect",
    "flatten",
    "opt_expr",
    "opt_merge",
    "opt_clean -purge",
    "opt_dff -simple-dffe",
    "opt_merge",
    "opt_clean -purge",
    "write_verilog -noattr -norename",
)
"""What Yosys does on the way. `amaranth.back.verilog` leaves the optimising to others; but Verilator does not see a bit
of a record that nobody reads, or a register that holds its value. The passes are worth a fifth to a third in speed."""


def verilog(component: Any, *, readable: bool = False) -> str:
    """Verilog of a component: module `card`, clock `clk`, no reset.

    `readable`: with all signals and modules as they were written, for waveforms; slower to run.
    """
    top = WithoutReset(component)
    if readable:
        return str(amaranth.back.verilog.convert(top, name="card", emit_src=False, strip_internal_attrs=True))
    return optimised(top)


def optimised(component: Any) -> str:
    """Verilog of a component, module `card`, in the way that Verilator compiles and runs fastest."""
    text = rtlil.convert(component, name="card", emit_src=False)
    yosys = find_yosys(lambda found: found >= (0, 40))
    return str(yosys.run(["-q", "-"], "\n".join([f"read_rtlil <<end_of_rtlil\n{text}\nend_of_rtlil", *PASSES, ""])))


def layout_header(signature: Any) -> str:
    """`layout.h`: where the fields of a component's streams lie, and the width of a beat on its stream `i`.

    A field is named after the stream and the way to it: `I_META_VPORT` is in `meta` of a beat on `i`.
    """
    fields: dict[str, tuple[int, int]] = {}
    for name, member in signature.members.items():
        if member.is_signature and isinstance(member.signature, stream.Signature):
            fields |= _fields(name.upper(), member.signature.members["payload"].shape, 0)
    constants = [f"constexpr Field {name}{{{offset}, {bits}}};" for name, (offset, bits) in fields.items()]
    return f"""\
// Generated from the hardware's ports.
#pragma once
#include <cstdint>
namespace layout {{
struct Field {{ unsigned offset, width; }};  // bits of a payload
{chr(10).join(constants)}
constexpr unsigned WIDTH = {fields["I_DATA"][1] // 8};  // bytes a beat
}}  // namespace layout
"""


def _fields(name: str, shape: Any, offset: int) -> dict[str, tuple[int, int]]:
    """Offset and width of a shape's fields, at any depth."""
    if isinstance(shape, type) and issubclass(shape, data.Struct):
        shape = data.Layout.cast(shape)
    if not isinstance(shape, data.StructLayout):
        return {name: (offset, Shape.cast(shape).width)}
    inside = [_fields(f"{name}_{key}".upper(), field.shape, offset + field.offset) for key, field in shape]
    return {key: place for part in inside for key, place in part.items()}
