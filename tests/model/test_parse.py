"""Where the layers of a frame start, and which frames are left alone: every limit from both sides."""

import pytest

from sim.model.parse import Headers, parse
from tests.support.frames import (
    AH,
    C_TAG,
    DESTINATION,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    IPV4,
    IPV6,
    NONE,
    ROUTING,
    S_TAG,
    TCP,
    TIMESTAMPS,
    UDP,
    arp,
    ethernet,
    extension,
    ipv4,
    ipv6,
    routing,
    tcp,
    tcp_frame,
    udp,
    udp_frame,
)


def patched(frame: bytes, at: int, value: bytes) -> bytes:
    return frame[:at] + value + frame[at + len(value) :]


def is_passive(headers: Headers) -> bool:
    """Passes, but nobody computes an L4 checksum or cuts it; not for want of understanding."""
    return not (headers.tcp or headers.udp or headers.unparsed)


class TestEthernet:
    @pytest.mark.parametrize(
        ("tags", "l3", "tpid", "tci"),
        [
            ([], 14, 0, 0),
            ([(C_TAG, 0x6064)], 18, C_TAG, 0x6064),
            ([(S_TAG, 0xFFFF)], 18, S_TAG, 0xFFFF),
            ([(S_TAG, 5), (C_TAG, 6)], 22, S_TAG, 5),
            ([(C_TAG, 7), (C_TAG, 8)], 22, C_TAG, 7),
        ],
    )
    def test_up_to_two_tags(self, tags: list[tuple[int, int]], l3: int, tpid: int, tci: int):
        headers = parse(tcp_frame(4, b"data", tags=tags))
        assert (headers.l3, headers.l4, headers.header_length) == (l3, l3 + 20, l3 + 40)
        assert (headers.tags, headers.tpid, headers.tci) == (len(tags), tpid, tci)
        assert headers.tcp and headers.payload == b"data"

    def test_a_third_tag_is_an_unknown_type(self):
        headers = parse(tcp_frame(4, b"data", tags=[(C_TAG, 1)] * 3))
        assert headers.tags == 2 and headers.l3 == 22 and is_passive(headers) and headers.ip_version == 0

    @pytest.mark.parametrize(("length", "tags"), [(14, 0), (17, 0), (18, 1), (21, 1), (22, 2)])
    def test_a_tag_needs_the_type_after_it(self, length: int, tags: int):
        headers = parse(ethernet(C_TAG, b"\x00\x01\x81\x00\x00\x02\x88\xb5")[:length])
        assert headers.tags == tags and headers.l3 == 14 + 4 * tags and is_passive(headers)

    def test_arp_is_none_of_ours(self):
        headers = parse(arp())
        assert is_passive(headers) and headers.ip_version == 0 and headers.tos == 0 and headers.trailer == b""

    def test_a_frame_without_its_header_is_refused(self):
        with pytest.raises(ValueError, match="13 bytes"):
            parse(bytes(13))


