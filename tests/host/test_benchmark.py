"""`tunnelnic bench`: the article's tables, RFC 2544 and a lossy wire, with fake cards."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hdl.config import PRESETS
from host import article, benchmark, loss, plot, rfc2544
from host.article import NAMES, sentence
from host.link import Link, open_link, several
from tests.host.conftest import Ran
from tests.host.fake_receiver import LATENCY, FakeReceiver

Run = Callable[..., Ran]
NIC = PRESETS["10g"]
SMALL = replace(
    benchmark.QUICK,
    writes=12,
    sizes=(64, 1518),
    trial=30,
    lossy_writes=8,
    losses=(0.0, 0.01),
    names=("plain", "gre key ipv4", "stt frame ipv4"),
)


def quiet(*_: Any) -> None:
    pass


@pytest.fixture
def links(fake_receiver: type[FakeReceiver]) -> Iterator[list[Link]]:
    with several(open_link, NIC) as found:
        yield found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "QUICK", SMALL)


class TestCommand:
    def test_all_of_it(self, run: Run, fake_receiver: type[FakeReceiver], small: None, tmp_path: Path) -> None:
        path, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
        ran = run("bench", "--quick", "--json", path, "--plot", picture)
        assert ran.code == 0, ran.err + ran.out
        found = json.loads(path.read_text())
        keys = {"encapsulation", "flows", "directions", "goodput_bps", "limit_bps", "packets", "host_events_per_gb"}
        assert all(keys <= set(row) for row in found["rows"])
        kinds = [(row["flows"], row["directions"]) for row in found["rows"]]
        assert kinds == [kind for kind in ((1, 1), (8, 2), (64, 1)) for _ in SMALL.names]
        assert {"small_packets", "loss", "article", "summary"} <= set(found) and not found["shortfalls"]
        assert " ".join(ran.out.split()).endswith("times as much.") and "2.3 Gb/s" in ran.out
        assert "article: OVS-GRE" in ran.out and "NVGRE" not in ran.out
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")

    def test_json_to_standard_output(self, run: Run, fake_receiver: type[FakeReceiver], small: None) -> None:
        assert json.loads(run("bench", "--quick", "--json", "-").out)["preset"] == "10g"

    def test_a_shortfall_is_said_and_fails(self, run: Run, fake_receiver: type[FakeReceiver], small: None) -> None:
        fake_receiver.too_slow = staticmethod(lambda number, times: len(times) == 30 and number == 7)
        ran = run("bench", "--quick")
        assert ran.code == 1
        assert "too little: plain, frames of 64 bytes: without loss only up to 0% of the line" in ran.out

    def test_a_wrong_byte_is_a_mismatch(self, run: Run, fake_receiver: type[FakeReceiver], small: None) -> None:
        fake_receiver.spoil = staticmethod(lambda found: found[1:])
        ran = run("bench", "--quick")
        assert (ran.code, ran.out) == (1, "")
        assert "plain, one flow: 360,448 of 393,216 bytes" in ran.err and ran.err.count("\n") == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("bench", "--preset", "40g"), "there is no preset '40g'"),
            (("bench", "--plot", "/nowhere/x.svg"), "there is no folder /nowhere"),
            (("bench", "--json", "/nowhere/x.json"), "there is no folder /nowhere"),
            (("bench", "--quick", "tx"), "options of `bench` itself"),
        ],
    )
    def test_usage(self, words: tuple[str, ...], message: str, run: Run) -> None:
        ran = run(*words)
        assert (ran.code, ran.out) == (2, "") and message in ran.err


class TestArticle:
    def test_figures(self, links: list[Link]) -> None:
        rows = article.article(links, ["gre key ipv4"], 8, 1, quiet)
        one, both, many = rows
        # 32 KB at 1406 bytes a segment: 23 full packets of 1514 bytes and one of 430 + 66 + 42.
        wire_time = 23 * (1514 + 24) + 430 + 66 + 42 + 24
        assert one["limit_bps"] == pytest.approx(10e9 * 32768 / wire_time)
        assert both["limit_bps"] == pytest.approx(2 * one["limit_bps"])
        assert (one["packets"], both["packets"], many["packets"]) == (8 * 24, 2 * 8 * 24, 64 * 24)
        assert one["host_events_per_gb"] == pytest.approx(2 * 1e9 / 32768)
        assert one["software_packets_per_gb"] == pytest.approx(2 * 24 * 1e9 / 32768)
        assert all(row["packets_per_completion"] == 24 and row["completion_cycles_max"] == LATENCY for row in rows)
        assert many["open_peak"] == 64
        assert all(0.99 < row["ratio"] < 1 for row in rows)

    def test_sentence(self) -> None:
        rows = [
            {"encapsulation": "gre key ipv4", "flows": flows, "goodput_bps": goodput, "ratio": 0.998}
            for flows, goodput in ((1, 9.2e9), (8, 18.4e9))
        ]
        assert "9.20 Gb/s" in sentence(rows, NIC) and sentence(rows, NIC).endswith("this is 4.0 and 8.0 times as much.")
        assert "this one has 100)" in sentence(rows, PRESETS["100g"])
        assert "not measured" in sentence([], NIC)

    def test_shortfalls(self) -> None:
        good = {"ratio": 0.995, "packets_per_completion": 22, "completion_cycles_max": 64, "directions": 1, "flows": 1}
        for name, change, message in (
            ("gre key ipv4", {"ratio": 0.98}, "98.00% of the wire's limit"),
            ("gre key ipv4", {"packets_per_completion": 20.9}, "20.9 packets a delivered frame, not 21"),
            ("gre key ipv4", {"packets_per_completion": 17.9, "flows": 64}, "17.9 packets a delivered frame, not 18"),
            ("stt frame ipv4", {"completion_cycles_max": 65}, "65 cycles to completion, not 64"),
        ):
            assert benchmark.shortfalls([{"encapsulation": name, **good}], []) == []
            (line,) = benchmark.shortfalls([{"encapsulation": name, **good, **change}], [])
            assert message in line


class TestRfc2544:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("size", rfc2544.SIZES)
    def test_line_rate(self, name: str, size: int, links: list[Link]) -> None:
        row = rfc2544.measure(name, size, 5)(links[0])
        assert row["throughput_load"] == 1 and row["back_to_back"] == 5
        assert row["latency_cycles"] == {"min": LATENCY, "mean": LATENCY, "max": LATENCY}
        assert row["latency_ns"]["mean"] == pytest.approx(LATENCY * 6.4)
        assert [(point["load"], point["lost"]) for point in row["frame_loss"]] == [(1.0, 0), (0.9, 0)]
        more = {"plain": 0, "gre key ipv4": 42, "nvgre ipv4": 42, "vxlan ipv4": 50, "geneve ipv4": 58}.get(name, 72)
        assert row["wire_bytes"] == size + more
        assert row["packets_per_second"] == pytest.approx(10e9 / 8 / (row["wire_bytes"] + 20))
        assert row["goodput_bps"] == row["limit_bps"] == pytest.approx(row["packets_per_second"] * (size - 46) * 8)

    def test_a_card_that_takes_seven_tenths(self, links: list[Link], fake_receiver: type[FakeReceiver]) -> None:
        """Throughput is found by halves, and the loss by steps of a tenth."""

        def too_slow(number: int, times: Sequence[Any]) -> bool:
            return bool(number and times[number] - times[number - 1] < 95.9)

        fake_receiver.too_slow = staticmethod(too_slow)
        row = rfc2544.measure("plain", 64, 30)(links[0])
        assert 0.69 <= row["throughput_load"] <= 0.7
        lost = {point["load"]: point["lost"] for point in row["frame_loss"]}
        assert lost == {1.0: 29 / 30, 0.9: 29 / 30, 0.8: 29 / 30, 0.7: 0, 0.6: 0}
        assert row["back_to_back"] == 1
        assert row["packets_per_second"] == pytest.approx(row["throughput_load"] * 14.88e6, rel=1e-3)

    def test_a_burst(self, links: list[Link], fake_receiver: type[FakeReceiver]) -> None:
        fake_receiver.too_slow = staticmethod(lambda number, times: number >= 17 and times[1] < 70)
        assert rfc2544.measure("plain", 64, 30)(links[0])["back_to_back"] == 17


class TestLoss:
    def test_sweep(self, links: list[Link]) -> None:
        found = loss.loss(links, 40, (0.0, 0.002, 0.02), quiet)
        rows = {(row["encapsulation"], row["loss"]): row for row in found["rows"]}
        assert rows[loss.STT, 0.0]["goodput_bps"] > rows[loss.GRE, 0.0]["goodput_bps"] > 9.1e9
        assert rows[loss.STT, 0.02]["goodput_bps"] < rows[loss.GRE, 0.02]["goodput_bps"]
        gre, stt = rows[loss.GRE, 0.02], rows[loss.STT, 0.02]
        assert gre["delivered"] == pytest.approx(1 - gre["packets_lost"] / gre["packets"], abs=0.001)
        assert stt["delivered"] == pytest.approx(0.98 ** stt["packets_per_frame"], abs=0.15)
        assert 0 < found["crossover"] < 0.02 and 0.001 < found["expected_crossover"] < 0.003
        assert "There is no TCP sender" in loss.sentence(found)

    def test_crossover(self) -> None:
        gre, stt = ([{"g": value} for value in values] for values in ((9, 8, 7), (10, 7, 1)))
        assert loss.crossover((0.0, 0.01, 0.02), gre, stt, "g") == pytest.approx(0.005)
        assert loss.crossover((0.0, 0.01, 0.02), stt[:1] * 3, gre[:1] * 3, "g") is None


def test_plot() -> None:
    rows = [
        {
            "encapsulation": name,
            "frame_bytes": size,
            "packets_per_second": 1e9 / size,
            "goodput_bps": 9e9,
            "latency_ns": {"mean": 200.0},
        }
        for name in NAMES
        for size in rfc2544.SIZES
    ]
    losses = [
        {"encapsulation": name, "loss": rate, "goodput_bps": 9e9}
        for name in (loss.GRE, loss.STT)
        for rate in loss.RATES
    ]
    text = plot.svg(rows, losses, "10g")
    root = ElementTree.fromstring(text)
    words = {element.text for element in root.iter() if element.text}
    assert {"10g: throughput", "goodput", "latency", "GRE", "STT", "64", "1518"} <= words
    assert len([element for element in root.iter() if element.tag.endswith("path")]) >= 3 * len(NAMES) + 2
