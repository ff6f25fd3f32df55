"""The receiving card's harness, with a stand-in in place of the receive path that hands every packet up."""

import random
import time
from fractions import Fraction

import pytest

from hdl.config import PRESETS, NicConfig
from hdl.registers.receive import ChecksumStatus, RxReason
from hdl.rx.layouts import Delivery, place_beat
from sim.card import CardError, CardHang, VirtualReceiver
from tests.sim.card.handup import (
    CUT,
    DELIVERY_XOR,
    GARBLE_DELIVERY,
    GARBLE_PLACE,
    HOLD,
    INPUTS,
    PLACE_XOR,
    SPLIT,
    STOP,
    HandUp,
)

TEN = PRESETS["10g"]
SIZES = (1, 7, 8, 9, 59, 60, 63, 64, 65, 128, 1514, 9022)


@pytest.fixture(scope="module", params=["10g", "100g"])
def config(request) -> NicConfig:
    return PRESETS[request.param]


@pytest.fixture(scope="module")
def shared(config):
    with VirtualReceiver(config, component=HandUp(config)) as card:
        yield card


@pytest.fixture
def card(shared):
    shared.reset()
    return shared


def random_packets(seed: int, count: int) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(source.choice((*SIZES[:-2], source.randrange(1, 3000)))) for _ in range(count)]


def spaced(config: NicConfig, packets: list[bytes], bytes_between: int = 256) -> list[Fraction]:
    """Times, in nanoseconds, at which a card that makes a pause between two packets can take all of them."""
    times, at = [], 0
    for packet in packets:
        times.append(Fraction(8 * 10**9 * at, config.line_bps))
        at += len(packet) + bytes_between
    return times


def change_delivery(card: VirtualReceiver, **fields) -> None:
    """From now on deliveries differ in these fields (that are 0 otherwise) from the plain ones."""
    bits = Delivery.const(fields).as_bits()
    for word in range(16):
        card.write_row(0, DELIVERY_XOR + word, bits >> 32 * word & 0xFFFFFFFF)


def change_place(card: VirtualReceiver, **fields) -> None:
    """From now on the second placement of every packet has these bits turned over."""
    bits = place_beat(card.config.width).const(fields).as_bits() >> 8 * card.config.width
    for word in range(2):
        card.write_row(0, PLACE_XOR + word, bits >> 32 * word & 0xFFFFFFFF)


def contents(result) -> list[bytes]:
    return [delivery.data for delivery in result.deliveries]


# -- packets and their deliveries


@pytest.mark.parametrize("pauses", [(0, 0, 0), (0.3, 0, 0), (0, 0.6, 0), (0, 0, 0.7), (0.4, 0.5, 0.5)])
@pytest.mark.parametrize("line_rate", [True, False])
def test_bytes_in_are_bytes_out(card, pauses, line_rate):
    packets = random_packets(1, 200)
    times = spaced(card.config, packets, 1_000) if line_rate else None
    card.mac_fifo = 100_000
    result = card.receive(
        packets,
        times=times,
        line_rate=line_rate,
        input_pause=pauses[0],
        place_pause=pauses[1],
        delivery_pause=pauses[2],
        seed=4,
    )
    card.mac_fifo = 256
    assert contents(result) == packets
    assert (result.overruns, result.lost, result.held, result.buffers_left) == (0, {}, 0, 0)


def test_several_calls_do_not_mix(card):
    for seed in range(3):
        packets = random_packets(seed, 20)
        assert contents(card.receive(packets, line_rate=False)) == packets
    assert card.receive([]).deliveries == []


def test_more_packets_than_buffers(card):
    packets = random_packets(5, 3_000)
    result = card.receive(packets, line_rate=False, buffers=2)
    assert contents(result) == packets
    assert result.buffer_peak == 1  # the stand-in fills one at a time


def test_without_buffers_nothing_moves(card):
    with pytest.raises(CardHang, match=r"3 packets wait, .* buffer_valid 0, buffer_ready 1\..* 0 buffers are the card"):
        card.receive([bytes(100)] * 3, line_rate=False, buffers=0)


