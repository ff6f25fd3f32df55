"""Proofs of the placement of STT frames, each with faults that it must find."""

from pathlib import Path

import pytest

from hdl.rx.reassemble import frames, holes
from hdl.rx.reassemble.loop import Loop
from tests.formal.placement import AnyTraffic, OneList
from tests.formal.prove import mutant, prove

AT_ONCE = Loop(())  # a chunk every cycle
SLOWLY = Loop(tuple(range(6)), rows=2, block_ram=True)  # a register at every joint, as at 8 bytes a beat
HOLES, FRAMES, SLOTS = (f"hdl.rx.reassemble.{name}" for name in ("holes", "frames", "slots"))


def test_list(tmp_path: Path) -> None:
    """Of any number of fragments: a byte that is missing is in one hole, any other in none. By induction."""
    found = prove(OneList(holes.Holes), tmp_path, mode="prove", depth=2)
    assert found.holds, found.log


def test_list_is_used(tmp_path: Path) -> None:
    """A hole can be split, and the last one close."""
    found = prove(OneList(holes.Holes), tmp_path, mode="cover", depth=6)
    assert found.holds, found.log


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            "behind.eq(hole.end - end)", "behind.eq(hole.end - end + 1)", id="data: takes a byte that is here"
        ),
        pytest.param(
            "second.start.eq(self.end)", "second.start.eq(self.end + 1)", id="data: forgets a byte that is missing"
        ),
        pytest.param("first.end.eq(self.start)", "first.end.eq(self.end)", id="data: takes a fragment twice"),
        pytest.param("(self.fresh | alone)", "(self.fresh | ~alone)", id="whole with a hole"),
        pytest.param("first.eq(last_hole)", "first.eq(hole)", id="a closed hole stays"),
        pytest.param("(m, self.fresh, hole, self.total)", "(m, self.fresh, hole, self.end)", id="length: too short"),
        pytest.param("length.lane + 1)", "length.lane)", id="length of the list"),
    ],
)
def test_list_faults(tmp_path: Path, old: str, new: str) -> None:
    found = prove(OneList(mutant(HOLES, old, new).Holes), tmp_path, mode="bmc", depth=7)
    assert found.status == "FAIL", found.log


def test_frames(tmp_path: Path) -> None:
    """Whatever comes in the first five steps."""
    found = prove(AnyTraffic(frames.Frames, loop=AT_ONCE), tmp_path, mode="bmc", depth=6)
    assert found.holds, found.log


@pytest.mark.full
@pytest.mark.parametrize(("loop", "depth"), [(AT_ONCE, 7), (SLOWLY, 28)])
def test_frames_longer(tmp_path: Path, loop: Loop, depth: int) -> None:
    found = prove(AnyTraffic(frames.Frames, loop=loop), tmp_path, mode="bmc", depth=depth)
    assert found.holds, found.log


def test_frames_are_used(tmp_path: Path) -> None:
    """A frame can become whole from three packets, and be given up for another one or for its age."""
    found = prove(AnyTraffic(frames.Frames, loop=AT_ONCE), tmp_path, mode="cover", depth=8)
    assert found.holds, found.log


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param(FRAMES, "slots.any & same.all()", "slots.any", id="data: into another frame's buffer"),
        pytest.param(FRAMES, "~fragment.barred & ~event.bad", "~fragment.barred", id="data: bad packets are taken"),
        pytest.param(
            FRAMES, "Mux(event.first, self.buffer_valid, held_buffer)", "self.buffer_valid", id="data: left out"
        ),
        pytest.param(FRAMES, "hit & ~fits", "hit & ~hit", id="length: lies are believed"),
        pytest.param(
            FRAMES, "record.total.eq(fragment.total)", "record.total.eq(fragment.end)", id="length: too short"
        ),
        pytest.param(FRAMES, "inside.eq(~chunk.last)", "inside.eq(0)", id="freed while it is written"),
        pytest.param(
            FRAMES,
            "opens = good & fresh & has_buffer",
            "opens = good & fresh",
            id="a slot for what was not taken",
        ),
    ],
)
def test_frames_faults(tmp_path: Path, module: str, old: str, new: str) -> None:
    found = prove(AnyTraffic(mutant(module, old, new).Frames, loop=AT_ONCE), tmp_path, mode="bmc", depth=6)
    assert found.status == "FAIL", found.log
