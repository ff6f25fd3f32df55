"""The benchmark with the compiled cards: what it claims."""

from collections.abc import Iterator

import pytest

from hdl.config import PRESETS
from host import article, benchmark, loss, rfc2544, saturate
from host.encapsulations import all_tunnels
from host.link import Link, open_link, open_receiver

NAMES = ("plain", "gre key ipv4", "geneve ipv4", "stt frame ipv4")
PACKETS = 100_000


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    with open_link(PRESETS["10g"]) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_one_flow(name: str, link: Link) -> None:
    """Every byte, within 1 % of the wire's limit, in as few frames as were sent."""
    row = article.one_flow(name, 24)(link)
    assert row["ratio"] >= benchmark.NEAR_ENOUGH and row["wire_utilisation"] >= 0.999
    assert row["packets_per_completion"] >= benchmark.MERGED[1]


def test_an_stt_frame_is_complete_at_once(link: Link) -> None:
    assert article.one_flow("stt frame ipv4", 24)(link)["completion_cycles_max"] <= benchmark.STT_COMPLETION


def test_both_directions(link: Link) -> None:
    ways = [article.one_way("gre key ipv4", 6, card)(link) for card in (1, 2)]
    row = article.row("gre key ipv4", 8, ways)
    assert row["ratio"] >= benchmark.NEAR_ENOUGH and row["goodput_bps"] > 18e9


@pytest.mark.parametrize("name", ("gre key ipv4", "stt frame ipv4"))
def test_flows_that_take_turns(name: str, link: Link) -> None:
    row = article.taking_turns(name, 1)(link)
    assert row["open_peak"] == 64 and row["packets_per_completion"] >= benchmark.MERGED[article.INTERLEAVED]


@pytest.mark.parametrize("name", NAMES)
def test_small_packets(name: str, link: Link) -> None:
    row = rfc2544.measure(name, 64, 400)(link)
    assert row["throughput_load"] == 1 and row["back_to_back"] == 400
    assert row["packets_per_second"] == pytest.approx(row["limit_packets_per_second"], rel=1e-3)


def test_loss(link: Link) -> None:
    for name in (loss.GRE, loss.STT):
        without, some = loss.sweep(name, 12, (0.0, 0.02))(link)
        assert without["delivered"] == 1 > some["delivered"] > 0 and some["overruns"] == 0


@pytest.mark.parametrize("size", (64, 90, 160))
@pytest.mark.parametrize("name", ("plain", "gre key ipv4", "vxlan ipv4", "stt frame ipv4"))
def test_a_saturated_wire(name: str, size: int, link: Link) -> None:
    if saturate.sizes_of(name, [size]):
        row = saturate.measure(name, size, 5_000)(link.far)
        assert saturate.keeps_up(row) and row["wire_utilisation"] > 0.999, row


@pytest.mark.full
@pytest.mark.parametrize("preset", ("10g", "100g"))
@pytest.mark.parametrize("name", all_tunnels())
def test_every_size(name: str, preset: str) -> None:
    with open_receiver(PRESETS[preset]) as card:
        for size in saturate.sizes_of(name, saturate.SIZES):
            if saturate.clock_allows(card.config, size) == 1:
                row = saturate.measure(name, size, PACKETS)(card)
                assert saturate.keeps_up(row) and row["packets"] >= PACKETS, row


@pytest.mark.full
@pytest.mark.xfail(strict=True, reason="two beats at 250 MHz take longer than 69 to 79 bytes on a line of 100 Gb/s")
@pytest.mark.parametrize("size", (69, 79))
def test_sizes_that_the_clock_is_too_slow_for(size: int) -> None:
    with open_receiver(PRESETS["100g"]) as card:
        assert saturate.keeps_up(saturate.measure("plain", size, PACKETS)(card))