class TestIPv4:
    def test_facts(self):
        frame = tcp_frame(4, b"payload", options=TIMESTAMPS, ip={"options": b"\x01" * 8, "tos": 0xB9}) + b"padding"
        headers = parse(frame)
        assert (headers.l3, headers.l4, headers.header_length, headers.ip_end) == (14, 42, 74, 81)
        assert (headers.ip_version, headers.protocol, headers.tos, headers.tcp) == (4, TCP, 0xB9, True)
        assert headers.payload == b"payloadpadding" and headers.trailer == b"padding"
        assert headers.addresses == (bytes([10, 1, 0, 2]), bytes([10, 2, 0, 2]))

    @pytest.mark.parametrize(
        ("at", "value", "recognised"),
        [
            (14, b"\x55", False),  # version 5
            (14, b"\x44", False),  # a header of 16 bytes
            (14, b"\x4f", False),  # a header of 60 bytes in 54
            (16, b"\x00\x13", True),  # total length shorter than the header
            (16, b"\x00\x29", True),  # ... longer than the frame
        ],
    )
    def test_lies(self, at: int, value: bytes, recognised: bool):
        frame = patched(tcp_frame(4, b"", ip={"tos": 3}), at, value)
        headers = parse(frame)
        assert headers.unparsed and not headers.tcp and headers.ip_end == len(frame)
        assert (headers.ip_version, headers.tos) == ((4, 3) if recognised else (0, 0))
        assert headers.l4 == (34 if recognised else 14)

    def test_cut_off(self):
        frame = tcp_frame(4, b"")
        assert [parse(frame[:n]).ip_version for n in (33, 34)] == [0, 4]
        assert all(parse(frame[:n]).unparsed for n in range(14, len(frame)))
        assert not parse(frame).unparsed

    @pytest.mark.parametrize("flags_and_offset", [0x2000, 0x0001, 0x1FFF, 0x6000])
    def test_fragments_have_no_l4(self, flags_and_offset: int):
        headers = parse(tcp_frame(4, b"x", ip={"flags_and_offset": flags_and_offset}))
        assert headers.fragment and is_passive(headers) and headers.ip_version == 4

    @pytest.mark.parametrize("flags_and_offset", [0x0000, 0x4000, 0x8000, 0xC000])
    def test_df_and_the_reserved_bit_make_no_fragment(self, flags_and_offset: int):
        assert parse(tcp_frame(4, b"x", ip={"flags_and_offset": flags_and_offset})).tcp

    def test_a_total_length_within_the_header_is_a_lie_for_any_protocol(self):
        frame = ethernet(IPV4, ipv4(ICMP, b"ping", options=b"\x01" * 4))
        assert parse(patched(frame, 16, b"\x00\x17")).unparsed
        assert not parse(patched(frame, 16, b"\x00\x18")).unparsed

    def test_other_protocols_pass(self):
        headers = parse(ethernet(IPV4, ipv4(ICMP, b"")))
        assert is_passive(headers) and headers.protocol == ICMP and headers.header_length == headers.l4 == 34


class TestIPv6:
    def test_facts(self):
        frame = udp_frame(6, b"payload", tags=[(C_TAG, 1)], ip={"tos": 0xB9, "label": 0xFFFFF}) + b"pad"
        headers = parse(frame)
        assert (headers.l3, headers.l4, headers.header_length, headers.ip_end) == (18, 58, 66, 73)
        assert (headers.ip_version, headers.protocol, headers.tos, headers.udp) == (6, UDP, 0xB9, True)
        assert headers.trailer == b"pad" and headers.addresses[1][:2] == b"\xfd\x02"

    def test_lies(self):
        frame = tcp_frame(6, b"", ip={"tos": 1})
        assert parse(patched(frame, 14, b"\x70")).ip_version == 0 and parse(patched(frame, 14, b"\x70")).unparsed
        long = parse(patched(frame, 18, b"\x00\x15"))
        assert long.unparsed and (long.ip_version, long.tos, long.l4) == (6, 1, 54)
        assert parse(patched(frame, 18, b"\x00\x13")).unparsed  # TCP does not fit any more

    def test_cut_off(self):
        frame = tcp_frame(6, b"")
        assert [parse(frame[:n]).ip_version for n in (53, 54)] == [0, 6]
        assert all(parse(frame[:n]).unparsed for n in range(14, len(frame)))

    def test_a_length_of_zero_holds_nothing(self):
        assert parse(patched(tcp_frame(6, b""), 18, b"\0\0")).unparsed
        assert is_passive(parse(ethernet(IPV6, ipv6(NONE, b""))))

    @pytest.mark.parametrize("kind", [HOP_BY_HOP, DESTINATION])
    def test_extension_headers(self, kind: int):
        headers = parse(tcp_frame(6, b"x", ip={"extensions": [(kind, extension(8)), (kind, extension(24))]}))
        assert headers.tcp and headers.l4 == 14 + 40 + 32

    def test_four_of_them_and_not_five(self):
        def chain(n: int) -> Headers:
            return parse(tcp_frame(6, b"x", ip={"extensions": [(DESTINATION, extension())] * n}))

        assert chain(4).tcp and chain(4).l4 == 86
        assert chain(5).unparsed and not chain(5).tcp

    def test_a_routing_header_only_once_it_is_used_up(self):
        assert parse(tcp_frame(6, b"x", ip={"extensions": [(ROUTING, routing(0))]})).tcp
        assert parse(tcp_frame(6, b"x", ip={"extensions": [(ROUTING, routing(1))]})).unparsed

    def test_an_extension_header_within_the_packet(self):
        frame = ethernet(IPV6, ipv6(TCP, b"", extensions=[(DESTINATION, extension(16))]))
        assert parse(frame[:-1]).unparsed
        assert parse(patched(frame, 18, b"\x00\x0f") + b"pad").unparsed  # it reaches into the trailer
        assert parse(patched(frame, 18, b"\x00\x07") + b"pad").unparsed  # not even eight bytes
        assert parse(patched(frame, 20, bytes([DESTINATION]))).unparsed  # no TCP behind it

    def test_fragments_are_never_unparsed(self):
        for body in (b"", b"\x06", b"\x06\0\0\0\0\0\0\0" + tcp(b"x")):
            headers = parse(ethernet(IPV6, ipv6(FRAGMENT, body)))
            assert headers.fragment and is_passive(headers) and headers.ip_version == 6
        behind_four = ipv6(FRAGMENT, b"", extensions=[(DESTINATION, extension())] * 4)
        assert parse(ethernet(IPV6, behind_four)).fragment

    def test_an_authentication_header_hides_tcp(self):
        headers = parse(ethernet(IPV6, ipv6(AH, b"\x06\x04" + bytes(22) + tcp(b"x"))))
        assert is_passive(headers) and headers.protocol == AH

    def test_headers_end_at_512(self):
        def deep(size: int, options: int) -> Headers:
            # 14 + 40 + 3 * 136 = 462 before the last extension header
            chain = [(DESTINATION, extension(136))] * 3 + [(DESTINATION, extension(size))]
            return parse(tcp_frame(6, b"x", options=bytes(options), ip={"extensions": chain}))

        assert deep(24, 4).header_length == 510 and deep(24, 4).tcp
        assert deep(24, 8).unparsed  # TCP's options would end at 514
        assert deep(48, 0).unparsed  # l4 = 510: TCP ends at 530
        assert deep(56, 0).unparsed  # l4 = 518

    def test_exactly_512(self):
        chain = [(DESTINATION, extension(136))] * 3 + [(DESTINATION, extension(8))]
        frame = tcp_frame(6, b"x", tags=[(C_TAG, 1)] * 2, options=bytes(12), ip={"extensions": chain})
        assert parse(frame).header_length == 510
        frame = ethernet(IPV6, ipv6(ICMP, b"x", extensions=[(DESTINATION, extension(456))]), tags=[])
        assert parse(frame).l4 == 510 and not parse(frame).unparsed
        frame = ethernet(IPV6, ipv6(ICMP, b"x", extensions=[(DESTINATION, extension(464))]), tags=[])
        assert parse(frame).unparsed


