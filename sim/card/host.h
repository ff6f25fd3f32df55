// The host side of the virtual card: frames in memory, offered to the card beat by beat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bits.h"
#include "layout.h"
#include "pauses.h"

// What Python says of a frame. Frames lie one behind the other in one buffer.
struct FrameHead {
    uint32_t size;    // bytes of data
    uint32_t length;  // bytes, as the descriptor says
    uint16_t gso_size;
    uint8_t vport;
    uint8_t accecn;
};

// Frames waiting for the card. What does not count is junk on purpose, so that hardware which looks at it shows:
// bytes behind a frame's end, and the meta on all beats but the first.
class Host {
public:
    Pauses pauses;
    uint64_t frames = 0, bytes = 0;  // taken by the card, whole frames

    void clear() {
        data_.clear(), heads_.clear();
        next_ = base_ = at_ = 0;
        loop_ = false;
    }
    void push(const uint8_t* data, size_t bytes, const FrameHead* heads, size_t count, bool loop) {
        if (empty()) clear();
        data_.insert(data_.end(), data, data + bytes);
        heads_.insert(heads_.end(), heads, heads + count);
        loop_ = loop;
    }
    // Offers no frame after the one of which the card has already taken a beat, or sees one.
    void finish(bool offered) {
        loop_ = false;
        const size_t keep = next_ + (at_ || offered);
        if (keep < heads_.size()) heads_.resize(keep);
    }
    bool empty() const { return next_ == heads_.size(); }
    size_t waiting() const { return heads_.size() - next_; }
    size_t taken_of_frame() const { return at_; }

    void beat(uint32_t* payload) const {
        const FrameHead& head = heads_[next_];
        const size_t left = head.size - at_;
        if (left >= layout::WIDTH) {
            std::memcpy(payload, &data_[base_ + at_], layout::WIDTH);
        } else {
            std::memset(payload, 0xA5, layout::WIDTH);
            if (left) std::memcpy(payload, &data_[base_ + at_], left);
        }
        const bool first = at_ == 0;
        put(payload, layout::I_LAST, left <= layout::WIDTH);
        put(payload, layout::I_META_VPORT, first ? head.vport : ~0u);
        put(payload, layout::I_META_LENGTH, first ? head.length : ~0u);
        put(payload, layout::I_META_GSO_SIZE, first ? head.gso_size : ~0u);
        put(payload, layout::I_META_ACCECN, first ? head.accecn : ~0u);
    }
    // The card has taken the beat.
    void advance() {
        const FrameHead& head = heads_[next_];
        at_ += layout::WIDTH;
        if (at_ < head.size) return;
        ++frames, bytes += head.size;
        base_ += head.size, at_ = 0;
        if (++next_ == heads_.size() && loop_) next_ = base_ = 0;
    }

private:
    std::vector<uint8_t> data_;
    std::vector<FrameHead> heads_;
    size_t next_ = 0, base_ = 0, at_ = 0;  // the frame, its first byte in data_, and the bytes of it taken
    bool loop_ = false;
};
