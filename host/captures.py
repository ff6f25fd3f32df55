"""Capture files, pcap and pcapng: read whole, written whole.

Read and written here, and not by a library, because none on the package index does all of it: python-pcapng has no
classic pcap and takes a file that ends behind a block's type for a complete one, dpkt gives no packet comments, scapy
ends silently at a truncated packet (and brings its licence and half a second of imports to every run).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from host import pcap, pcapng
from host.errors import UserError
from host.packets import CapturedPacket, CaptureError

ENDINGS = {".pcap": pcap.encode, ".pcapng": pcapng.encode}


def read(path: Path) -> list[CapturedPacket]:
    """All packets of a capture. Raises UserError, one line, for whatever is wrong with it."""
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except CaptureError as error:
        raise UserError(f"{path}: {error}") from None


def decode(data: bytes) -> list[CapturedPacket]:
    """All packets of a capture's bytes. Raises CaptureError."""
    if data[:4] in pcap.FORMATS:
        packets = list(pcap.read(data))
    elif data[:4] == pcapng.MAGIC:
        packets = list(pcapng.read(data))
    else:
        raise CaptureError("not a capture: neither pcap nor pcapng")
    if not packets:
        raise CaptureError("empty capture: there are no packets in it")
    for number, packet in enumerate(packets, 1):
        if len(packet.data) < packet.length:
            raise CaptureError(
                f"packet {number} was cut to {len(packet.data)} of its {packet.length} bytes when it was captured; "
                "capture whole packets (tcpdump -s 0)"
            )
    return packets


def check_writable(path: Path) -> None:
    """Raise UserError unless a capture can be written there: before the work, not after it."""
    if path.suffix not in ENDINGS:
        raise UserError(f"{path}: the name must end in {' or '.join(ENDINGS)}")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raise UserError if there is no folder for the file, or a folder in its place."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")


def check_apart(read: Sequence[Path], written: Sequence[Path]) -> None:
    """Raise UserError if a file would be written over what is read, or two into one."""
    for number, path in enumerate(written):
        if path.resolve() in [other.resolve() for other in (*read, *written[:number])]:
            raise UserError(f"{path}: would be written over, it is used for something else already")


def write(path: Path, packets: Iterable[CapturedPacket], interfaces: Sequence[str] = ("",)) -> None:
    """Write a capture with nanosecond timestamps, pcap or pcapng by the name's ending; pcapng has named interfaces."""
    write_bytes(path, ENDINGS[path.suffix](packets, interfaces))


def write_bytes(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file. Raises UserError."""
    try:
        with path.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
