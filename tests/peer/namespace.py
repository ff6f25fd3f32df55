"""The kernel's own VXLAN in a network namespace of its own, behind a TAP whose other end is ours.

::

    test ── job ──> this program, in a new namespace                                 (run by `run`)
                    packets ── TAP ── kernel: IP, UDP, VXLAN ── vx0 ─┬─ AF_PACKET: frames as they came out
                                                                     └─ a TCP socket: a stream of bytes

The namespace and all that is in it end with the program.
"""

import ctypes
import fcntl
import os
import pickle
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from sim.model.card import Card
from sim.model.network import Tunnel
from sim.model.parse import parse
from sim.model.receive.receiver import Receiver
from sim.model.receive.terminate import Settings
from tests.support.frames import ACK, FIN, PSH, SYN, tcp_frame
from tests.support.networks import MAC, NEXT_HOP, network
from tests.support.receivers import far_end, way_back

TAP, VXLAN = "tap0", "vx0"
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUNSETIFF, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D8
SIOCETHTOOL, ETHTOOL_SGRO = 0x8946, 0x2C
VNET_HEADER = bytes(12)  # nothing is offloaded: the packet is as it stands
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 3, 263, 8, 23
AUXDATA = struct.Struct("=IIIHHHH")  # status, length, captured, mac, net, TCI, TPID
VLAN_VALID, TPID_VALID = 1 << 4, 1 << 6
OUR_IP, ITS_IP = "10.1.0.2", "10.1.0.1"
ITS_MAC = bytes.fromhex("52540000bb01")
OUR_PORT, ITS_PORT = 40000, 5001
QUIET = 0.3  # seconds without a frame after which no more comes
PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Job:
    """What to do with a tunnel that ends in the kernel.

    With `packets` they are given to the kernel; the frames that came out of it are the answer. With `writes`, one TCP
    connection is opened through the tunnel and each of them sent as a super-segment by the model's sender; the bytes
    that the kernel's socket read are the answer, with all frames that were sent, and the packets that carried them.
    """

    tunnel: Tunnel
    packets: list[bytes] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    gso_size: int = 1340


@dataclass(frozen=True)
class Answer:
    frames: list[bytes]
    packets: list[bytes]
    stream: bytes = b""


def run(job: Job) -> Answer:
    """Do a job in a namespace of its own. Raises RuntimeError with what went wrong there."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", f"import {__name__} as it; it.main()"],
        input=pickle.dumps(job),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    answer: Answer = pickle.loads(done.stdout)
    return answer


def missing() -> str | None:
    """Why this machine's kernel cannot be asked; None if it can."""
    for program in ("ip", "unshare"):
        if shutil.which(program) is None:
            return f"there is no program {program!r}"
    if os.geteuid():
        return "a network namespace needs root"
    tun = ["sh", "-c", "ip tuntap add mode tap name tap0 && ip link add vx0 type vxlan id 5 dstport 4789"]
    done = subprocess.run(["unshare", "--net", *tun], capture_output=True, check=False)
    return f"no namespace with a TAP and VXLAN: {done.stderr.decode().strip()}" if done.returncode else None


# -- what follows runs in the namespace


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)


def open_tap() -> int:
    """Our end of the underlay's interface: a write is a packet that the kernel receives."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", TAP.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", len(VNET_HEADER)))
    return tap


def set_up(tunnel: Tunnel) -> int:
    """The far end of a VXLAN tunnel: addresses, neighbours, and an interface with GRO off."""
    tap, flags = open_tap(), []
    local, remote = tunnel.remote, tunnel.local
    if local.version == 6:
        flags = ["udp6zerocsumrx"]
    ip("link", "set", "lo", "up")
    ip("link", "set", TAP, "address", NEXT_HOP.hex(":"), "up")
    ip("addr", "add", f"{local}/{24 if local.version == 4 else 64}", "dev", TAP, *(["nodad"] * (local.version == 6)))
    ip("neigh", "replace", str(remote), "lladdr", MAC.hex(":"), "dev", TAP)
    ends = ["id", str(tunnel.key), "local", str(local), "remote", str(remote), "dstport", "4789"]
    ip("link", "add", VXLAN, "address", ITS_MAC.hex(":"), "type", "vxlan", *ends, "nolearning", *flags)
    ip("link", "set", VXLAN, "promisc", "on", "up")
    ip("addr", "add", f"{ITS_IP}/24", "dev", VXLAN)
    ip("neigh", "replace", OUR_IP, "lladdr", "52:54:00:00:aa:01", "dev", VXLAN)
    without_gro(VXLAN)
    return tap


def without_gro(interface: str) -> None:
    """What `ethtool -K interface gro off` does: the ioctl takes a pointer to its data."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_SGRO, 0), 8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), ctypes.addressof(value)))


