"""Packets through the compiled receive path and through the model: deliveries and counters must be the same."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import driver.receive
from driver import receive as driver_receive
from hdl.registers.receive import ChecksumStatus, RxCounter, RxReason
from sim.card.deliveries import Delivery as CardDelivery
from sim.card.deliveries import ReceiveResult
from sim.card.receive import VirtualReceiver
from sim.model.parse import parse
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.delivery import Delivery

UNKNOWN = {"drop": "drop", "flood": "flood", "slow_path": "slow"}
MACS = 2 * 12  # hex digits of both MAC addresses
SHORTEST = 60  # bytes of a packet on the wire
SHOWN = 400  # characters of a value in a message
COUNTED: tuple[RxReason | RxCounter, ...] = (
    *list(RxReason)[1:],
    *(RxCounter.PACKETS_IN, RxCounter.PACKETS_DELIVERED, RxCounter.PACKETS_SLOW, RxCounter.FRAMES_DELIVERED),
)
NO_END = (RxCounter.PACKETS_IN, RxCounter.FRAMES_DELIVERED)  # all others say what has become of packets

Facts = tuple[Any, ...]
FIELDS = (
    *("frame", "vports", "queue", "gso_size", "gso_type", "fixed_id", "packets", "slow"),
    *("vnet", "hash", "tag", "cut", "ip_status", "l4_status", "entry"),
)
T = TypeVar("T")


def for_driver(settings: ReceiveSettings) -> driver_receive.Receive:
    """The model's settings, told to the driver."""
    steer = settings.steer
    return driver_receive.Receive(
        terminate=[
            driver_receive.Terminate(
                encapsulation=entry.encapsulation,  # type: ignore[arg-type]
                local=entry.local,
                vnet=entry.vnet,
                key=entry.key,
                remote=entry.remote,
                udp_checksum=entry.udp_checksum,  # type: ignore[arg-type]
                dscp=entry.dscp,  # type: ignore[arg-type]
            )
            for entry in settings.terminate.terminate
        ],
        vports={
            number: driver_receive.Vport(
                vnet=vport.vnet,
                mac=vport.mac,
                receive_mtu=vport.receive_mtu,
                drop_bad_checksum=vport.drop_bad_checksum,
                multicast=vport.multicast,
                indirection=vport.indirection,
            )
            for number, vport in steer.vports.items()
        },
        uplink=dict(settings.terminate.uplink),
        slow_path=steer.slow_path,
        unknown={vnet: UNKNOWN[policy] for vnet, policy in steer.unknown_unicast.items()},  # type: ignore[misc]
        options=tuple(sorted(settings.terminate.options)),
        vnet_contexts=bound_of(settings),
        class_contexts=settings.terminate.class_contexts,
    )


def bound_of(settings: ReceiveSettings) -> int | None:
    """Contexts of one vnet, if it may not have all of them."""
    limits = settings.coalesce
    return None if limits.vnet_contexts == limits.contexts else limits.vnet_contexts


def start(card: VirtualReceiver, settings: ReceiveSettings) -> None:
    """Reset the card and program its tables."""
    card.reset()
    driver.receive.program(card, for_driver(settings), fresh=True)


def of_model(one: Delivery) -> Facts:
    """What of a model's delivery the card must have too."""
    return (
        one.frame.hex(),
        tuple(sorted(one.vports)),
        one.queue if len(one.vports) == 1 else None,
        one.gso_size,
        one.gso_type,
        one.fixed_id,
        one.packets,
        one.slow is not None,
        *(() if one.slow else (one.vnet, one.hash, one.tag, one.cut, one.ip_checksum, one.l4_checksum, one.entry)),
    )


def of_card(one: CardDelivery) -> Facts:
    ports = tuple(sorted(one.vport_set))
    status = {
        ChecksumStatus.NONE: "none",
        ChecksumStatus.GOOD: "good",
        ChecksumStatus.BAD: "bad",
        ChecksumStatus.PARTIAL: "partial",
    }
    entry = one.entry if one.tunnelled else None
    rest = (one.vnet, one.hash, one.tag, one.cut, status[one.ip_status], status[one.l4_status], entry)
    return (
        one.data.hex(),
        ports,
        one.queue if len(ports) == 1 else None,
        one.gso_size,
        one.gso_type,
        one.fixed_id,
        one.packets,
        one.slow,
        *(() if one.slow else rest),
    )


