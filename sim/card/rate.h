// Time on the wire, of both directions.
#pragma once

#include <cstdint>

// Wire time is an exact integer: so many ticks are a clock cycle, and so many a byte on the line.
struct Rate {
    uint64_t ticks_per_cycle, ticks_per_byte;
    uint64_t cycle_ps;  // picoseconds a cycle, for traces
};

//      line  │ P p p p p p F F F F g g g P ...        a packet takes max(length, 60) + 24 byte times
constexpr uint64_t PREAMBLE = 8, MINIMUM = 60, FCS_AND_GAP = 16;

inline uint64_t line_bytes_of(uint64_t length) {
    return PREAMBLE + (length < MINIMUM ? MINIMUM : length) + FCS_AND_GAP;
}
