"""`tunnelnic bench rx`: the packets are what they are said to be, and what is lost is shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from driver import receive
from hdl.config import PRESETS
from hdl.registers import tables
from host import saturate
from host.encapsulations import all_tunnels
from host.saturate import full, measure, packets, sizes_of, smallest, tunnels_of
from tests.host.conftest import Ran
from tests.host.fake_receiver import FakeReceiver

Run = Callable[..., Ran]
NIC = PRESETS["10g"]


@pytest.mark.parametrize("name", all_tunnels())
def test_every_packet_is_taken_and_every_context_open(name: str, fake_receiver: type[FakeReceiver]) -> None:
    """By the model: at the smallest size, and at one with TCP in it."""
    least = sizes_of(name, range(64, 161))[0]
    for size in (least, 160):
        card = fake_receiver(NIC)
        row = measure(name, size, 1000)(card)
        assert saturate.keeps_up(row) and row["wire_bytes"] == size
        values = all_tunnels()[name]
        round_ = packets(None if values is None else tunnels_of(values), size, NIC.contexts)
        assert {len(packet) + 4 for packet in round_} == {size} and row["packets"] == 2 * len(round_)
        assert card.inside is not None
        if size > least and not name.startswith("stt segment"):
            assert card.inside.open_peak == NIC.contexts, size
            assert row["packets_per_frame"] == 12


@pytest.mark.parametrize("name", ["plain", "gre ipv4", "gre key ipv6", "nvgre ipv4"])
def test_tables_are_full(name: str) -> None:
    values = all_tunnels()[name] or all_tunnels()["vxlan ipv4"]
    assert values is not None
    description = full(tunnels_of(values), bare=name == "plain")
    assert len(description.terminate) == 64 and len(description.local) == 16
    assert len(description.vports) == tables.VPORTS and len(description.uplink) == 4095
    assert receive.writes(description)


def test_sizes() -> None:
    assert smallest(None) == 64 and len(saturate.SIZES) == 102
    assert sizes_of("gre ipv6", (64, 75, 76, 77)) == [76, 77]


def test_what_the_clock_allows() -> None:
    """Without FCS 65 to 75 bytes are two beats of 64, which take longer than on a line of 100 Gb/s."""
    slow = [size for size in saturate.SIZES if saturate.clock_allows(PRESETS["100g"], size) < 1]
    assert slow == list(range(69, 80)) and saturate.clock_allows(PRESETS["100g"], 69) == pytest.approx(0.89)
    assert all(saturate.clock_allows(NIC, size) == 1 for size in saturate.SIZES)


@pytest.mark.parametrize(
    ("change", "best"),
    [
        ({}, True),
        ({"wire_utilisation": 0.899}, False),
        ({"clock_allows": 1.0}, False),
        ({"lost": {"no_buffer": 1}}, False),
        ({"overruns": 0, "clock_allows": 1.0}, True),
    ],
)
def test_losing_no_more_than_the_clock_makes_it(change: dict[str, object], best: bool) -> None:
    row = {"overruns": 100, "lost": {}, "packets": 1000, "wire_utilisation": 0.9001, "clock_allows": 0.901} | change
    assert saturate.does_its_best(row) is best


def test_what_is_shown_as_lost() -> None:
    good = {"overruns": 0, "lost": {}, "packets": 1000, "wire_utilisation": 1.0, "clock_allows": 1.0, "wire_bytes": 64}
    slow = [
        good | {"overruns": 9, "wire_utilisation": part, "clock_allows": part, "wire_bytes": size}
        for part, size in ((0.89, 69), (0.94, 74), (0.99, 79))
    ]
    bad = good | {"overruns": 1000, "lost": {"no_buffer": 2}, "wire_bytes": 128}
    assert saturate.losses([good]) == "[green]none[/]"
    assert saturate.losses([good, *slow]) == "[yellow]69 to 79: the clock allows 89% to 99%[/]"
    assert saturate.losses([bad, *slow]).startswith("[bold red]128: 1,002[/], [yellow]69")


def test_command(run: Run, fake_receiver: type[FakeReceiver], tmp_path: Path) -> None:
    path = tmp_path / "rx.json"
    words = ("bench", "rx", "--preset", "10g", "--encapsulation", "gre ipv6", "--size", 64, "--size", 128)
    ran = run(*words, "--json", path)
    assert ran.code == 0 and "none" in ran.out, ran.err
    assert [row["wire_bytes"] for row in json.loads(path.read_text())["rows"]] == [128]
    fake_receiver.too_slow = staticmethod(lambda number, times: number == 5)
    ran = run(*words)
    assert ran.code == 1 and "128: 1" in ran.out


def test_shards(run: Run, fake_receiver: type[FakeReceiver], tmp_path: Path) -> None:
    """All rows come once, and merged they are what one run shows."""
    words: tuple[str | int, ...] = ("bench", "rx", "--preset", "10g")
    words += ("--encapsulation", "gre ipv4", "--encapsulation", "plain")
    words += tuple(word for size in (64, 80, 100, 128, 256) for word in ("--size", size))
    assert run(*words, "--json", tmp_path / "all.json").code == 0
    files = []
    for part in (1, 2, 3):
        files.append(tmp_path / f"{part}.json")
        assert run(*words, "--shard", f"{part}/3", "--json", files[-1]).code == 0

    def rows(path: Path) -> list[dict[str, object]]:
        return [
            {name: value for name, value in row.items() if name != "simulation_cycles_per_second"}
            for row in json.loads(path.read_text())["rows"]
        ]

    assert sum(len(rows(file)) for file in files) == len(rows(tmp_path / "all.json")) == 10
    merging = [word for file in files for word in ("--merge", file)]
    ran = run("bench", "rx", *merging, "--json", tmp_path / "merged.json")
    assert ran.code == 0 and "none" in ran.out, ran.err
    key = ("encapsulation", "wire_bytes")

    def ordered(path: Path) -> list[dict[str, object]]:
        return sorted(rows(path), key=lambda row: [str(row[name]) for name in key])

    assert ordered(tmp_path / "merged.json") == ordered(tmp_path / "all.json")


@pytest.mark.parametrize("words", [("--shard", "0/3"), ("--shard", "4/3"), ("--shard", "x"), ("--merge", "absent")])
def test_shards_that_are_none(run: Run, words: tuple[str, ...]) -> None:
    ran = run("bench", "rx", "--preset", "10g", *words)
    assert ran.code == 2 and len(ran.err.splitlines()) == 1, ran.err