def test_the_record_is_decoded(card):
    fields = {
        **{"vports": 1 << 63 | 5, "queue": 9, "gso_size": 1448, "tcpv6": 1, "fixed_id": 1, "ip_status": 1},
        **{"l4_status": 3, "packets": 0xABCC, "slow": 1, "hash": 0x89ABCDEF, "vnet": 33, "entry": 44, "tunnelled": 1},
        **{"tagged": 1, "tci": 0x8FFF, "cut": 1},
    }
    change_delivery(card, **fields)
    (delivery,) = card.receive([bytes(range(77))], line_rate=False).deliveries
    assert delivery.data == bytes(range(77))
    assert delivery.vport_set == {0, 2, 63} and delivery.queue == 9
    assert (delivery.gso_size, delivery.gso_type, delivery.fixed_id) == (1448, 4, True)
    assert (delivery.ip_status, delivery.l4_status) == (ChecksumStatus.GOOD, ChecksumStatus.PARTIAL)
    assert (delivery.packets, delivery.slow, delivery.hash) == (0xABCD, True, 0x89ABCDEF)
    assert (delivery.vnet, delivery.entry, delivery.tunnelled) == (33, 44, True)
    assert (delivery.tag, delivery.cut) == (0x8FFF, True)

    change_delivery(card, gso_size=1)
    (delivery,) = card.receive([b"x"], line_rate=False).deliveries
    assert (delivery.gso_type, delivery.tag, delivery.vports, delivery.cut) == (1, None, 0, False)
    change_delivery(card, tcpv6=1)
    assert card.receive([b"x"], line_rate=False).deliveries[0].gso_type == 0


PATCH = {
    **{"l3": 7, "l4": 17, "tos_word": 0x4501, "ip_checksum": 0xC0C1, "ip_length": 0x1112, "tcp_flags": 0x5018},
    **{"l4_checksum": 0xE0E1},
}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"ip": 1}, {7: 0x4501, 12: 0xC0C1}),
        ({"ip": 1, "ipv6": 1}, {7: 0x4501}),
        ({"merged": 1}, {8: 0x1112, 12: 0xC0C1, 23: 0x5018, 25: 0xE0E1}),
        ({"merged": 1, "ip": 1}, {7: 0x4501, 8: 0x1112, 12: 0xC0C1, 23: 0x5018, 25: 0xE0E1}),
        ({"merged": 1, "ipv6": 1}, {9: 0x1112, 23: 0x5018, 25: 0xE0E1}),
        ({}, {}),
    ],
)
def test_patches_are_written_into_the_frame(card, patch, words):
    packet = bytearray(random_packets(3, 1)[0] + bytes(60))
    change_delivery(card, patches={**PATCH, **patch})
    (delivery,) = card.receive([bytes(packet)], line_rate=False).deliveries
    for word, value in words.items():
        packet[2 * word : 2 * word + 2] = value.to_bytes(2, "big")
    assert delivery.data == packet


def test_lost_packets_are_counted_by_reason(card):
    change_delivery(card, reason=RxReason.GRE_VERSION, packets=3 ^ 1)
    result = card.receive([bytes(100)] * 5, line_rate=False, buffers=1)  # the buffer comes back each time
    assert result.deliveries == []
    assert result.lost == {RxReason.GRE_VERSION: 15}
    change_delivery(card)
    assert card.receive([bytes(100)], line_rate=False).lost == {}


def test_rows_counters_and_inputs(card):
    for row in range(8):
        card.write_row(3, row, 0x1111_1111 * row + 1)
    assert [card.read_counter(row) for row in range(8)] == [0x1111_1111 * row + 1 for row in range(8)]
    with pytest.raises(ValueError, match="no counter 99"):
        card.read_counter(99)
    card.receive([], idle=0x1234, timeout=0x5678)
    assert card.read_counter(INPUTS) == 0x5678_1234


