"""What an outer header's TOS does to an inner one on the way out of a tunnel (RFC 6040, RFC 2983)."""

from amaranth import Cat, Mux

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3


def inner_tos(inner, outer, uniform):
    """The inner TOS or traffic class (8 bits) behind the tunnel, and whether the packet must be dropped.

    ::

        inner \\ outer   Not-ECT   ECT(0)    ECT(1)    CE
        Not-ECT         Not-ECT   Not-ECT   Not-ECT   drop
        ECT(0)          ECT(0)    ECT(0)    ECT(1)    CE
        ECT(1)          ECT(1)    ECT(1)    ECT(1)    CE
        CE              CE        CE        CE        CE
    """
    was, came = inner[:2], outer[:2]
    marked = (came == CE) & (was != NOT_ECT)
    becomes_ect1 = (was == ECT0) & (came == ECT1)
    ecn = Mux(marked, CE, Mux(becomes_ect1, ECT1, was))[:2]
    return Cat(ecn, Mux(uniform, outer[2:8], inner[2:8])), (came == CE) & (was == NOT_ECT)
