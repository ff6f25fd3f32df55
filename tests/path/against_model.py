"""The same frames through the compiled path and through the model: packets and counters must be the same."""

from collections.abc import Sequence

from driver import counters, tables
from host.expect_receive import difference as compare
from host.receive_simulation import as_delivery
from sim.card.card import VirtualCard
from sim.card.deliveries import Delivery as Delivered
from sim.card.traffic import Frame, Packet, Result
from sim.model.card import Card
from sim.model.network import Network, ToVport
from sim.model.receive.delivery import Delivery
from tests.driver.networks import for_driver


def start(card: VirtualCard, network: Network) -> None:
    """Reset the card and program its tables."""
    card.reset()
    tables.program(card, for_driver(network), card.config.width, fresh=True)


def expect(network: Network, frames: Sequence[Frame]) -> tuple[list[bytes], dict[str, int]]:
    """What the model makes of the frames, and its counters."""
    model = Card(network)
    packets: list[bytes] = []
    for frame in frames:
        packets += model.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)
    return packets, dict(model.counters)


def expect_local(network: Network, frames: Sequence[Frame]) -> list[Delivery]:
    """What other vports get of the frames."""
    if not any(isinstance(to, ToVport) for to in network.forwarding.values()):
        return []
    model, local = Card(network), list[Delivery]()
    for frame in frames:
        model.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)
        local += model.local
    return local


def local_difference(got: Sequence[Delivered], want: Sequence[Delivery]) -> str:
    """Where the first wrong delivery differs; empty if all are right."""
    for number, (ours, right) in enumerate(zip(got, want, strict=False)):
        if as_delivery(ours) != right:
            return f"frame {number} of {len(want)} for another vport {compare(right, as_delivery(ours))}"
    return "" if len(got) == len(want) else f"{len(got)} frames for other vports, the model has {len(want)}"


def difference(got: Sequence[Packet], want: Sequence[bytes]) -> str:
    """Where the first wrong packet differs; empty if all are right."""
    for number, (ours, right) in enumerate(zip(got, want, strict=False)):
        if ours.data != right:
            at = next((i for i, (a, b) in enumerate(zip(ours.data, right, strict=False)) if a != b), None)
            at = min(len(ours.data), len(right)) if at is None else at
            return (
                f"packet {number} of {len(want)} differs from byte {at} ({len(ours.data)} bytes, not {len(right)}): "
                f"{ours.data[at : at + 16].hex()}, the model has {right[at : at + 16].hex()}"
            )
    if len(got) != len(want):
        return f"{len(got)} packets, the model has {len(want)}"
    return ""


def check(card: VirtualCard, network: Network, frames: Sequence[Frame], again: str, **pauses: object) -> Result:
    """Send frames; assert that packets and counters are the model's. `again` is the command that repeats the test.

    The model gets them in the order of the card's turns, in which every frame is once and each vport's are in order.
    """
    start(card, network)
    result = card.transmit(frames, **pauses)  # type: ignore[arg-type]
    turns = sorted(range(len(frames)), key=lambda number: frames[number].vport)
    assert sorted(result.order, key=lambda number: frames[number].vport) == turns, f"repeat with: {again}"
    sent = [frames[number] for number in result.order]
    want, counts = expect(network, sent)
    found = difference(result.packets, want) or local_difference(result.local, expect_local(network, sent))
    assert not found, f"{found}; repeat with: {again}"
    read = counters.read(card)
    for name, value in read.items():
        key = name if name in counts else f"drop.{name}"
        assert value == counts[key], f"counter {name} is {value}, the model's {key} {counts[key]}; repeat with: {again}"
    assert result.underruns == 0, f"the wire ran dry {result.underruns} times; repeat with: {again}"
    return result
