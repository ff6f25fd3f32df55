"""The virtual card's harness, with a loopback in place of the transmit path."""

import random
import time
from fractions import Fraction

import pytest

from hdl.config import PRESETS, NicConfig
from hdl.registers.tables import Table
from sim.card import CardError, CardHang, Frame, VirtualCard
from sim.card.base import rate_of
from sim.card.build import build
from tests.sim.card.loopback import CUT, GARBLE, STOP, Loopback

TEN, HUNDRED = PRESETS["10g"], PRESETS["100g"]


@pytest.fixture(scope="module", params=["10g", "100g"])
def config(request) -> NicConfig:
    return PRESETS[request.param]


@pytest.fixture
def card(config):
    with VirtualCard(config, component=Loopback(config)) as card:
        yield card


def random_frames(seed: int, count: int) -> list[Frame]:
    source = random.Random(seed)
    sizes = [source.choice((1, 7, 8, 9, 59, 60, 63, 64, 65, source.randrange(1, 3000))) for _ in range(count)]
    return [Frame(source.randbytes(size), vport=source.randrange(64)) for size in sizes]


@pytest.mark.parametrize("pauses", [(0, 0), (0.3, 0), (0, 0.6), (0.5, 0.5)])
@pytest.mark.parametrize("wire", [True, False])
def test_bytes_in_are_bytes_out(card, pauses, wire):
    frames = random_frames(1, 200)
    result = card.transmit(frames, input_pause=pauses[0], output_pause=pauses[1], wire=wire, seed=4)
    assert [packet.data for packet in result.packets] == [frame.data for frame in frames]
    assert result.wire.frames_in == len(frames)
    assert result.wire.bytes_in == result.wire.bytes_out == sum(len(frame.data) for frame in frames)


def test_several_transmissions_do_not_mix(card):
    for seed in range(3):
        frames = random_frames(seed, 20)
        assert [packet.data for packet in card.transmit(frames).packets] == [frame.data for frame in frames]
    assert card.transmit([]).packets == []


def test_meta_is_the_descriptors(card):
    """The loopback counts the bytes of the last beat from the descriptor's length."""
    width = card.config.width
    frame = Frame(bytes(range(1, width + 1)), vport=63, gso_size=65535, accecn=True, length=width - 3)
    assert [packet.data for packet in card.transmit([frame]).packets] == [frame.data[:-3]]


def test_frame_without_bytes_is_one_beat(card):
    frames = [Frame(b""), Frame(b"one"), Frame(b""), Frame(b"")]
    result = card.transmit(frames)
    assert [packet.data for packet in result.packets] == [b"one"]
    assert result.wire.frames_in == 4


def test_rows_and_counters(card):
    for row in range(8):
        card.write_row(Table.TUNNEL, row, 0x1111_1111 * row + 1)
    assert [card.read_counter(row) for row in range(8)] == [0x1111_1111 * row + 1 for row in range(8)]
    with pytest.raises(ValueError, match="no counter 99"):
        card.read_counter(99)


def test_packets_start_back_to_back_on_the_line(card):
    """Each packet starts exactly when the one before it has taken max(length, 60) + 24 byte times."""
    byte_ns = Fraction(8 * 10**9, card.config.line_bps)
    for frames in ([Frame(bytes(size)) for size in (1, 59, 60, 61, 1500, 64, 9000)] * 20, random_frames(2, 300)):
        packets = card.transmit(frames).packets
        at = packets[0].start_ns
        cycle_ns = Fraction(10**9, card.config.clock_hz)
        for packet in packets:
            first = (packet.cycle + 1) * cycle_ns  # a byte cannot be on the line before it came
            assert packet.start_ns == max(at, first)
            at = packet.start_ns + (max(len(packet.data), 60) + 24) * byte_ns


@pytest.mark.parametrize("size", [1500, 1514, 9000])
def test_a_full_line_is_exactly_full(card, size):
    """The loopback keeps up with frames of whole beats, so that the line is busy in every tick and never more."""
    measured = card.measure([Frame(bytes(size))], warm_up_cycles=5_000, cycles=200_003)
    assert measured.cycles == 200_003
    assert measured.wire_utilisation == 1
    assert measured.wire_units == measured.line_units
    assert abs(measured.ideal_wire_units - measured.line_units) <= card.mac_fifo + size + 24
    assert measured.bytes_out == measured.packets * size
    assert measured.underruns == 0


@pytest.mark.parametrize("line_bps", [3_000_000_001, 9_999_999_999, 1_000_000_000])
def test_odd_rates_do_not_drift(line_bps):
    config = TEN.replace(line_bps=line_bps)
    with VirtualCard(config, component=Loopback(config)) as card:
        packets = card.transmit([Frame(bytes(1000))] * 500).packets
        assert packets[-1].start_ns - packets[0].start_ns == Fraction(499 * 1024 * 8 * 10**9, line_bps)


def test_a_starved_line_is_not_full():
    """With a pause in every second cycle or so, the host gives half a line's bytes; the line notices each late beat."""
    with VirtualCard(TEN, component=Loopback(TEN)) as card:
        wire = card.transmit([Frame(bytes(1500))] * 200, input_pause=0.5, seed=9).wire
        assert 0.4 < wire.wire_utilisation < 0.6
        assert wire.underruns > 1000


