// The wire side of the virtual card: a MAC that sends at exactly the line's rate.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.h"
#include "rate.h"

//        accepted  │ p p p p p . . . . q q q q . . .            `ready` while less than the FIFO holds is ahead
//        the line  │ . P P P P p p p p p F F F F g g g P P P    preamble 8, packet, padding, FCS 4, gap 12 bytes
//                  cycle c's beat can start on the line when cycle c is over
class Mac {
public:
    struct Packet {
        uint64_t offset;       // of its first byte in `data`
        uint64_t length;       // bytes
        uint64_t start;        // ticks: the preamble's first byte on the line
        uint64_t first_cycle;  // of its first beat
        uint64_t last_cycle;   // of its last beat
    };

    std::vector<Packet> packets;
    std::vector<uint8_t> data;
    Packet open{};           // the packet under way
    bool inside = false;     // a packet is under way
    uint64_t count = 0;      // whole packets
    uint64_t bytes = 0;      // of whole packets
    uint64_t line_bytes = 0; // of line time that whole packets take
    uint64_t underruns = 0;  // beats that came after the line had sent all bytes before them
    uint64_t malformed = 0;  // beats whose `bytes` is wrong

    explicit Mac(const Rate& rate) : rate_(rate) {}
    void reset() { *this = Mac(rate_); }

    const Rate& rate() const { return rate_; }
    bool room(uint64_t cycle, uint64_t fifo_bytes) const {
        return end_ < cycle * rate_.ticks_per_cycle + fifo_bytes * rate_.ticks_per_byte;
    }
    // Ticks for which the line was busy until `cycle` began. What lies ahead of it is without a gap, by construction.
    uint64_t busy(uint64_t cycle) const {
        const uint64_t now = cycle * rate_.ticks_per_cycle;
        return end_ > now ? busy_ - (end_ - now) : busy_;
    }
    void take(uint64_t cycle, const uint8_t* beat, unsigned count_of_bytes, bool last, bool record, bool strict) {
        const uint64_t arrival = (cycle + 1) * rate_.ticks_per_cycle;
        const bool late = end_ < arrival;
        if (late) end_ = arrival;
        if (!inside) {
            open = {data.size(), 0, end_, cycle, cycle};
            inside = true;
            occupy(PREAMBLE);
        } else if (late && strict) {
            ++underruns;
        }
        if (last ? !count_of_bytes || count_of_bytes > layout::WIDTH : count_of_bytes != layout::WIDTH) {
            ++malformed;
            if (count_of_bytes > layout::WIDTH) count_of_bytes = layout::WIDTH;
        }
        if (record) data.insert(data.end(), beat, beat + count_of_bytes);
        open.length += count_of_bytes;
        occupy(count_of_bytes);
        if (!last) return;
        const uint64_t padding = open.length < MINIMUM ? MINIMUM - open.length : 0;
        occupy(padding + FCS_AND_GAP);
        open.last_cycle = cycle;
        if (record) packets.push_back(open);
        ++count, bytes += open.length, line_bytes += line_bytes_of(open.length);
        inside = false;
    }

private:
    Rate rate_;
    uint64_t end_ = 0;   // ticks: when the line has sent all that was accepted
    uint64_t busy_ = 0;  // ticks of line time given out

    void occupy(uint64_t line_bytes_more) {
        end_ += line_bytes_more * rate_.ticks_per_byte;
        busy_ += line_bytes_more * rate_.ticks_per_byte;
    }
};
