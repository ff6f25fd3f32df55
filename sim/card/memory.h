// The host's memory as the receiving card sees it: buffers of 64 KB, and what is wrong with what the card does to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#ifndef BUFFER_BYTES
#define BUFFER_BYTES (1 << 16)
#endif

// What a card did wrong. Python has the same list, with words.
enum class FaultKind : uint64_t {
    NONE,
    PLACE_UNSTABLE,      // a beat changed or went away before it was taken
    DELIVERY_UNSTABLE,
    PLACE_BYTES,         // `byte` valid bytes in a beat that has to have 1 to WIDTH, or WIDTH if it is not the last
    PLACE_JUMPS,         // a beat is not behind the one before it in its placement
    PLACE_NOT_CLAIMED,   // the card does not have the buffer
    PLACE_BEYOND,        // the buffer ends before
    PLACE_TWICE,         // the byte is there already
    DELIVERY_NOT_CLAIMED,
    DELIVERY_LENGTH,     // `byte` bytes
    DELIVERY_HOLE,       // the byte was never placed
    DELIVERY_PATCH,      // a patch beyond the frame's end
};

struct Fault {
    FaultKind kind;
    uint64_t cycle, handle, byte;
};

// At most `limit` buffers are the card's at once. Handles are scattered over all 16 bits.
class Memory {
public:
    static constexpr uint32_t SIZE = BUFFER_BYTES;
    static constexpr uint32_t NONE = ~0u;

    uint64_t limit = 0;
    uint64_t outside = 0;               // buffers that the card has
    uint64_t used = 0, used_peak = 0;   // those of them with bytes in them

    Memory() : buffers_(1 << 16) {}

    bool spare() const { return outside < limit && (!free_.empty() || minted_ < buffers_.size()); }
    // The buffer that the card is offered next.
    uint16_t take() {
        uint16_t handle;
        if (free_.empty()) {
            handle = static_cast<uint16_t>(minted_++ * 0x9E37 + 0x1234);
            buffers_[handle] = std::make_unique<Buffer>();
        } else {
            handle = free_.front();
            free_.pop_front();
        }
        buffers_[handle]->claimed = true;
        ++outside;
        return handle;
    }
    void give_back(uint16_t handle) {
        Buffer& buffer = *buffers_[handle];
        std::memset(buffer.written, 0, (buffer.top + 63) / 64 * sizeof *buffer.written);
        used -= buffer.top != 0;
        buffer.top = 0;
        buffer.claimed = false;
        --outside;
        free_.push_back(handle);
    }
    bool claimed(uint16_t handle) const { return buffers_[handle] && buffers_[handle]->claimed; }
    const uint8_t* data(uint16_t handle) const { return buffers_[handle]->data; }

    // Up to 64 bytes that end within the buffer. The first byte that was there already, or NONE.
    template <unsigned WIDTH> uint32_t write(uint16_t handle, uint32_t offset, unsigned bytes, const uint8_t* from) {
        Buffer& buffer = *buffers_[handle];
        const unsigned word = offset / 64, shift = offset % 64;
        const uint64_t mask = ~uint64_t{0} >> (64 - bytes);
        const uint64_t low = mask << shift, high = shift ? mask >> (64 - shift) : 0;
        uint32_t first = NONE;
        if (const uint64_t twice = buffer.written[word + 1] & high) first = 64 * word + 64 + __builtin_ctzll(twice);
        if (const uint64_t twice = buffer.written[word] & low) first = 64 * word + __builtin_ctzll(twice);
        buffer.written[word] |= low;
        buffer.written[word + 1] |= high;
        if (bytes == WIDTH) std::memcpy(buffer.data + offset, from, WIDTH);
        else std::memcpy(buffer.data + offset, from, bytes);
        if (!buffer.top && ++used > used_peak) used_peak = used;
        if (offset + bytes > buffer.top) buffer.top = offset + bytes;
        return first;
    }
    // The first of the buffer's first `length` bytes that is not there, or NONE.
    uint32_t hole(uint16_t handle, uint32_t length) const {
        const uint64_t* written = buffers_[handle]->written;
        for (uint32_t at = 0; at < length; at += 64) {
            const uint64_t wanted = length - at < 64 ? (uint64_t{1} << (length - at)) - 1 : ~uint64_t{0};
            if (const uint64_t missing = wanted & ~written[at / 64]) return at + __builtin_ctzll(missing);
        }
        return NONE;
    }

private:
    struct Buffer {
        bool claimed = false;               // by the card
        uint32_t top = 0;                   // behind the last byte placed
        uint64_t written[SIZE / 64 + 2]{};  // a bit a byte
        uint8_t data[SIZE];
    };
    std::vector<std::unique_ptr<Buffer>> buffers_;  // by handle; made when they are first needed
    std::deque<uint16_t> free_;
    uint64_t minted_ = 0;
};
