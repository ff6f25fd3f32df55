"""The one interface through which the driver touches a card, whatever lies between: PCIe or a simulator."""

from typing import Protocol

from hdl.registers.rx_tables import RxTable
from hdl.registers.tables import Table


class Transport(Protocol):
    """A card's tables and counters.

    The virtual card (`sim.card.card.VirtualCard`) is one; a card behind a PCIe BAR will be another.
    """

    def write_row(self, table: Table, row: int, data: int) -> None:
        """Write one row, packed as `hdl.registers.tables` lays it out; it takes effect at once and as a whole."""

    def read_counter(self, index: int) -> int:
        """A counter of the transmit path: the number of a `DropReason` or a `TxCounter`."""


class ReceiveTransport(Protocol):
    """The receive path's tables and counters; `sim.card.receive.VirtualReceiver` is one."""

    def write_row(self, table: RxTable, row: int, data: int) -> None:
        """Write one row, packed as `hdl.registers.rx_tables` lays it out; it takes effect at once and as a whole."""

    def read_counter(self, index: int) -> int:
        """A counter of the receive path: the number of an `RxReason` or an `RxCounter`."""
