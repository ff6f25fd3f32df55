"""When a run ends that no packet ends: time, room, and the longest frame."""

import pytest

from sim.model.coalesce.coalescer import LONGEST_IDLE, PRESETS, Coalescer, Limits, coalesce
from sim.model.coalesce.packet import GSO_NONE, GSO_TCPV4, GSO_TCPV6, Arrival
from sim.model.parse import parse
from sim.model.segment import finish
from tests.support.frames import ACK, PSH, arp, tcp_frame, udp_frame

SIZE = 100


def packet(number: int, *, port: int = 1, version: int = 4, size: int = SIZE, flags: int = ACK) -> bytes:
    """Segment `number` of the flow from `port`, finished."""
    payload, ip = bytes([number % 256]) * size, ids(version, number)
    return finish(parse(tcp_frame(version, payload, sequence=SIZE * number, flags=flags, ports=(port, 80), ip=ip)))


def ids(version: int, number: int) -> dict[str, object]:
    return {"identification": number} if version == 4 else {}


def arrival(number: int, time: int = 0, *, port: int = 1, vnet: int = 0) -> Arrival:
    return Arrival(packet(number, port=port), time, vnet)


@pytest.mark.parametrize(("version", "gso_type"), [(4, GSO_TCPV4), (6, GSO_TCPV6)])
def test_what_goes_up(version: int, gso_type: int):
    last = packet(2, version=version, size=7, flags=ACK | PSH)
    (one,) = coalesce(Arrival(frame) for frame in (packet(0, version=version), packet(1, version=version), last))
    assert (one.gso_size, one.gso_type, one.segments, one.checksum) == (SIZE, gso_type, 3, "partial")
    assert not one.fixed_id and one.reason == "push"
    whole = parse(one.complete)
    assert whole.payload == b"\0" * SIZE + b"\1" * SIZE + b"\2" * 7
    assert whole.frame[whole.l4 + 13] == ACK | PSH


def test_one_packet_goes_up_as_it_came():
    (one,) = coalesce([arrival(0)])
    assert one.frame == one.complete == packet(0)
    assert (one.gso_size, one.gso_type, one.segments, one.checksum) == (0, GSO_NONE, 1, "good")


def test_what_is_no_tcp_passes_at_once():
    coalescer = Coalescer()
    assert coalescer.receive(arrival(0)) == []
    for frame in (arp(), finish(parse(udp_frame(4, b"data"))), b"runt"):
        (one,) = coalescer.receive(Arrival(frame, checksum="none"))
        assert (one.frame, one.checksum, one.reason) == (frame, "none", "not_tcp")
    assert [one.segments for one in coalescer.receive(arrival(1)) + coalescer.flush()] == [2]


def test_a_bad_packet_does_not_overtake_its_flow():
    coalescer = Coalescer()
    assert coalescer.receive(arrival(0)) == []
    first, second = coalescer.receive(Arrival(packet(1), checksum="bad"))
    assert (first.checksum, first.reason, second.checksum) == ("good", "checksum", "bad")


def test_idle_counts_from_the_last_packet():
    coalescer = Coalescer(Limits(idle=1000))
    for number in range(10):
        assert coalescer.receive(arrival(number, 999 * number)) == []  # the frame grows far older than that
    assert coalescer.expire(999 * 9 + 999) == []
    (one,) = coalescer.expire(999 * 9 + 1000)
    assert (one.segments, one.reason) == (10, "idle")


def test_a_late_packet_finds_its_run_gone():
    coalescer = Coalescer(Limits(idle=1000))
    coalescer.receive(arrival(0, 0))
    (one,) = coalescer.receive(arrival(1, 1000))
    assert one.reason == "idle"
    assert [one.segments for one in coalescer.flush()] == [1]


def test_time_does_not_go_back():
    coalescer = Coalescer()
    coalescer.receive(arrival(0, 5))
    with pytest.raises(ValueError, match="time goes back from 5 to 4 ns"):
        coalescer.receive(arrival(1, 4))


def test_a_flow_that_goes_on_makes_no_room():
    coalescer = Coalescer(Limits(contexts=2, vnet_contexts=2))
    assert coalescer.receive(arrival(0, port=1)) == []
    assert coalescer.receive(arrival(0, port=2)) == []
    assert coalescer.receive(arrival(1, port=1)) == []  # the older run, but the livelier flow
    (one,) = coalescer.receive(arrival(0, port=3))
    assert (one.frame, one.reason) == (packet(0, port=2), "pressure")
    assert sorted(one.segments for one in coalescer.flush()) == [1, 2]
    assert coalescer.open_peak == 2


def test_a_flood_of_single_packets_does_not_break_a_run():
    """Half of the packets open flows of their own: the honest flow's frame stays whole."""
    for vnet in (0, 1):
        coalescer = Coalescer(PRESETS["10g"])
        ended = []
        for number in range(300):
            ended += coalescer.receive(arrival(number, port=1))
            ended += coalescer.receive(arrival(0, port=2 + number, vnet=vnet))
        ended += coalescer.flush()
        assert max(one.segments for one in ended) == 300
        assert len(ended) == 301


