"""Packets through the compiled receive path and through the model: deliveries and counters must be the same."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import driver.receive
from driver import receive as driver_receive
from hdl.registers.receive import ChecksumStatus, RxCounter, RxReason
from sim.card.deliveries import Delivery as CardDelivery
from sim.card.deliveries import ReceiveResult
from sim.card.receive import VirtualReceiver
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.delivery import Delivery

UNKNOWN = {"drop": "drop", "flood": "flood", "slow_path": "slow"}
MACS = 2 * 12  # hex digits of both MAC addresses
SHORTEST = 60  # bytes of a packet on the wire

Facts = tuple[Any, ...]


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
    )


def start(card: VirtualReceiver, settings: ReceiveSettings) -> None:
    """Reset the card and program its tables."""
    card.reset()
    driver.receive.program(card, for_driver(settings))


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
        *(() if one.slow else (one.vnet, one.hash, one.tag, one.cut, one.ip_checksum, one.l4_checksum)),
    )


def of_card(one: CardDelivery) -> Facts:
    ports = tuple(sorted(one.vport_set))
    status = {
        ChecksumStatus.NONE: "none",
        ChecksumStatus.GOOD: "good",
        ChecksumStatus.BAD: "bad",
        ChecksumStatus.PARTIAL: "partial",
    }
    rest = (one.vnet, one.hash, one.tag, one.cut, status[one.ip_status], status[one.l4_status])
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


def flows(found: Sequence[Facts]) -> dict[Any, list[Facts]]:
    """By vports, MAC addresses and hash: within one, order counts."""
    by_flow: dict[Any, list[Facts]] = defaultdict(list)
    for one in found:
        by_flow[one[1], one[0][:MACS], None if one[7] else one[9]].append(one)
    for (_, _, number), group in by_flow.items():
        if not number:  # no flow: frames without an IP header come from two engines
            group.sort(key=repr)
    return by_flow


def difference(got: Sequence[Facts], want: Sequence[Facts]) -> str:
    """What differs first; empty if nothing does."""
    ours, right = flows(got), flows(want)
    for flow in {**right, **ours}:
        for number, (a, b) in enumerate(zip(ours.get(flow, []), right.get(flow, []), strict=False)):
            if a != b:
                shown = [(i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y]
                return f"flow {flow}, delivery {number}: (field, card, model) {shown}; card {a}"
        if len(ours.get(flow, [])) != len(right.get(flow, [])):
            return f"flow {flow}: {len(ours.get(flow, []))} deliveries, the model has {len(right.get(flow, []))}"
    return ""


def check(
    card: VirtualReceiver, settings: ReceiveSettings, packets: Sequence[bytes], again: str, **more: Any
) -> ReceiveResult:
    """Receive packets; assert that deliveries and counters are the model's. `again` is the command that repeats it."""
    packets = [packet.ljust(SHORTEST, b"\0") for packet in packets]
    limits = replace(settings.coalesce, contexts=card.config.contexts, vnet_contexts=card.config.contexts)
    model = ReceiveCard(replace(settings, coalesce=limits))
    want = [delivery for packet in packets for delivery in model.receive(packet)] + model.flush()
    start(card, settings)
    result = card.receive(packets, **more)
    found = difference([of_card(one) for one in result.deliveries], [of_model(one) for one in want])
    assert not found, f"{found}; repeat with: {again}"
    counters = model.counters
    for reason in RxReason:
        if reason:
            want_count = counters.get(f"drop.{reason.name.lower()}", 0)  # the model has buffers without end
            read = card.read_counter(reason)
            assert read == want_count, f"drop.{reason.name.lower()} is {read}, not {want_count}; repeat with: {again}"
    for counter in (RxCounter.PACKETS_IN, RxCounter.PACKETS_DELIVERED, RxCounter.FRAMES_DELIVERED):
        read = card.read_counter(counter)
        assert read == counters[counter.name.lower()], f"{counter.name.lower()} is {read}; repeat with: {again}"
    assert result.held == model.held, f"{result.held} packets are held, not {model.held}; repeat with: {again}"
    return result
