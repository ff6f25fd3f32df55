"""The kernel's coalescing cases in `tests/vectors/gro`, whose README says what is in them."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "vectors" / "gro"
FILES = tuple(sorted(path.name for path in FOLDER.glob("*.jsonl.gz")))


@dataclass(frozen=True)
class Frame:
    """What the kernel handed up."""

    packets: tuple[int, ...]  # numbers of the packets in it
    content: bytes
    gso_size: int
    gso_type: int
    flags: int  # 1: checksum partial, 2: good, 0: not looked at


@dataclass(frozen=True)
class Case:
    name: str
    kernel: str
    family: str  # of cases: what is tried
    varies: str
    links: tuple[str, ...]  # `ip link add` arguments, one a tunnel
    packets: tuple[bytes, ...]
    frames: tuple[Frame, ...]  # as coalescing made them
    handed: tuple[Frame, ...]  # as the TAP device was handed them: cut again where it could not carry them
    missing: tuple[int, ...]  # numbers of the packets that the kernel dropped

    def __str__(self) -> str:
        return self.name


def load(*files: str) -> Iterator[Case]:
    """The cases of some files, or of all."""
    for file in files or FILES:
        with gzip.open(FOLDER / file, "rt") as lines:
            for line in lines:
                case = json.loads(line)
                yield Case(
                    name=case["name"],
                    kernel=case["kernel"],
                    family=case["case"].split("_")[0],
                    varies=case["varies"],
                    links=tuple(case["link_args"]),
                    packets=tuple(map(bytes.fromhex, case["packets"])),
                    frames=tuple(map(frame_of, case.get("frames_gro", case["frames"]))),
                    handed=tuple(map(frame_of, case["frames"])),
                    missing=tuple(case["missing"]),
                )


def frame_of(entry: dict) -> Frame:
    return Frame(
        tuple(entry["from"]), bytes.fromhex(entry["bytes"]), entry["gso_size"], entry["gso_type"], entry["flags"]
    )
