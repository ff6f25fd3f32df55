// The wire side of the receiving card: packets that arrive at exactly the line's rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "bits.h"
#include "layout.h"
#include "pauses.h"
#include "rate.h"

// What Python says of a packet. Packets lie one behind the other in one buffer.
struct PacketHead {
    uint64_t size;   // bytes
    uint64_t start;  // ticks from when it was pushed, before which its preamble does not begin
};

//      the line   │ P P P a a a a b b b b c F F F g g g P P P       a beat can be offered when all its bytes are here
//      to the card│               a       b c                       and waits in the MAC until the card takes it
//
// A packet whose first beat comes while more than `fifo_bytes` wait in the MAC is lost as a whole; one that has begun
// always goes on. A pause stops the line, so that it costs nothing but time. Without line rate the line is infinitely
// fast and waits for the card.
class Line {
public:
    Pauses pauses;
    uint64_t packets = 0, bytes = 0, line_bytes = 0;  // taken by the card, whole packets
    uint64_t overruns = 0;                            // packets lost
    uint64_t last_cycle = 0;                          // in which the card took a packet's last beat

    explicit Line(const Rate& rate) : rate_(rate) {}
    void reset() { *this = Line(rate_); }

    void configure(bool line_rate, uint64_t fifo_bytes) {
        line_rate_ = line_rate;
        fifo_bytes_ = fifo_bytes;
    }
    // Only when what was pushed before is done.
    void push(const uint8_t* data, size_t bytes, const PacketHead* heads, size_t count, bool loop) {
        data_.assign(data, data + bytes);
        heads_.assign(heads, heads + count);
        loop_ = loop && count;
        next_ = next_at_ = 0;
        pushed_ = clock_;
        expect();
    }
    // No packet follows the one that is arriving.
    void finish() {
        loop_ = false;
        next_ = heads_.size();
        expect();
    }
    bool done() const { return arrival_ == NEVER && waiting_.empty(); }
    size_t left() const { return waiting_.size() + heads_.size() - next_; }
    size_t taken_of_packet() const { return taken_; }

    // A cycle goes by; whether there is a beat for the card in it.
    bool tick() {
        if (pauses.draw()) return false;
        clock_ += rate_.ticks_per_cycle;
        while (arrival_ <= clock_ && (line_rate_ || waiting_.empty())) arrive();
        return ready_ <= clock_;
    }
    void beat(uint32_t* payload) const {
        const Waiting& packet = waiting_.front();
        const size_t left = packet.size - taken_;
        const uint8_t* from = &data_[packet.at + taken_];
        if (left >= layout::WIDTH) {
            std::memcpy(payload, from, layout::WIDTH);
        } else {
            std::memset(payload, 0xA5, layout::WIDTH);  // behind the end, on purpose: hardware that looks at it shows
            std::memcpy(payload, from, left);
        }
        put(payload, layout::I_LAST, left <= layout::WIDTH);
        put(payload, layout::I_BYTES, left < layout::WIDTH ? left : layout::WIDTH);
    }
    // The card has taken the beat.
    void advance(uint64_t cycle) {
        const Waiting& packet = waiting_.front();
        const size_t left = packet.size - taken_;
        if (left > layout::WIDTH) {
            taken_ += layout::WIDTH, pending_ -= layout::WIDTH;
        } else {
            ++packets, bytes += packet.size, line_bytes += line_bytes_of(packet.size);
            last_cycle = cycle;
            taken_ = 0, pending_ -= left;
            waiting_.pop_front();
        }
        prepare();
    }

private:
    static constexpr uint64_t NEVER = ~uint64_t{0};
    struct Waiting {
        size_t size, at;  // bytes, and the first of them in data_
        uint64_t begin;   // ticks: its preamble on the line
    };
    Rate rate_;
    bool line_rate_ = true;
    uint64_t fifo_bytes_ = 0;
    std::vector<uint8_t> data_;
    std::vector<PacketHead> heads_;
    bool loop_ = false;
    uint64_t clock_ = 0;               // ticks of the line's own time
    uint64_t pushed_ = 0;              // when `push` was
    size_t next_ = 0, next_at_ = 0;    // the packet to arrive next, and its first byte in data_
    uint64_t begin_ = 0;               // its preamble
    uint64_t arrival_ = NEVER;         // its first beat
    uint64_t end_ = 0;                 // when the line is free again
    std::deque<Waiting> waiting_;      // for the card; the last of them may still be arriving
    uint64_t pending_ = 0;             // bytes of them that the card has not taken
    size_t taken_ = 0;                 // bytes that it has taken of the first
    uint64_t ready_ = NEVER;           // when the next beat can be offered

    // Ticks until so many bytes of a packet are here.
    uint64_t after(uint64_t bytes) const { return line_rate_ ? (PREAMBLE + bytes) * rate_.ticks_per_byte : 0; }
    static size_t beat_of(size_t bytes) { return bytes < layout::WIDTH ? bytes : layout::WIDTH; }

    void expect() {
        if (next_ == heads_.size() && loop_) next_ = next_at_ = 0;
        if (next_ == heads_.size()) {
            arrival_ = NEVER;
            return;
        }
        const uint64_t wanted = pushed_ + heads_[next_].start;
        begin_ = wanted > end_ ? wanted : end_;
        arrival_ = begin_ + after(beat_of(heads_[next_].size));
    }
    void arrive() {
        const size_t size = heads_[next_].size;
        if (line_rate_) end_ = begin_ + line_bytes_of(size) * rate_.ticks_per_byte;
        if (line_rate_ && pending_ > fifo_bytes_) {
            ++overruns;
        } else {
            waiting_.push_back({size, next_at_, begin_});
            pending_ += size;
            if (waiting_.size() == 1) prepare();
        }
        ++next_, next_at_ += size;
        expect();
    }
    void prepare() {
        if (waiting_.empty()) {
            ready_ = NEVER;
        } else {
            const Waiting& packet = waiting_.front();
            ready_ = packet.begin + after(taken_ + beat_of(packet.size - taken_));
        }
    }
};