def test_flush_comes_when_all_is_quiet(card):
    card.write_row(0, HOLD, 1)
    result = card.receive([bytes(100)], flush=False)
    assert (result.deliveries, result.held, result.buffers_left, result.open_peak) == ([], 1, 1, 1)
    result = card.receive([])
    assert [len(delivery.data) for delivery in result.deliveries] == [100]
    assert (result.held, result.buffers_left, result.buffer_peak, result.open_peak) == (0, 0, 1, 1)
    assert result.deliveries[0].cycle - result.deliveries[0].last_byte_cycle > 1_000


def test_time_goes_on_without_packets(card):
    card.write_row(0, HOLD, 1)
    assert card.receive([bytes(100)], flush=False, idle=60).deliveries == []
    (delivery,) = card.receive([], flush=False, idle=60, settle=20_000).deliveries
    assert 60 * 256 <= delivery.cycle - delivery.last_byte_cycle <= 60 * 256 + 2


# -- the line


@pytest.mark.parametrize("size", SIZES)
def test_the_line_brings_packets_at_its_rate(card, size):
    """The stand-in delivers a packet in the cycle behind its last beat's: when the line has brought all its bytes."""
    config = card.config
    packets = [bytes(size)] * 20
    result = card.receive(packets, times=spaced(config, packets))
    assert result.overruns == 0
    first = result.deliveries[0].last_byte_cycle
    cycle_ns, byte_ns = Fraction(10**9, config.clock_hz), Fraction(8 * 10**9, config.line_bps)
    for delivery, start in zip(result.deliveries, spaced(config, packets), strict=True):
        since = (delivery.last_byte_cycle - first) * cycle_ns
        assert abs(since - start) <= 2 * cycle_ns
        assert delivery.cycle == delivery.last_byte_cycle + 1
    # from reset: 4 words of settings are written before
    arrival = (8 + size) * byte_ns
    assert arrival <= (first + 1) * cycle_ns <= arrival + 4 * cycle_ns


def test_packets_are_back_to_back(card):
    """A packet takes max(length, 60) + 24 byte times, in the long run exactly."""
    config = card.config
    for size in (60, 61, 256, 1514):
        card.reset()
        count = 500
        result = card.receive([bytes(size)] * count)
        kept = count - result.overruns
        assert len(result.deliveries) == kept
        if result.overruns:
            assert config.width == 64 and size < 1514  # the stand-in rests two cycles after a packet
            continue
        cycles = result.deliveries[-1].last_byte_cycle - result.deliveries[0].last_byte_cycle
        exact = Fraction((count - 1) * (max(size, 60) + 24) * 8 * config.clock_hz, config.line_bps)
        assert abs(cycles - exact) < 2


def test_without_line_rate_a_beat_comes_every_cycle(card):
    beats = 100
    (delivery,) = card.receive([bytes(card.config.width * beats)], line_rate=False).deliveries
    assert delivery.last_byte_cycle <= beats + 2


def test_a_slow_card_loses_whole_packets(card):
    packets = [bytes([n]) * 1514 for n in range(200)]
    result = card.receive(packets, place_pause=0.5, seed=3)
    assert 20 < result.overruns < 180
    assert len(result.deliveries) == 200 - result.overruns
    assert set(contents(result)) <= set(packets)
    card.mac_fifo = 1 << 20
    assert contents(card.receive(packets, place_pause=0.5, seed=3)) == packets
    card.mac_fifo = 256


def test_times_are_kept(card):
    times = [0, 5_000, 5_000, Fraction(12_345_678, 1_000), 900_000]
    result = card.receive([bytes([n]) * 500 for n in range(5)], times=times)
    assert len(result.deliveries) == 5
    ns = [delivery.last_byte_cycle * 10**9 / card.config.clock_hz for delivery in result.deliveries]
    wire = 524 * 8 * 10**9 / card.config.line_bps
    for (later, earlier), apart in zip(
        ((1, 0), (2, 1), (3, 0), (4, 0)), (5_000, wire, 12_345.678, 900_000), strict=True
    ):
        assert abs(ns[later] - ns[earlier] - apart) < 15
    for wrong, message in (([0], "5 packets and 1 times"), ([-1] * 5, "time is -1 ns")):
        with pytest.raises(ValueError, match=message):
            card.receive([b"x"] * 5, times=wrong)


