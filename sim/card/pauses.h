// Seeded pauses: xorshift64*, the same on every machine.
#pragma once

#include <cstdint>

class Pauses {
public:
    // chance: of a pause in a cycle, in units of 2^-32
    void start(uint64_t seed, uint64_t chance) {
        state_ = seed * 0x9E3779B97F4A7C15u | 1;
        chance_ = chance;
    }
    bool active() const { return chance_ != 0; }
    bool draw() {
        if (!chance_) return false;
        state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du >> 32 < chance_;
    }

private:
    uint64_t state_ = 1, chance_ = 0;
};