class TestTcp:
    def test_needs_its_header(self):
        whole = tcp(b"")
        for cut in range(20):
            assert parse(ethernet(IPV4, ipv4(TCP, whole[:cut]))).unparsed
        assert parse(ethernet(IPV4, ipv4(TCP, whole))).tcp

    def test_data_offset(self):
        frame = tcp_frame(4, bytes(8))
        assert parse(patched(frame, 46, b"\x40")).unparsed  # 16 bytes
        assert parse(patched(frame, 46, b"\x70")).header_length == 62  # all that there is
        assert parse(patched(frame, 46, b"\x80")).unparsed  # 32 of 28 bytes
        assert parse(patched(frame, 46, b"\x80") + bytes(8)).unparsed  # the trailer does not count
        assert parse(patched(frame, 46, b"\x5f")).tcp  # reserved bits are no matter


class TestUdp:
    def test_length_must_agree(self):
        frame = udp_frame(4, b"data")
        assert parse(frame).udp and parse(frame).header_length == 42 and parse(frame).payload == b"data"
        for wrong in (0, 8, 11, 13):
            assert parse(patched(frame, 38, bytes([0, wrong]))).unparsed
        assert parse(frame + b"pad").udp

    def test_needs_its_header(self):
        assert parse(ethernet(IPV4, ipv4(UDP, udp(b"")[:7]))).unparsed
        assert parse(ethernet(IPV4, ipv4(UDP, udp(b"")))).udp

    def test_headers_end_at_512(self):
        def deep(size: int) -> Headers:
            return parse(udp_frame(6, b"", tags=[(C_TAG, 1)], ip={"extensions": [(DESTINATION, extension(size))]}))

        assert deep(440).udp and deep(440).header_length == 506
        assert deep(448).unparsed and deep(448).l4 == 506
