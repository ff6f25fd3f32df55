// Fields of beats and records, as `layout.h` says where they lie.
#pragma once

#include <cstdint>

#include "layout.h"

// Writes `value` into bits of `words`, least significant word first. The bits may cross one word's edge.
inline void put(uint32_t* words, layout::Field field, uint64_t value) {
    for (unsigned done = 0; done < field.width;) {
        const unsigned at = field.offset + done, shift = at % 32;
        const unsigned count = field.width - done < 32 - shift ? field.width - done : 32 - shift;
        const uint32_t mask = (count == 32 ? ~0u : (1u << count) - 1) << shift;
        words[at / 32] = (words[at / 32] & ~mask) | (static_cast<uint32_t>(value >> done) << shift & mask);
        done += count;
    }
}

// A field of up to 32 bits.
inline uint32_t get(const uint32_t* words, layout::Field field) {
    const uint64_t low = words[field.offset / 32];
    const bool crosses = field.offset % 32 + field.width > 32;
    const uint64_t high = crosses ? words[field.offset / 32 + 1] : 0;
    return (low | high << 32) >> field.offset % 32 & ((uint64_t{1} << field.width) - 1);
}

// A field of 33 to 64 bits.
inline uint64_t get_wide(const uint32_t* words, layout::Field field) {
    const layout::Field low{field.offset, 32}, high{field.offset + 32, field.width - 32};
    return get(words, low) | static_cast<uint64_t>(get(words, high)) << 32;
}
