// The host side of the virtual card: frames in memory, whose descriptors wait in the card for their vport's turn.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
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

//     frames ── descriptor ──> card ── turn ──> fetched: up to AHEAD of them, the first going in beat by beat
//
// A vport's descriptors are offered in order, as long as the card has room for one of that vport; of several vports' the
// one that comes first in the list. What does not count is junk on purpose, so that hardware which looks at it shows:
// bytes behind a frame's end, and the meta on all beats but the first.
class Host {
public:
    static constexpr size_t VPORTS = 64, AHEAD = 4;
    Pauses pauses, descriptor_pauses;
    uint64_t places = 0;            // descriptors of a vport that the card has room for
    uint64_t frames = 0, bytes = 0; // taken by the card, whole frames
    uint64_t wrong = 0;             // turns that were not the next of their vport, or not as they went in
    std::vector<uint32_t> order;    // numbers of the frames fetched, where `record` is set
    bool record = false;

    void reset() {
        clear();
        frames = bytes = wrong = 0;
        inside_.fill(0);
    }
    void push(const uint8_t* data, size_t bytes, const FrameHead* heads, size_t count, bool loop) {
        if (empty()) clear();
        for (size_t n = 0, at = data_.size(); n < count; at += heads[n++].size) {
            lists_[heads[n].vport].push_back(heads_.size());
            able_ |= uint64_t{1} << heads[n].vport;
            heads_.push_back(heads[n]);
            base_.push_back(at);
        }
        data_.insert(data_.end(), data, data + bytes);
        loop_ = loop;
    }
    // Offers no frame after those that the card has the descriptors of, or sees one.
    void finish() {
        loop_ = false;
        able_ = 0;
    }
    bool empty() const { return !able_ && !outside_; }
    size_t waiting() const {
        size_t left = outside_;
        for (size_t v = 0; v < VPORTS; ++v) {
            if (able_ >> v & 1) left += lists_[v].size() - offered_[v] % lists_[v].size();
        }
        return left;
    }
    size_t taken_of_frame() const { return at_; }

    // The next descriptor, if there is room for one.
    bool descriptor(uint32_t* payload) {
        size_t best = VPORTS;
        uint64_t first = ~uint64_t{0};
        for (uint64_t left = able_; left; left &= left - 1) {
            const size_t v = __builtin_ctzll(left), n = lists_[v].size();
            const uint64_t place = offered_[v] / n * heads_.size() + lists_[v][offered_[v] % n];
            if (inside_[v] < places && place < first) best = v, first = place;
        }
        if (best == VPORTS) return false;
        const uint32_t number = lists_[best][offered_[best]++ % lists_[best].size()];
        if (!loop_ && offered_[best] == lists_[best].size()) able_ &= ~(uint64_t{1} << best);
        ++inside_[best], ++outside_;
        const FrameHead& head = heads_[number];
        put(payload, layout::DESCRIPTOR_META_VPORT, head.vport);
        put(payload, layout::DESCRIPTOR_META_LENGTH, head.length);
        put(payload, layout::DESCRIPTOR_META_GSO_SIZE, head.gso_size);
        put(payload, layout::DESCRIPTOR_META_ACCECN, head.accecn);
        put(payload, layout::DESCRIPTOR_TAG, number);
        return true;
    }
    void freed(size_t vport) { --inside_[vport]; }

    bool fetches() const { return fetched_.size() < AHEAD; }
    void fetch(const uint32_t* turn) {
        const uint32_t number = get(turn, layout::TURN_TAG), vport = get(turn, layout::TURN_META_VPORT);
        const auto& list = lists_[vport];
        if (list.empty() || number != list[came_[vport]++ % list.size()]) return void(++wrong);
        const FrameHead& head = heads_[number];
        const bool same = get(turn, layout::TURN_META_LENGTH) == head.length &&
                          get(turn, layout::TURN_META_GSO_SIZE) == head.gso_size &&
                          get(turn, layout::TURN_META_ACCECN) == head.accecn;
        if (!same) return void(++wrong);
        fetched_.push_back(number);
        if (record) order.push_back(number);
    }

    bool has_beat() const { return !fetched_.empty(); }
    void beat(uint32_t* payload) const {
        const FrameHead& head = heads_[fetched_.front()];
        const size_t left = head.size - at_;
        const uint8_t* from = data_.data() + base_[fetched_.front()] + at_;
        if (left >= layout::WIDTH) {
            std::memcpy(payload, from, layout::WIDTH);
        } else {
            std::memset(payload, 0xA5, layout::WIDTH);
            if (left) std::memcpy(payload, from, left);
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
        const FrameHead& head = heads_[fetched_.front()];
        at_ += layout::WIDTH;
        if (at_ < head.size) return;
        ++frames, bytes += head.size;
        at_ = 0;
        fetched_.pop_front();
        --outside_;
    }

private:
    std::vector<uint8_t> data_;
    std::vector<FrameHead> heads_;
    std::vector<size_t> base_;                               // each frame's first byte in data_
    std::array<std::vector<uint32_t>, VPORTS> lists_;        // numbers of each vport's frames
    std::array<uint64_t, VPORTS> offered_{}, came_{};        // of these, round and round: offered, come back
    std::array<uint64_t, VPORTS> inside_{};                  // places of the card that are taken
    uint64_t able_ = 0;                                      // vports with something to offer, a bit each
    std::deque<uint32_t> fetched_;
    size_t at_ = 0;                                          // bytes taken of the first one fetched
    size_t outside_ = 0;                                     // frames offered and not wholly taken
    bool loop_ = false;

    void clear() {
        data_.clear(), heads_.clear(), base_.clear(), order.clear(), fetched_.clear();
        for (auto& list : lists_) list.clear();
        offered_.fill(0), came_.fill(0);
        at_ = outside_ = able_ = 0;
        loop_ = false;
    }
};
