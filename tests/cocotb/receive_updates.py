"""Receive tables rewritten while packets stream: a packet goes by the tables as they were, or as they are.

::

    cycle      100        200        300            A row is rewritten at 200 and at 300.
    row        A          B          A
    packet 1      |--------------|                  looked up between its first beat and its delivery: A or B
    packet 2                |----|                  B

Each kind of packet meets one row that changes. No packet is merged, so they come up in the order in which they came.
Rows that the parser itself keeps (LOCAL, OPTION) are not among them: they count from one beat to the next, and the
driver writes them while no key leads to a vnet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import cocotb
from cocotb.task import Task

from driver import receive as driver_receive
from driver.receive import RxWrite
from hdl.registers.rx_tables import RxTable
from sim.model.card import Card
from sim.model.coalesce.coalescer import Limits
from sim.model.parse import parse
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.rss import receive_hash
from sim.model.receive.steer import INDIRECTIONS, Steering, Vport
from sim.model.receive.terminate import Settings, Terminate
from sim.model.segment import finish
from tests.cocotb.bench import case
from tests.cocotb.pauses import in_bursts
from tests.cocotb.receive_bench import ReceiveBench
from tests.path.receive_against_model import SHORTEST, for_driver, of_card, of_model
from tests.support.frames import udp_frame
from tests.support.networks import TUNNELS, VNI, network
from tests.support.receivers import far_end

PACKETS = 260
HOST = 63
PEER = bytes.fromhex("52540000bb01")
GROUP = bytes.fromhex("01005e000001")
STRANGER = bytes.fromhex("525400ffffff")
TUNNEL = "gre-v4"
KEYED = "vxlan-v6-csum"


@dataclass
class Changing:
    """A row that goes from `old` to `new` and back, what the card does with each, and frames that meet it."""

    frame: Callable[[bytes], bytes]
    tunnel: str | None
    states: tuple[ReceiveSettings, ReceiveSettings]
    rows: tuple[RxWrite, RxWrite]
    changes: list[tuple[int, int]] = field(default_factory=lambda: [(-1, 0)])

    async def step(self, bench: ReceiveBench) -> None:
        state = 1 - self.changes[-1][1]
        self.changes.append((await bench.write(self.rows[state]), state))

    def possible(self, begun: int, left: int) -> set[int]:
        """By which states a packet may have gone that was first seen and handed up in these cycles."""
        before = [state for cycle, state in self.changes if cycle <= begun]
        return {before[-1], *(state for cycle, state in self.changes if begun < cycle <= left)}


def rows_of(settings: ReceiveSettings) -> dict[tuple[int, int], RxWrite]:
    """What stands in each row in the end."""
    return {(write.table, write.row): write for write in driver_receive.writes(for_driver(settings))}


def difference(old: ReceiveSettings, new: ReceiveSettings) -> tuple[RxWrite, RxWrite]:
    """The one row that differs."""
    was, becomes = rows_of(old), rows_of(new)
    (at,) = [at for at in was if was[at] != becomes[at]]
    return was[at], becomes[at]


def base_settings() -> ReceiveSettings:
    """Tunnels to vnets of their own, all flooded; VLANs of the uplink; a host that takes the slow path."""
    entries = [far_end(TUNNELS[TUNNEL], vnet=0), far_end(TUNNELS[KEYED], vnet=1)]
    vports = {number: Vport(number % 8, queues=16) for number in range(24)} | {HOST: Vport(HOST)}
    vports[4] = Vport(4, PEER, queues=16)
    vports[12] = Vport(4, queues=16)
    steer = Steering(vports, dict.fromkeys(range(8), "flood"), HOST)
    terminate = Settings(entries, uplink={None: 5, 100: 4, 200: 6}, slow_path=True)
    return ReceiveSettings(terminate, Limits(), steer)


def entries_with(base: ReceiveSettings, entries: Sequence[Terminate]) -> ReceiveSettings:
    return replace(base, terminate=replace(base.terminate, terminate=entries))


def vports_with(base: ReceiveSettings, **more: Vport) -> ReceiveSettings:
    vports = {**base.steer.vports, **{int(name[1:]): vport for name, vport in more.items()}}
    return replace(base, steer=replace(base.steer, vports=vports))


def everything() -> dict[str, Changing]:
    """All that changes."""
    base = base_settings()
    entries, vports, uplink = list(base.terminate.terminate), base.steer.vports, dict(base.terminate.uplink)

    def to(mac: bytes, vid: int | None = None) -> Callable[[bytes], bytes]:
        tags = [] if vid is None else [(0x8100, vid)]
        return lambda payload: mac + udp_frame(4, payload, tags=tags)[6:]

    def between(frame: Callable[[bytes], bytes], new: ReceiveSettings, tunnel: str | None = None) -> Changing:
        return Changing(frame, tunnel, (base, new), difference(base, new))

    def keyless() -> Changing:
        """With the row of the second entry's key wiped: its address is still ours, so the slow path has its packets."""
        new = entries_with(base, [entries[0], replace(entries[1], key=VNI ^ 1)])
        (row,) = [
            write
            for (table, _), write in rows_of(base).items()
            if table == RxTable.TERMINATE and write.data >> 1 & 63 == 1  # its entry
        ]
        return Changing(to(PEER), KEYED, (base, new), (row, row._replace(data=0)))

    def with_uplink(**vnets: int) -> ReceiveSettings:
        changed = {**uplink, **{None if name == "untagged" else int(name[1:]): vnet for name, vnet in vnets.items()}}
        return replace(base, terminate=replace(base.terminate, uplink=changed))

    index = receive_hash(parse(finish(parse(to(PEER, 100)(b""))))) % INDIRECTIONS
    turned = list(vports[4].indirection)
    turned[index] ^= 1
    unknown = {**base.steer.unknown_unicast, 6: "slow_path"}
    return {
        "entry": between(to(PEER), entries_with(base, [replace(entries[0], vnet=7), *entries[1:]]), TUNNEL),
        "destination": between(to(PEER, 100), vports_with(base, v4=Vport(4, queues=16), v12=Vport(4, PEER, queues=16))),
        "indirection": between(to(PEER, 100), vports_with(base, v4=replace(vports[4], indirection=tuple(turned)))),
        "group": between(to(GROUP, 100), vports_with(base, v12=replace(vports[12], multicast=False))),
        "unknown": between(to(STRANGER, 200), replace(base, steer=replace(base.steer, unknown_unicast=unknown))),
        "vlan": between(to(STRANGER, 200), with_uplink(v200=3)),
        "untagged": between(to(STRANGER), with_uplink(untagged=2)),
        "key": keyless(),
    }


