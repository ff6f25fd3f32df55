"""Counters of the transmit path and the reasons for which a frame is dropped."""

from enum import IntEnum


class DropReason(IntEnum):
    """Why a frame was dropped, in the order in which the card looks. Each has a counter."""

    NONE = 0
    RUNT = 1  # shorter than an Ethernet header
    OVERSIZE = 2  # longer than the largest IPv6 packet behind an Ethernet header with two tags
    BAD_LENGTH = 3  # the descriptor's length and the data disagree
    UNKNOWN_VPORT = 4  # no such vport
    NO_ROUTE = 5  # neither an exact nor a wildcard forwarding entry
    POLICY = 6  # the forwarding entry says drop
    INNER_VLAN = 7  # the encapsulation carries no inner tag and one would remain (RFC 7637)
    MTU = 8  # a packet of the frame does not fit the tunnel's or the uplink's MTU


class TxCounter(IntEnum):
    """What else the transmit path counts. Numbered after the drop reasons, in one bank."""

    FRAMES_IN = 9
    FRAMES_SENT = 10
    PACKETS_OUT = 11
    UNPARSED = 12  # frames that were sent whole because their headers could not be parsed


class LocalCounter(IntEnum):
    """What is counted of frames for another vport of the card, which the transmit path never sees. In the same bank."""

    FRAMES_LOCAL = 13  # handed over
    LOCAL_BAD_LENGTH = 14  # not handed over, for the descriptor's length and the data disagree


COUNTERS = 13  # of the transmit path
SIDE_COUNTERS = COUNTERS + len(LocalCounter)  # of the transmit side
MINIMUM_FRAME = 14
MAXIMUM_FRAME = 22 + 40 + 65_535  # two tags, an IPv6 header, the largest payload that it can say
