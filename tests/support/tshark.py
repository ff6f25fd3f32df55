"""Wireshark's word on packets: what it calls malformed, and fields as it reads them."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence

import pytest

from tests.support import pcap

CHECKED = ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum")
# An STT super-frame's TCP has no checksum yet: the receiving side finishes it.
BAD_TCP = "(tcp.checksum.status == 0 && !stt.flags.csum_partial == 1)"
BAD_CHECKSUM = " || ".join([*(f"{layer}.checksum.status == 0" for layer in ("ip", "udp", "gre")), BAD_TCP])
STT_FAULTS = ("data_offset_bad.expert", "version_unknown.expert", "mss_bad.expert", "l4offset_bad.expert")
STT_REASSEMBLY_FAULTS = ("segment.overlap", "segment.multipletails", "segment.toolongfragment", "segment.error")
FAULTY = " || ".join(["_ws.malformed", BAD_CHECKSUM, *(f"stt.{name}" for name in STT_FAULTS + STT_REASSEMBLY_FAULTS)])
# STT looks like TCP: only its heuristic tells them apart. Its own checksum check is wrong, and stays off.
STT = ("ip.try_heuristic_first", "ipv6.try_heuristic_first")


def find() -> str:
    """Where tshark is; skips the test where it is not, as on a machine whose user may not install packages."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not here to be asked: apt-get install tshark")
    return tshark


def run(packets: Iterable[bytes], *arguments: str, preferences: Sequence[str] = ()) -> list[str]:
    """Lines that tshark prints about these packets; skips the test where there is no tshark."""
    tshark = find()
    options = [word for name in preferences for word in ("-o", f"{name}:TRUE")]
    command = [tshark, "-n", "-r", "-", *options, *arguments]
    done = subprocess.run(command, input=pcap.write(packets), capture_output=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.decode()}")
    return done.stdout.decode().splitlines()


def problems(packets: Iterable[bytes], *, stt: bool = False) -> list[str]:
    """A line for each packet with a bad checksum at any layer or that is malformed; none if all is well."""
    preferences = (*CHECKED, *STT) if stt else CHECKED
    return run(packets, "-Y", FAULTY, preferences=preferences)


def fields(packets: Iterable[bytes], *names: str, where: str = "", stt: bool = False) -> list[list[str]]:
    """For each packet (that fits the display filter `where`) the values of these fields."""
    words = [word for name in names for word in ("-e", name)]
    chosen = ["-Y", where] if where else []
    lines = run(packets, "-T", "fields", *chosen, *words, preferences=STT if stt else ())
    return [line.split("\t") for line in lines]
