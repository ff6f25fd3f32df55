"""How wide and how large a NIC is: one frozen object with named presets."""

from dataclasses import dataclass, replace

WIDTHS = (8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class NicConfig:
    """The facts of one build of the data path.

    Parameters
    ----------
    name : what the preset is called
    width : bytes a beat (8, 16, 32 or 64)
    clock_hz : clock of the data path, hertz
    line_bps : rate of the uplink, bits a second
    ring_bytes : payload ring of transmit, bytes; it holds the largest packet and a margin
    receive_ring_bytes : ring of arriving packets, bytes; likewise
    header_rows : rows of the header ring, each `width` bytes
    queue_depth : entries of the queues between blocks; more than the path's latency in cycles
    vport_queue : frames of a vport that may wait for their turn; behind them the host keeps its own queue
    contexts : frames that may be open on receive, of each kind: STT frames, and coalesced TCP flows
    """

    name: str
    width: int = 8
    clock_hz: int = 156_250_000
    line_bps: int = 10_000_000_000
    ring_bytes: int = 32 * 1024
    receive_ring_bytes: int = 16 * 1024
    header_rows: int = 512
    queue_depth: int = 512
    vport_queue: int = 8
    contexts: int = 64

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise ValueError(f"width is {self.width} bytes a beat; it must be one of {WIDTHS}")
        for field in ("ring_bytes", "receive_ring_bytes", "header_rows", "queue_depth", "vport_queue", "contexts"):
            value = getattr(self, field)
            if value <= 0 or value & (value - 1):
                raise ValueError(f"{field} is {value}; it must be a power of two")
        for field in ("ring_bytes", "receive_ring_bytes"):
            if getattr(self, field) < 16 * 1024:
                raise ValueError(f"{field} is {getattr(self, field)}; a jumbo packet needs at least 16384")
        if self.queue_depth < 128:
            raise ValueError(f"queue_depth is {self.queue_depth}; it must be at least 128, the latency of the path")
        if self.vport_queue < 4:
            raise ValueError(f"vport_queue is {self.vport_queue}; it must be at least 4")
        if self.header_rows * self.width < 4096:
            raise ValueError(f"header_rows is {self.header_rows}; the header ring must hold at least 4096 bytes")
        if self.clock_hz * self.width * 8 < self.line_bps:
            raise ValueError(f"{self.width} bytes at {self.clock_hz} Hz are slower than the line's {self.line_bps} b/s")

    def replace(self, **changes: object) -> "NicConfig":
        """The same configuration with some fields changed (and validated again)."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def words(self) -> int:
        """16-bit words a beat."""
        return self.width // 2

    @property
    def ring_rows(self) -> int:
        """Rows of the payload ring, `width` bytes each."""
        return self.ring_bytes // self.width

    @property
    def receive_ring_rows(self) -> int:
        """Rows of the ring of arriving packets."""
        return self.receive_ring_bytes // self.width


PRESETS = {
    config.name: config
    for config in (
        NicConfig(name="ecp5-1g", width=8, clock_hz=125_000_000, line_bps=1_000_000_000),
        NicConfig(name="10g", width=8, clock_hz=156_250_000, line_bps=10_000_000_000),
        NicConfig(name="25g", width=16, clock_hz=195_312_500, line_bps=25_000_000_000),
        NicConfig(name="100g", width=64, clock_hz=250_000_000, line_bps=100_000_000_000, vport_queue=32, contexts=256),
    )
}