@dataclass
class Sender:
    """Wraps frames for the entries of `base_settings`."""

    cards: dict[str, Card] = field(default_factory=dict)

    def packet(self, one: Changing, payload: bytes) -> bytes:
        frame = finish(parse(one.frame(payload)))
        if one.tunnel is not None:
            card = self.cards.setdefault(one.tunnel, Card(network(TUNNELS[one.tunnel])))
            (frame,) = card.transmit(frame)
        return frame.ljust(SHORTEST, b"\0")


async def rewrite(bench: ReceiveBench, one: Changing, random: Random, sending: Task[None]) -> None:
    """Changes the row while packets are sent, often directly after the last change."""
    while not sending.done():
        await one.step(bench)
        if random.random() < 0.5:
            await bench.cycles(random.randint(1, 150))


@case
@cocotb.parametrize(name=list(everything()), pauses=["never", "bursts"])
async def before_or_after(dut: Any, name: str, pauses: str) -> None:
    """Every packet is handed up once, by the tables as they were before a write or as they are after it."""
    bench = ReceiveBench(dut, f"updates {name} {pauses}")
    random, one = bench.random, everything()[name]
    sender = Sender()
    await bench.reset()
    await bench.program(one.states[0])
    if pauses == "bursts":
        bench.line.pause, bench.memory.place_pause, bench.memory.delivery_pause = (in_bursts(random) for _ in range(3))
    packets = [sender.packet(one, random.randbytes(random.randint(0, 60))) for _ in range(PACKETS)]
    await rewrite(bench, one, random, bench.start(packets))
    await bench.drain()
    deliveries = bench.memory.deliveries
    assert len(deliveries) == len(packets), f"{len(deliveries)} of {len(packets)} packets came up"
    seen = set()
    for number, (packet, begun, got) in enumerate(zip(packets, bench.line.begun, deliveries, strict=True)):
        states = one.possible(begun, got.cycle)
        by_state = {}
        for state in states:
            ((want),) = ReceiveCard(one.states[state]).receive(packet)
            by_state[state] = of_model(want)
        found = [state for state, want in by_state.items() if want == of_card(got)]
        assert found, f"packet {number}: {str(of_card(got))[:300]}; by the tables {str(by_state)[:600]}"
        seen.update(found)
    cocotb.log.info("%s: %d changes, states seen: %s", name, len(one.changes) - 1, seen)
    assert seen == {0, 1}, f"it was never seen to change, in {len(one.changes) - 1} writes"
