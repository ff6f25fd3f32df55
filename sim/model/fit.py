"""How large things may be: what an encapsulation adds, and the largest segment of a frame that fits."""

from sim.model import encapsulate, outer, stt
from sim.model.network import Network, ToVport, Tunnel
from sim.model.parse import Headers, parse


def overhead(tunnel: Tunnel) -> int:
    """Bytes from the outer IP header to the inner frame. For STT: of a frame that goes in one packet."""
    if tunnel.encapsulation == "stt":
        return outer.ip_header_length(tunnel) + stt.TCP_LIKE + stt.STT_HEADER
    return outer.ip_header_length(tunnel) + encapsulate.header_length(tunnel)


def tag_moves_out(tunnel: Tunnel, headers: Headers) -> bool:
    """Whether the outermost tag leaves the inner frame: NVGRE forbids it (RFC 7637), STT carries it in its header."""
    return tunnel.encapsulation in ("nvgre", "stt") and headers.tpid == 0x8100


def default_gso_size(network: Network, frame: bytes, *, vport: int, vport_mtu: int | None = None) -> int:
    """The largest gso_size with which every segment of this frame fits the vport's MTU and the way it goes.

    0 where the frame is no TCP, goes nowhere, or its headers alone do not fit.
    """
    headers = parse(frame)
    destination = network.route(vport, frame) if vport in network.vports else None
    if not headers.tcp or destination in (None, "drop"):
        return 0
    ip_and_tcp = headers.header_length - headers.l3
    limits = [0xFFFF]
    if isinstance(destination, ToVport):  # nothing is cut on the way there, but its host may want segments
        limits.append(network.mtu - ip_and_tcp)
    if vport_mtu is not None:
        limits.append(vport_mtu - ip_and_tcp)
    if isinstance(destination, int):
        tunnel = network.tunnels[destination]
        inner_headers = headers.header_length - (4 if tag_moves_out(tunnel, headers) else 0)
        limits.append(network.mtu_of(tunnel) - overhead(tunnel) - inner_headers)
    elif destination == "uplink":
        limits.append(network.mtu - ip_and_tcp)
    return max(0, min(limits))
