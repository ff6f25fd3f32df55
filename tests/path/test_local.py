"""Frames for other vports of the same card: in their memory as the model has them, with all that is said of them."""

from dataclasses import replace
from random import Random

import pytest

from driver import counters
from hdl.local.split import LOCAL_ROW
from hdl.registers.counters import MAXIMUM_FRAME
from hdl.registers.tables import LOCAL_WILDCARDS, Table
from host.receive_simulation import as_delivery
from sim.card.traffic import Frame
from sim.model.network import Destination, Network, ToVport
from tests.path.against_model import check, expect_local, start
from tests.support.frames import samples, tcp_frame, udp_frame
from tests.support.networks import TUNNELS, network

WIDTHS = (8, pytest.param(64, marks=pytest.mark.full))
HERE, THERE, NOWHERE = (bytes.fromhex(f"0200000000{n}") for n in ("aa", "bb", "cc"))
PAUSES = {"none": {}, "all": {"input_pause": 0.3, "output_pause": 0.3, "place_pause": 0.3, "delivery_pause": 0.5}}


def local_network(name: str = "gre-v4-key") -> Network:
    """Vports 0, 1 and 2 of vnet 0, and 62, 63 of vnet 1; what is for THERE, and of vnet 1 for most, goes by wire.

    Vports 1 and 63 do not take all at once.
    """
    base = network(TUNNELS[name])
    vports = {0: 0, 1: 0, 2: 0, 62: 1, 63: 1}
    forwarding: dict[tuple[int, bytes | None], Destination] = {
        (0, HERE): ToVport(1),
        (0, THERE): 0,
        (0, NOWHERE): "drop",
        (0, None): ToVport(2),
        (1, HERE): ToVport(63),
        (1, None): "uplink",
    }
    return replace(base, vports=vports, forwarding=forwarding, receive_mtu={1: 3000, 63: 1500})


def to(mac: bytes, frame: bytes) -> bytes:
    return mac + frame[6:]


def again(test: str) -> str:
    return f"pytest 'tests/path/test_local.py::{test}'"


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_kind_of_frame(local_cards, width: int, pauses: str) -> None:
    """Sound and hostile headers, cut and uncut, some to the wire, some to others, some to nobody."""
    random, frames = Random(width), []
    for sample in samples(width, 500):
        mac = random.choice([HERE, HERE, THERE, NOWHERE, bytes(6)])
        vport = random.choice([0, 0, 1, 2, 62, 63, 5])
        frames.append(Frame(to(mac, sample.frame), vport=vport, gso_size=sample.gso_size, accecn=sample.accecn))
    repeat = again(f"test_every_kind_of_frame[{width}-{pauses}]")
    result = check(local_cards[width], local_network(), frames, repeat, **PAUSES[pauses])
    assert {(one.vnet, one.vports) for one in result.local} == {(0, 1 << 1), (0, 1 << 2), (1, 1 << 63)}
    assert {one.cut for one in result.local if one.gso_size} == {False, True}
    assert not any(one.cut for one in result.local if not one.gso_size)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_size(local_cards, width: int) -> None:
    """14 to 65,597 bytes, none of which is looked at, and of TCP and UDP whose checksums are filled in."""
    random, frames = Random(1), []
    sizes = [*range(14, 330), 1514, 9238, 9239, 16383, 16384, 16385, 32768, *range(65535, 65540), MAXIMUM_FRAME]
    for size in sizes:
        frames.append(Frame(to(HERE, random.randbytes(size))))
        payload = random.randbytes(min(max(size - 54, 0), 65_400))
        frames.append(Frame(to(HERE, tcp_frame(4, payload)), gso_size=random.choice([0, 1, 1400, 65535])))
        frames.append(Frame(to(bytes(6), udp_frame(6, payload)), vport=1))
    check(local_cards[width], local_network(), frames, again(f"test_every_size[{width}]"))


