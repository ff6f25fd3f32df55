"""The card's counters by name."""

from driver.transport import Transport
from hdl.registers.counters import DropReason, TxCounter


def read(transport: Transport) -> dict[str, int]:
    """Every counter: `frames_in`, `frames_sent`, `packets_out`, `unparsed`, and `drop.REASON` for each reason."""
    counters = {counter.name.lower(): transport.read_counter(counter) for counter in TxCounter}
    for reason in DropReason:
        if reason is not DropReason.NONE:
            counters[f"drop.{reason.name.lower()}"] = transport.read_counter(reason)
    return counters
