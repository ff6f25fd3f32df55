"""The state loop of the engine: how many registers it has, and where.

A step of the loop reads state that the step before has written, so the next one begins only when this one is over. What
is known in front of it stands still meanwhile. The loop is written as one chain of seven parts; the more cycles a
packet takes at least, the more of its joints are registers::

    event ─ 0 ─│─ 1 ─│─ 2 ─│─ 3 ─│─ 4 ─│─ 5 ─│─ 6 ─ state            8 bytes a beat: a register everywhere
    event ───────────│─────────────────│───────── state           16 bytes
    event ─────────────────────────────────────── state           64 bytes: all between two registers
"""

from dataclasses import dataclass

from amaranth import Module, Signal, Value
from amaranth.lib import data, memory


@dataclass(frozen=True)
class Loop:
    """Which joints are registers, and how many rows a hole list is read in."""

    joints: tuple[int, ...]  # joint n is behind part n
    rows: int = 1  # more than one only with all six joints
    block_ram: bool = False  # memories have a register in front and one behind: joints 2 and 3

    PARTS = 7

    def __post_init__(self) -> None:
        if self.block_ram and not {2, 3} <= set(self.joints):
            raise ValueError("block RAM takes joints 2 and 3")
        if self.rows > 1 and len(self.joints) != self.PARTS - 1:
            raise ValueError(f"a list in {self.rows} rows needs a register at every joint")

    @property
    def cycles(self) -> int:
        """From an event to the state that it leaves."""
        return len(self.joints) + 1

    def joint(self, m: Module, at: int, value, name: str):
        """`value` (a Value, or a view of a layout) of part `at`, for part `at` + 1."""
        shape = value.shape() if isinstance(value, data.View) else Value.cast(value).shape()
        behind = Signal(shape, name=name, reset_less=True)
        m.d["sync" if at in self.joints else "comb"] += behind.eq(value)
        return behind

    def read(self, m: Module, ram: memory.Memory, address, name: str):
        """What lies at `address`, which part 2 knows: of part 4."""
        if not self.block_ram:
            port = ram.read_port(domain="comb")
            m.d.comb += port.addr.eq(address)
            return self.joint(m, 3, self.joint(m, 2, port.data, f"{name}_2"), f"{name}_3")
        port = ram.read_port()
        m.d.comb += port.addr.eq(address)
        return self.joint(m, 3, port.data, name)

    def memory(self, m: Module, name: str, shape, depth: int) -> memory.Memory:
        """A memory that is written, or read, in the same cycle at other rows only."""
        kind = {"ram_style": "block", "no_rw_check": 1} if self.block_ram else {"ram_style": "distributed"}
        m.submodules[name] = ram = memory.Memory(shape=shape, depth=depth, init=[], attrs=kind)
        return ram


LOOPS = {
    8: Loop((0, 1, 2, 3, 4, 5), rows=5, block_ram=True),
    16: Loop((1, 4)),
    32: Loop((1,)),
    64: Loop(()),
}
"""By bytes a beat."""