def test_a_flow_is_remembered_when_its_run_is_over():
    coalescer = Coalescer(Limits(contexts=2, vnet_contexts=2))
    for _ in range(2):
        (one,) = coalescer.receive(Arrival(packet(0, port=1, flags=ACK | PSH)))
        assert one.reason == "push"
    assert coalescer.receive(arrival(0, port=2)) == []
    (one,) = coalescer.receive(arrival(0, port=3))
    assert (one.frame, one.reason) == (packet(0, port=2), "pressure")
    assert coalescer.receive(arrival(1, port=1)) == [], "it was here before"


def test_a_packet_that_goes_alone_takes_no_context():
    coalescer = Coalescer(Limits(contexts=1, vnet_contexts=1))
    assert coalescer.receive(arrival(0, port=1)) == []
    (one,) = coalescer.receive(Arrival(packet(0, port=2, size=0)))
    assert one.reason == "empty"
    assert coalescer.receive(arrival(1, port=1)) == []


def test_a_vnet_has_its_share():
    """A vnet with its share gives up one of its own, however many are unused and however idle another vnet's is."""
    coalescer = Coalescer(Limits(contexts=4, vnet_contexts=2))
    coalescer.receive(arrival(0, port=1, vnet=7))
    ended = [one for port in range(2, 12) for one in coalescer.receive(arrival(0, port=port))]
    assert len(ended) == 8 and {one.arrivals[0].vnet for one in ended} == {0}
    assert len(coalescer.runs) == 3


def test_the_same_flow_in_two_vnets_or_tunnels_is_two():
    frames = [packet(number) for number in range(4)]
    for field in ("vnet", "tunnel"):
        ways = [Arrival(frame, **{field: number % 2}) for number, frame in enumerate(frames)]
        assert [one.segments for one in coalesce(ways)] == [1] * 4
        both = [Arrival(frame, **{field: way}) for frame in frames for way in (1, 2)]
        assert [one.segments for one in coalesce(both)] == [4, 4]


def test_the_same_flow_in_two_vlans_is_two():
    tagged = [
        packet(number)[:12] + bytes([0x81, 0, 0, vlan]) + packet(number)[12:] for number in (0, 1) for vlan in (1, 2)
    ]
    assert [one.segments for one in coalesce(map(Arrival, tagged))] == [2, 2]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("outer", [0, 50])
@pytest.mark.parametrize("more", [0, 1])
def test_the_longest_frame(version: int, outer: int, more: int):
    """65,535 bytes from the outermost IP header on, or of an untunnelled frame: the last packet fits, or not."""
    size = 1000
    frames = [finish(parse(tcp_frame(version, bytes(size), sequence=size * n, ip=ids(version, n)))) for n in range(65)]
    headers = parse(frames[0])
    before = outer + headers.header_length
    room = 65535 - before - 65 * size
    assert 0 < room < size
    payload = bytes(room + more)
    frames.append(finish(parse(tcp_frame(version, payload, sequence=size * 65, ip=ids(version, 65)))))
    delivered = coalesce(Arrival(frame, outer=outer) for frame in frames)
    assert [one.segments for one in delivered] == ([65, 1] if more else [66])
    assert delivered[0].reason == ("full" if more else "short")


def test_none_is_longer_than_the_first():
    first, second = coalesce([arrival(0), Arrival(packet(1, size=SIZE + 1))])
    assert (first.segments, first.reason, second.segments) == (1, "longer", 1)


def test_a_fixed_identification_is_marked():
    same = [
        finish(
            parse(tcp_frame(4, bytes(SIZE), sequence=SIZE * number, ip={"identification": 9, "flags_and_offset": df}))
        )
        for df in (0x4000, 0)
        for number in range(3)
    ]
    one, *others = coalesce(map(Arrival, same))
    assert one.fixed_id and one.segments == 3 and one.cut_again() == same[:3]
    assert [other.segments for other in others] == [1, 1, 1], "without DF it is there for reassembly"


def test_presets():
    assert (PRESETS["10g"].contexts, PRESETS["10g"].idle) == (64, 200_000)
    assert (PRESETS["100g"].contexts, PRESETS["100g"].idle) == (256, 20_000)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"contexts": 0}, "vnet_contexts 64 is not 1 to contexts"),
        ({"vnet_contexts": 0}, "vnet_contexts 0 is not 1 to contexts"),
        ({"vnet_contexts": 65}, "vnet_contexts 65 is not 1 to contexts"),
        ({"idle": -1}, "idle -1 ns is not 0 to 500000"),
        ({"idle": LONGEST_IDLE + 1}, "idle 500001 ns is not 0 to 500000"),
    ],
)
def test_limits_are_checked(limits: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        Limits(**limits)