def capture() -> socket.socket:
    """All that comes out of the tunnel."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    sock.bind((VXLAN, 0))
    return sock


def captured(sock: socket.socket) -> Iterator[bytes]:
    """The frames that are there; the kernel keeps the outermost tag beside the frame."""
    while select.select([sock], [], [], QUIET)[0]:
        frame, beside, _, _ = sock.recvmsg(1 << 17, 256)
        for level, kind, value in beside:
            if (level, kind) != (SOL_PACKET, PACKET_AUXDATA):
                continue
            status, _, _, _, _, tci, tpid = AUXDATA.unpack(value[: AUXDATA.size])
            if status & VLAN_VALID:
                kind_of_tag = tpid if status & TPID_VALID else 0x8100
                frame = frame[:12] + struct.pack("!HH", kind_of_tag, tci) + frame[12:]
        yield frame


def frames(job: Job) -> Answer:
    """Packets into the kernel, frames out of it."""
    tap = set_up(job.tunnel)
    with capture() as sock:
        found = list(captured(sock))  # what the kernel says of its own accord
        found.clear()
        for packet in job.packets:
            os.write(tap, VNET_HEADER + packet)
        found += captured(sock)
    return Answer(found, job.packets)


def stream(job: Job) -> Answer:
    """A TCP client of a few lines at our end; the kernel's TCP at the other."""
    tap, sender = set_up(job.tunnel), Card(network(job.tunnel))
    receiver = Receiver(Settings([far_end(way_back(job.tunnel))]))
    given: list[bytes] = []
    sent: list[bytes] = []
    at, behind = 1000, 0  # our next byte's number, and what we have seen of theirs

    def send(payload: bytes = b"", flags: int = ACK) -> None:
        nonlocal at
        addresses = (IPv4Address(OUR_IP).packed, IPv4Address(ITS_IP).packed)
        frame = tcp_frame(4, payload, sequence=at, flags=flags, ports=(OUR_PORT, ITS_PORT), ip={"addresses": addresses})
        l4 = parse(frame).l4
        frame = frame[: l4 + 8] + behind.to_bytes(4, "big") + frame[l4 + 12 :]
        given.append(frame)
        for packet in sender.transmit(frame, gso_size=job.gso_size):
            sent.append(packet)
            os.write(tap, VNET_HEADER + packet)
        at += len(payload) + bool(flags & (SYN | FIN))

    def answered(enough: Callable[[int, int], bool]) -> None:
        """Read what the kernel sends until a segment (flags, acknowledged) is enough."""
        nonlocal behind
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if not select.select([tap], [], [], 0.1)[0]:
                continue
            one = receiver.receive(os.read(tap, 1 << 17)[len(VNET_HEADER) :])
            headers = parse(one.frame) if one else None
            if headers is None or not headers.tcp:
                continue
            l4 = headers.l4
            sequence, acknowledged = struct.unpack_from("!II", headers.frame, l4 + 4)
            flags = headers.frame[l4 + 13]
            behind = sequence + len(headers.payload) + bool(flags & (SYN | FIN)) & 0xFFFFFFFF
            if enough(flags, acknowledged):
                return
        raise RuntimeError(f"the kernel did not answer after {len(sent)} packets")

    with socket.socket() as server:
        server.bind((ITS_IP, ITS_PORT))
        server.listen()
        send(flags=SYN)
        answered(lambda flags, _: bool(flags & SYN))
        send()
        server.settimeout(PATIENCE)
        connection, _ = server.accept()
        connection.settimeout(PATIENCE)
        got, start = bytearray(), at
        for write in job.writes:
            send(write, ACK | PSH)
            while len(got) < at - start:
                got += connection.recv(1 << 17)
        connection.close()
    return Answer(given, sent, bytes(got))


def main() -> None:
    job: Job = pickle.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(pickle.dumps((stream if job.writes else frames)(job)))