def test_pauses_are_repeatable(card):
    def cycles(seed: int) -> list[int]:
        card.reset()
        pauses = {"input_pause": 0.4, "place_pause": 0.3, "delivery_pause": 0.4}
        result = card.receive(random_packets(3, 50), line_rate=False, seed=seed, **pauses)
        return [delivery.cycle for delivery in result.deliveries]

    assert cycles(5) == cycles(5)
    assert cycles(5) != cycles(6)
    with pytest.raises(ValueError, match=r"place_pause is 1; it must be at least 0 and less than 1"):
        card.receive([b"x"], place_pause=1)


# -- measuring


@pytest.mark.parametrize("size", [1000, 1514, 9014])
def test_measure_at_line_rate(card, size):
    measured = card.measure([bytes(size)], warm_up_cycles=5_000, cycles=200_003)
    assert measured.cycles == 200_003
    assert measured.overruns == 0
    assert abs(measured.wire_units - measured.line_units) <= size + 24
    assert measured.bytes_in == measured.packets_in * size
    assert measured.bytes_out == measured.frames * size and measured.packets == measured.frames
    assert abs(measured.packets_in - measured.packets) <= 1


def test_measure_leaves_the_card_empty(card):
    assert card.measure(random_packets(6, 30), warm_up_cycles=100, cycles=10_000).frames
    packets = random_packets(7, 30)
    assert contents(card.receive(packets, line_rate=False)) == packets


def test_progress_is_told(card):
    told: list[tuple[int, int]] = []
    card.measure([bytes(100)], warm_up_cycles=0, cycles=120_000, progress=lambda *done: told.append(done))
    assert told == [(50_000, 120_000), (100_000, 120_000), (120_000, 120_000)]
    told.clear()
    card.receive([bytes(100)] * 10, times=[1_000_000] * 10, progress=lambda *done: told.append(done))
    assert told[0] == (0, 10) and told[-1] == (10, 10)


# -- what a card may do wrong


def test_a_card_that_stops_hangs(card):
    card.write_row(0, STOP, 1)
    with pytest.raises(CardHang, match=r"2 packets wait, 0 bytes of the first are taken\. i_valid 1, i_ready 0"):
        card.receive([bytes(100)] * 2)
    with pytest.raises(CardError, match="failed before; reset it"):
        card.receive([])
    card.reset()
    assert len(card.receive([bytes(100)] * 2, line_rate=False).deliveries) == 2


def test_a_placement_that_never_ends_hangs(card):
    card.write_row(0, CUT, 1)
    with pytest.raises(CardHang, match="a placement has begun and does not end"):
        card.receive([bytes(4 * card.config.width)])


@pytest.mark.parametrize("register", [GARBLE_PLACE, GARBLE_DELIVERY])
def test_output_that_changes_while_it_waits_is_an_error(card, register):
    card.write_row(0, register, 1)
    with pytest.raises(CardError, match="changed or was withdrawn"):
        card.receive([bytes(1500)] * 10, line_rate=False, place_pause=0.5, delivery_pause=0.5)


WRONG_PLACES = [
    # split into placements of one beat, offset as a function of the width, other bits turned over, message
    (False, lambda width: 0, {"bytes": 1}, r"a beat for buffer 0x1234 has \d+ valid bytes"),
    (False, lambda width: 0, {"last": 1}, None),
    (False, lambda width: 2 * width, {}, r"buffer 0x1234 at byte {3w} does not go on"),
    (False, lambda width: 0, {"handle": 1}, r"buffer 0x1235 at byte {1w} does not go on"),
    (True, lambda width: 0, {"handle": 1}, r"at byte {1w} of buffer 0x1235, which the card does not have"),
    (True, lambda width: width ^ 0xFFFC, {}, r"buffer 0x1234 goes beyond its last byte"),
    (True, lambda width: width, {}, r"byte 0 of buffer 0x1234 is placed twice"),
    (True, lambda width: width ^ (3 * width - 3), {}, r"byte {3w-3} of buffer 0x1234 is placed twice"),
    (True, lambda width: 0x4000, {}, r"buffer 0x1234, whose byte {1w} was never placed"),
    (True, lambda width: width ^ (width + 0x2001), {}, r"buffer 0x1234, whose byte {1w} was never placed"),
]


