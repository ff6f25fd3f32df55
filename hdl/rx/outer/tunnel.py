"""What stands behind the outer IP header: GRE, UDP with VXLAN or Geneve, or STT."""

from amaranth import Cat, Const, Mux

from hdl.net.protocol import TCP, UDP
from hdl.parse.extension import choose
from hdl.parse.pipe import BeatPipe, at_least
from hdl.registers.receive import Encapsulation, RxReason
from hdl.rx.outer.network import first_beat

GRE = 47
VXLAN_PORT, GENEVE_PORT, STT_PORT = 4789, 6081, 7471
ETHERNET_OVER_GRE = 0x6558
STT_HEADER = 18
SMALLEST_HEADER = 5  # pairs of an IP header
FIN_SYN_RST_ACK, ACK = 0x17, 0x10


def pairs_at(pipe: BeatPipe, at, count: int, name: str) -> None:
    """Capture the pairs `at` + 0 .. `count` - 1, wherever they are behind the IP header; 2 stages.

    Gives `{name}_{c}` (32 bits, first word on top), and `{name}_seen_{c}`.
    """
    bits = pipe.pair_bits
    pipe.put(**{f"{name}_at_{c}": (at + c)[:7] for c in range(count)})
    pipe.step()
    first = first_beat(pipe, SMALLEST_HEADER)
    late = at_least(pipe.index, first)  # in front of it there are headers of which nothing is known
    pairs = [Cat(second, first) for first, second in pipe.pair_words()]
    for c in range(count):
        place = getattr(pipe, f"{name}_at_{c}")
        hit = late & (pipe.index == place[bits:])
        pipe.keep(hit, since_beat=first, **{f"{name}_{c}": choose(place[:bits], pairs)})
        pipe.sticky(**{f"{name}_seen_{c}": hit})
    pipe.step()


def headers(pipe: BeatPipe) -> None:
    """From the end of the IP header to what follows it and where that ends; 4 stages.

    ::

        pair    0                  1                  2                 3
        GRE    │ flags, protocol  │ checksum (C)     │ key (K)         │ sequence (S) │
        UDP    │ ports            │ length, checksum │ VXLAN or Geneve │ VNI          │ options ...
        STT    │ ports            │ length, offset   │ identifier      │ size, flags  │ ... │ frame header 18 │

    Begins with `local`; `ours` and what belongs to it is known in the fourth stage.

    Gives `kind` flags (`is_gre`, `is_vxlan`, `is_geneve`, `is_stt`: to us, whatever else holds), `is_fragment`, `l4`
    (byte), `body` (pair at which STT's frame header or data begins, or what else follows the header).
    """
    pairs_at(pipe, pipe.at, 4, "h")

    v4 = pipe.ipv4
    protocol = Mux(~v4 & pipe.fragment, pipe.h_0[24:], pipe.protocol)
    port = pipe.h_0[:16]
    whole = ~pipe.fragment
    tcp, udp, gre = (protocol == number for number in (TCP, UDP, GRE))
    gre_words = pipe.h_0[31] + pipe.h_0[29] + pipe.h_0[28]
    pipe.put(
        known=pipe.h_seen_0 | (pipe.protocol == GRE) | (v4 & pipe.fragment),
        carried=v4 | (pipe.ip_end >= pipe.fragment_end),  # an IPv6 fragment header is whole
        gre=gre,
        udp=udp,
        tcp=tcp,
        port_vxlan=port == VXLAN_PORT,
        port_geneve=port == GENEVE_PORT,
        port_stt=port == STT_PORT,
        whole=whole,
        l4=Cat(Const(2, 2), (pipe.at - 1)[:5])[:7],
        gre_body=(pipe.at + 1 + gre_words)[:7],
        geneve_body=(pipe.at + 4 + pipe.h_2[24:30])[:7],
        stt_body=(pipe.at + pipe.h_3[28:32])[:7],
    )
    pipe.step()

    known = pipe.known & pipe.ours
    pipe.put(
        is_gre=known & pipe.gre & pipe.whole,
        is_vxlan=known & pipe.udp & pipe.port_vxlan & pipe.whole,
        is_geneve=known & pipe.udp & pipe.port_geneve & pipe.whole,
        is_stt=known & pipe.tcp & pipe.port_stt & pipe.whole,
        is_fragment=known & (pipe.gre | pipe.udp | pipe.tcp) & ~pipe.whole & pipe.carried,
        udp_end=(pipe.l4 + pipe.h_1[16:])[:17],
        body=Mux(
            pipe.gre,
            pipe.gre_body,
            Mux(pipe.tcp, pipe.stt_body, Mux(pipe.port_geneve, pipe.geneve_body, pipe.at + 4)),
        )[:7],
        stt_zero=~pipe.h_1[:16].any(),
    )
    pipe.step()


def tunnel(pipe: BeatPipe) -> None:
    """Where the tunnel packet and its parts end and begin; in the same stage.

    Gives `udp_tunnel`, `terminated`, `end` (byte behind the tunnel packet), `data_at` (byte at which STT's data
    begins, or what follows the header), `start` (byte of the inner frame).
    """
    udp = pipe.is_vxlan | pipe.is_geneve
    kind_ends = Cat(pipe.is_gre, pipe.is_vxlan, pipe.is_geneve, pipe.is_stt) & pipe.ends
    first = Cat(Const(2, 2), (pipe.body - 1)[:8])  # byte
    pipe.put(
        udp_tunnel=udp,
        terminated=kind_ends.any(),
        end=Mux(udp, pipe.udp_end, pipe.ip_end),
        stt_zero=pipe.is_stt & pipe.stt_zero,
        has_frame=(pipe.is_gre & (pipe.h_0[:16] == ETHERNET_OVER_GRE) & pipe.h_seen_0)
        | (udp & pipe.h_seen_2)
        | (pipe.is_stt & pipe.stt_zero & pipe.h_seen_3),
        data_at=first[:9],
        start=(first + Mux(pipe.is_stt, STT_HEADER, 0))[:10],
        sane=first[9:] == 0,  # deeper than any sound header
    )


def start(pipe: BeatPipe) -> None:
    """Behind `tunnel`: does the inner frame begin in this beat (`switch`), and how long is it (`length`)? 1 stage."""
    row = pipe.start[(pipe.width - 1).bit_length() :]
    pipe.put(
        tunnelled=pipe.terminated & pipe.has_frame & pipe.sane,
        length=Mux(pipe.is_stt, pipe.h_1[16:] - STT_HEADER, pipe.end - pipe.start)[:17],
    )
    pipe.put(switch=pipe.tunnelled & (pipe.index == row))
    pipe.step()


def kind(pipe: BeatPipe):
    """The `Encapsulation`."""
    return Mux(
        pipe.is_gre,
        Encapsulation.GRE,
        Mux(
            pipe.is_vxlan,
            Encapsulation.VXLAN,
            Mux(pipe.is_geneve, Encapsulation.GENEVE, Mux(pipe.is_stt, Encapsulation.STT, Encapsulation.BARE)),
        ),
    )


def first_of(*reasons: tuple[object, RxReason]):
    """The first reason whose condition holds."""
    result = Const(RxReason.NONE, 6)
    for condition, reason in reversed(reasons):
        result = Mux(condition, Const(reason, 6), result)
    return result
