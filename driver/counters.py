"""The card's counters by name."""

from driver.transport import Transport
from hdl.registers.counters import DropReason, LocalCounter, TxCounter


def read(transport: Transport) -> dict[str, int]:
    """Every counter: `frames_in`, `frames_sent`, `frames_local`, `packets_out`, `unparsed`, and each `drop.REASON`.

    Frames for another vport do not come to where the others are counted.
    """
    counters = {counter.name.lower(): transport.read_counter(counter) for counter in TxCounter}
    for reason in DropReason:
        if reason is not DropReason.NONE:
            counters[f"drop.{reason.name.lower()}"] = transport.read_counter(reason)
    local, bad = (transport.read_counter(c) for c in (LocalCounter.FRAMES_LOCAL, LocalCounter.LOCAL_BAD_LENGTH))
    counters["frames_local"] = local
    counters["frames_in"] += local + bad
    counters["drop.bad_length"] += bad
    return counters