@pytest.mark.parametrize(("split", "offset", "fields", "message"), WRONG_PLACES)
def test_a_wrong_placement_is_an_error(card, split, offset, fields, message):
    width = card.config.width
    card.write_row(0, SPLIT, split)
    change_place(card, offset=offset(width), **fields)
    packet = bytes(10 * width)
    if message is None:
        assert contents(card.receive([packet])) == [packet]  # what goes on elsewhere is no jump
        return
    for name, value in {"{1w}": width, "{3w}": 3 * width, "{3w-3}": 3 * width - 3}.items():
        message = message.replace(name, str(value))
    with pytest.raises(CardError, match=message):
        card.receive([packet], once=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"handle": 1}, "0x1235, which the card does not have"),
        ({"claimed": 1}, "0x1234, which the card does not have or did not claim"),
        ({"reason": 4, "handle": 1}, "0x1235, which the card does not have"),
        ({"length": 100 ^ 101}, "0x1234, whose byte 100 was never placed"),
        ({"length": 100 ^ 65_637}, "delivery of 65637 bytes in buffer 0x1234"),
        ({"patches": {"merged": 1, "l4": 45}}, "0x1234 with a patch at byte 102, beyond"),
        ({"patches": {"ip": 1, "l3": 15, "ipv6": 1}}, None),
    ],
)
def test_a_wrong_delivery_is_an_error(card, fields, message):
    change_delivery(card, **fields)
    if message is None:
        assert len(card.receive([bytes(100)]).deliveries) == 1
        return
    with pytest.raises(CardError, match=message):
        card.receive([bytes(100)])


def test_a_reason_without_a_buffer_gives_none_back(card):
    """The stand-in forgets its buffer, so that with two it comes to a halt after two packets."""
    change_delivery(card, reason=RxReason.NO_BUFFER, claimed=1)
    with pytest.raises(CardHang, match="1 packets wait"):
        card.receive([bytes(100)] * 3, line_rate=False, buffers=2)


def test_a_call_says_what_is_wrong_with_it(card):
    for wrong, message in (
        ({"packets": [b"x", b""]}, "packet 1 has no bytes"),
        ({"packets": [], "idle": 1 << 16}, "idle is 65536"),
        ({"packets": [], "timeout": -1}, "timeout is -1"),
        ({"packets": [], "buffers": 65_537}, "buffers is 65537"),
    ):
        with pytest.raises(ValueError, match=message):
            card.receive(**wrong)


def test_speed(config, shared, capsys):
    """Not a limit on the receive path's speed but on the harness's own: it must not be what costs time."""
    shared.reset()
    began = time.perf_counter()
    with VirtualReceiver(config, component=HandUp(config)):
        ready = time.perf_counter() - began
    measured = shared.measure([bytes(1500)], warm_up_cycles=1_000, cycles=2_000_000)
    with capsys.disabled():
        print(f"\n{config.name} hand-up: {measured.cycles_per_second:,.0f} cycles/s, from the cache in {ready:.2f} s")
    assert measured.cycles_per_second > 500_000


@pytest.mark.full
def test_waveform(tmp_path):
    path = tmp_path / "card.vcd"
    with VirtualReceiver(TEN, component=HandUp(TEN), trace=path) as card:
        card.receive([bytes(range(64))])
    text = path.read_text()
    assert "delivery__payload" in text and "register_7" in text and "$timescale" in text
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert times[2] - times[0] == 6400  # picoseconds
