// Deliveries: what the card says of a frame, as Python reads it, and what it wants changed in the frame's headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bits.h"
#include "layout.h"

struct Delivered {
    uint64_t offset, size;     // of the frame in the data kept
    uint64_t cycle;            // in which it was taken
    uint64_t last_byte_cycle;  // in which the card had taken the latest packet's last beat
    uint64_t vports, queue, gso_size, tcpv6, fixed_id, ip_status, l4_status, packets, slow, hash, vnet, entry, tunnelled,
        tagged, tci, cut;
};

inline Delivered delivered(const uint32_t* record, uint64_t offset, uint64_t cycle, uint64_t last_byte_cycle) {
    using namespace layout;
    const auto of = [record](Field field) -> uint64_t { return get(record, field); };
    return {offset,
            of(DELIVERY_LENGTH),
            cycle,
            last_byte_cycle,
            get_wide(record, DELIVERY_VPORTS),
            of(DELIVERY_QUEUE),
            of(DELIVERY_GSO_SIZE),
            of(DELIVERY_TCPV6),
            of(DELIVERY_FIXED_ID),
            of(DELIVERY_IP_STATUS),
            of(DELIVERY_L4_STATUS),
            of(DELIVERY_PACKETS),
            of(DELIVERY_SLOW),
            of(DELIVERY_HASH),
            of(DELIVERY_VNET),
            of(DELIVERY_ENTRY),
            of(DELIVERY_TUNNELLED),
            of(DELIVERY_TAGGED),
            of(DELIVERY_TCI),
            of(DELIVERY_CUT)};
}

// Writes a record's patches into a frame: see `Patches` in hdl/rx/layouts.py. The first byte that lies behind the
// frame's end, or -1.
inline int64_t patch(const uint32_t* record, uint8_t* frame, size_t size) {
    using namespace layout;
    const bool ip = get(record, DELIVERY_PATCHES_IP), merged = get(record, DELIVERY_PATCHES_MERGED);
    const bool ipv6 = get(record, DELIVERY_PATCHES_IPV6);
    const uint32_t l3 = get(record, DELIVERY_PATCHES_L3), l4 = get(record, DELIVERY_PATCHES_L4);
    int64_t beyond = -1;
    const auto write = [&](uint32_t word, Field field) {
        const uint32_t value = get(record, field), at = 2 * word;
        if (at + 2 > size) {
            if (beyond < 0) beyond = at < size ? at + 1 : at;
        } else {
            frame[at] = static_cast<uint8_t>(value >> 8), frame[at + 1] = static_cast<uint8_t>(value);
        }
    };
    if (ip) write(l3, DELIVERY_PATCHES_TOS_WORD);
    if ((ip || merged) && !ipv6) write(l3 + 5, DELIVERY_PATCHES_IP_CHECKSUM);
    if (merged) {
        write(l3 + (ipv6 ? 2 : 1), DELIVERY_PATCHES_IP_LENGTH);
        write(l4 + 6, DELIVERY_PATCHES_TCP_FLAGS);
        write(l4 + 8, DELIVERY_PATCHES_L4_CHECKSUM);
    }
    return beyond;
}
