"""From Amaranth to Verilog, and the facts that the C++ harness needs of it."""

from typing import Any

import amaranth.back.verilog
from amaranth import ClockDomain, Module
from amaranth._toolchain.yosys import find_yosys  # private, but what `amaranth.back.verilog` itself runs
from amaranth.back import rtlil
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.config import NicConfig
from hdl.stream.beat import host_beat, wire_beat


def transmit_path(config: NicConfig) -> Any:
    """The hardware of a configuration."""
    from hdl.tx.path import TxPath  # late: a card that is in the cache does not need it

    return TxPath(config)


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
        for name in self.card.signature.members:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(self.card, name))
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
    """Verilog of hardware with the ports of `hdl.tx.path.TxPath`: module `card`, clock `clk`, no reset.

    `readable`: with all signals and modules as they were written, for waveforms; slower to run.
    """
    top = WithoutReset(component)
    if readable:
        return str(amaranth.back.verilog.convert(top, name="card", emit_src=False, strip_internal_attrs=True))
    text = rtlil.convert(top, name="card", emit_src=False)
    yosys = find_yosys(lambda found: found >= (0, 40))
    return str(yosys.run(["-q", "-"], "\n".join([f"read_rtlil <<end_of_rtlil\n{text}\nend_of_rtlil", *PASSES, ""])))


def layout_header(width: int) -> str:
    """`layout.h`: the fields of the beats, taken from their Amaranth layouts."""
    host, wire = host_beat(width), wire_beat(width)
    meta = host["meta"]
    fields = {"I_LAST": (host["last"].offset, host["last"].width)}
    for name, field in data.Layout.cast(meta.shape):
        fields[f"I_{str(name).upper()}"] = (meta.offset + field.offset, field.width)
    for name in ("bytes", "last"):
        fields[f"O_{name.upper()}"] = (wire[name].offset, wire[name].width)
    constants = [f"constexpr Field {name}{{{offset}, {bits}}};" for name, (offset, bits) in fields.items()]
    return f"""\
// Generated from the layouts in hdl.stream.beat.
#pragma once
#include <cstdint>
namespace layout {{
struct Field {{ unsigned offset, width; }};  // bits of a beat
{chr(10).join(constants)}
constexpr unsigned WIDTH = {width};  // bytes a beat
}}  // namespace layout
"""