@pytest.mark.parametrize("name", ["gre-v4-key", "stt-v4-frame"])
@pytest.mark.parametrize("width", WIDTHS)
def test_beside_the_wire(local_cards, width: int, name: str) -> None:
    """Frames for here and for the wire in turn: the card takes a beat of them a cycle, and loses none."""
    frames = []
    for number in range(300):
        payload = bytes([number & 0xFF]) * (1400, 10, 32_000)[number % 3]
        frames.append(Frame(to((HERE, THERE)[number & 1], tcp_frame(4, payload)), gso_size=1400))
    result = check(local_cards[width], local_network(name), frames, again(f"test_beside_the_wire[{width}-{name}]"))
    beats = sum(-(-len(frame.data) // width) for frame in frames)
    wire = sum(max(len(packet.data), 60) + 24 for packet in result.packets)
    config = local_cards[width].config
    line = wire * 8 * config.clock_hz / config.line_bps  # cycles that the wire needs
    assert result.packets[-1].last_cycle - result.packets[0].cycle <= max(beats, line) * 1.1 + 1000
    assert result.underruns == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_one_buffer_at_a_time(local_cards, width: int) -> None:
    """A host that gives the card few buffers holds back, and loses nothing."""
    frames = [Frame(to(HERE, tcp_frame(4, bytes(size)))) for size in range(0, 3000, 37)]
    check(local_cards[width], local_network(), frames, again(f"test_one_buffer_at_a_time[{width}]"), buffers=1)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_length_that_lies(local_cards, width: int) -> None:
    """Such a frame comes to nothing, is counted, and gives its buffer back; those around it arrive."""
    card, model = local_cards[width], local_network()
    good = [Frame(to(HERE, tcp_frame(4, bytes([n]) * 50 * n))) for n in range(1, 60)]
    frames = []
    for number, frame in enumerate(good):
        size = len(frame.data)
        frames += [frame, replace(frame, length=size + (-1, 1)[number & 1] * (width + number))]
    lying = [frame for frame in frames if frame.length is not None and frame.descriptor_length >= 14]
    start(card, model)
    result = card.transmit(frames, input_pause=0.2, seed=width, buffers=4)
    assert [as_delivery(one) for one in result.local] == expect_local(model, good), again(
        f"test_a_length_that_lies[{width}]"
    )
    read = counters.read(card)
    assert read["frames_in"] == len(frames)
    assert read["frames_local"] == len(good)
    assert read["drop.bad_length"] + read["drop.runt"] == len(frames) - len(good)
    assert read["drop.bad_length"] == len(lying)


@pytest.mark.parametrize("width", WIDTHS)
def test_never_into_another_vnet(local_cards, width: int) -> None:
    """Whatever the tables say: a vport of another vnet, or none, gets nothing."""
    card, model = local_cards[width], local_network()
    start(card, model)
    for vport in (62, 5):
        row = LOCAL_ROW.const({"valid": 1, "local": 1, "vport": vport}).as_bits()
        card.write_row(Table.LOCAL, LOCAL_WILDCARDS, row)
        result = card.transmit([Frame(to(bytes(6), tcp_frame(4, bytes(100))))] * 10)
        assert result.local == []
        assert result.packets == []
    read = counters.read(card)
    assert (read["frames_local"], read["drop.policy"]) == (0, 20)


def test_a_card_without(cards) -> None:
    """What cannot be handed over goes nowhere else."""
    start(cards[8], local_network())
    result = cards[8].transmit([Frame(to(HERE, tcp_frame(4, bytes(100)))), Frame(to(THERE, tcp_frame(4, bytes(100))))])
    read = counters.read(cards[8])
    assert (len(result.packets), result.local) == (1, [])
    assert (read["frames_in"], read["frames_sent"], read["drop.policy"], read["frames_local"]) == (2, 1, 1, 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_that_change(local_cards, width: int) -> None:
    """The entry is rewritten as frames stream: each goes one way or the other, once and whole."""
    card, model = local_cards[width], local_network("vxlan-v4")
    by_wire = replace(model, forwarding={**model.forwarding, (0, None): 0})
    start(card, by_wire)
    frames = [Frame(bytes(6) + number.to_bytes(8, "big") + bytes(200 + number % 700)) for number in range(3000)]
    here = LOCAL_ROW.const({"valid": 1, "local": 1, "vport": 2}).as_bits()
    changes = iter(range(10_000))

    def change(*_: object) -> None:
        card.write_row(Table.LOCAL, LOCAL_WILDCARDS, 0 if next(changes) & 1 else here)

    result = card.transmit(frames, progress=change, chunk=2_000, seed=width)
    inner = 8 + 8 + 20 + 14  # VXLAN's headers
    sent = [packet.data[inner:] for packet in result.packets]
    local = [one.data for one in result.local]
    assert sorted(sent + local) == sorted(frame.data for frame in frames), again(f"test_tables_that_change[{width}]")
    assert sent == sorted(sent)
    assert local == sorted(local)
    assert sent
    assert local
    assert all(one.vports == 1 << 2 for one in result.local)