def test_the_mac_holds_back():
    """At a tenth of the card's rate the MAC's FIFO is what is ahead of the line: never more than it and one beat."""
    config = TEN.replace(line_bps=1_000_000_000)
    with VirtualCard(config, component=Loopback(config), mac_fifo=500) as card:
        result = card.transmit([Frame(bytes(1000))] * 50)
        assert result.underruns == 0
        for packet in result.packets:
            given_ns = Fraction((packet.last_cycle + 1) * 10**9, config.clock_hz)
            line_ns = packet.start_ns + (8 + 1000 + 16) * 8
            assert line_ns - given_ns <= (500 + 8 + 16) * 8


def test_pauses_are_repeatable(card):
    frames = random_frames(3, 50)

    def cycles(seed: int) -> list[int]:
        card.reset()
        result = card.transmit(frames, input_pause=0.4, output_pause=0.4, wire=False, seed=seed)
        return [packet.cycle for packet in result.packets]

    assert cycles(5) == cycles(5)
    assert cycles(5) != cycles(6)


def test_pauses_have_the_asked_chance(card):
    beats = 1_500
    frames = [Frame(bytes(card.config.width * beats))]
    card.reset()
    packet = card.transmit(frames, input_pause=0.75, wire=False, seed=1).packets[0]
    assert 3.5 < (packet.last_cycle - packet.cycle) / beats < 4.5  # 1 / (1 - 0.75)
    with pytest.raises(ValueError, match=r"input_pause is 1; it must be at least 0 and less than 1"):
        card.transmit(frames, input_pause=1)


def test_measure_leaves_the_card_empty(card):
    frames = random_frames(7, 30)
    card.measure(random_frames(6, 30), warm_up_cycles=100, cycles=1_000)
    assert [packet.data for packet in card.transmit(frames).packets] == [frame.data for frame in frames]


def test_progress_is_told(card):
    told: list[tuple[int, int]] = []
    card.measure([Frame(bytes(100))], warm_up_cycles=0, cycles=120_000, progress=lambda *done: told.append(done))
    assert told == [(50_000, 120_000), (100_000, 120_000), (120_000, 120_000)]
    told.clear()
    card.transmit([Frame(bytes(100))] * 10, progress=lambda *done: told.append(done))
    assert told[-1] == (10, 10)


def test_a_card_that_stops_hangs(card):
    card.write_row(Table.VPORT, STOP, 1)
    with pytest.raises(CardHang, match=r"2 frames wait, 0 bytes of the first are taken\. i_valid 1, i_ready 0"):
        card.transmit([Frame(bytes(100))] * 2)
    with pytest.raises(CardHang):
        card.measure([Frame(bytes(100))], warm_up_cycles=100, cycles=100_000)
    card.reset()
    assert len(card.transmit([Frame(bytes(100))] * 2).packets) == 2


def test_a_packet_that_never_ends_hangs(card):
    card.write_row(Table.VPORT, CUT, 1)
    size = 4 * card.config.width
    with pytest.raises(CardHang, match=f"a packet is open after {size} bytes"):
        card.transmit([Frame(bytes(size))])


def test_output_that_changes_while_it_waits_is_an_error(card):
    card.write_row(Table.VPORT, GARBLE, 1)
    with pytest.raises(CardError, match="changed or withdrawn"):
        card.transmit([Frame(bytes(1500))] * 10, output_pause=0.5)


def test_ticks_are_the_exact_ratio():
    for config in (*PRESETS.values(), TEN.replace(line_bps=9_999_999_999)):
        rate = rate_of(config)
        assert rate.ticks_per_cycle * 8 * config.clock_hz == rate.ticks_per_byte * config.line_bps
    assert (rate_of(TEN).ticks_per_cycle, rate_of(TEN).ticks_per_byte) == (8, 1)


def test_a_frame_says_what_is_wrong_with_it():
    for wrong, message in (
        ({"vport": 64}, "vport is 64"),
        ({"gso_size": 65536}, "gso_size is 65536"),
        ({"length": 1 << 17}, "length is 131072"),
    ):
        with pytest.raises(ValueError, match=message):
            Frame(b"", **wrong)


def test_waveform(tmp_path):
    path = tmp_path / "card.vcd"
    with VirtualCard(TEN, component=Loopback(TEN), trace=path) as card:
        card.transmit([Frame(bytes(range(64)))])
    text = path.read_text()
    assert "o__payload" in text and "register_7" in text and "$timescale" in text
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert times[2] - times[0] == 6400  # picoseconds


def test_speed(config, capsys):
    """Not a limit on the transmit path's speed but on the harness's own: it must not be what costs time."""
    component = Loopback(config)
    build(config, component=component)
    began = time.perf_counter()
    with VirtualCard(config, component=Loopback(config)) as card:
        ready = time.perf_counter() - began
        measured = card.measure([Frame(bytes(1500))], warm_up_cycles=1_000, cycles=2_000_000)
    with capsys.disabled():
        print(f"\n{config.name} loopback: {measured.cycles_per_second:,.0f} cycles/s, from the cache in {ready:.2f} s")
    assert measured.cycles_per_second > 500_000