def flow_of_model(one: Delivery) -> Any:
    """Within what packets keep their order, beside what the card says too: who sent them, and the tags on them."""
    return one.peer, one.frame[: parse(one.frame).l3]


def flows(found: Iterable[T], facts: Callable[[T], Facts]) -> dict[Any, list[T]]:
    """By vports, MAC addresses and hash."""
    by_flow: dict[Any, list[T]] = defaultdict(list)
    for one in found:
        said = facts(one)
        by_flow[said[1], said[0][:MACS], None if said[7] else said[9]].append(one)
    return by_flow


def wrong(one: Facts, right: Facts) -> list[str]:
    """What differs between two deliveries, in words."""
    fields = enumerate(zip(one, right, strict=False))
    return [f"{FIELDS[at]} {str(a)[:SHOWN]}, not {str(b)[:SHOWN]}" for at, (a, b) in fields if a != b]


def difference(got: Sequence[Facts], want: Sequence[Delivery]) -> str:
    """What differs first; empty if nothing does.

    Of several flows that look alike from here each keeps its own order. Frames of no flow, without an IP header, come
    from two engines in any order.
    """
    ours, right = flows(got, lambda one: one), flows(want, of_model)
    for flow in {**right, **ours}:
        left: dict[Any, deque[Facts]] = defaultdict(deque)
        for number, delivery in enumerate(right.get(flow, [])):
            left[flow_of_model(delivery) if flow[2] else number].append(of_model(delivery))
        for number, one in enumerate(ours.get(flow, [])):
            found = next((key for key, queue in left.items() if queue[0] == one), None)
            if found is None:
                nearest = min((wrong(one, queue[0]) for queue in left.values()), key=len, default=["one too many"])
                return f"flow {flow}, delivery {number}: {'; '.join(nearest)}; card {str(one)[:SHOWN]}"
            left[found].popleft()
            if not left[found]:
                del left[found]
        if left:
            return f"flow {flow}: {len(ours.get(flow, []))} deliveries, the model has {len(right.get(flow, []))}"
    return ""


def expect(settings: ReceiveSettings, packets: Sequence[bytes], contexts: int) -> tuple[list[Delivery], ReceiveCard]:
    """What the model makes of packets on a card with so many contexts of each kind, and the model behind them."""
    limits = replace(settings.coalesce, contexts=contexts, vnet_contexts=bound_of(settings) or contexts)
    terminate = replace(settings.terminate, contexts=contexts)
    model = ReceiveCard(replace(settings, terminate=terminate, coalesce=limits))
    want = [delivery for packet in packets for delivery in model.receive(packet)] + model.flush()
    return want, model


def disagreement(
    want: Sequence[Delivery],
    model: ReceiveCard,
    deliveries: Sequence[CardDelivery],
    counted: Mapping[RxReason | RxCounter, int],
    held: int,
) -> str:
    """What is wrong with a card's deliveries, `COUNTED` counters or account; empty if nothing is."""
    found = difference([of_card(one) for one in deliveries], want)
    if found:
        return found
    counters = model.counters
    for counter, value in counted.items():
        name = counter.name.lower() if isinstance(counter, RxCounter) else f"drop.{counter.name.lower()}"
        right = counters.get(name, 0)  # the model has buffers without end
        if value != right:
            return f"{name} is {value}, not {right}"
    out = sum(value for counter, value in counted.items() if counter not in NO_END)
    if counted[RxCounter.PACKETS_IN] != out + held:
        return f"{counted[RxCounter.PACKETS_IN]} packets came in, {out} came to an end and {held} are held"
    return "" if held == model.held else f"{held} packets are held, not {model.held}"


def check(
    card: VirtualReceiver, settings: ReceiveSettings, packets: Sequence[bytes], again: str, **more: Any
) -> ReceiveResult:
    """Receive packets; assert that deliveries and counters are the model's. `again` is the command that repeats it."""
    packets = [packet.ljust(SHORTEST, b"\0") for packet in packets]
    want, model = expect(settings, packets, card.config.contexts)
    start(card, settings)
    result = card.receive(packets, **more)
    counted = {counter: card.read_counter(counter) for counter in COUNTED}
    said = disagreement(want, model, result.deliveries, counted, result.held)
    assert not said, f"{said}; repeat with: {again}"
    return result
