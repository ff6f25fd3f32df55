// What the card hands up: placements into the host's memory, and deliveries, each checked.
#pragma once

#include <cstdint>
#include <vector>

#include "bits.h"
#include "layout.h"
#include "memory.h"
#include "pauses.h"
#include "records.h"
#include "rtl.h"

// `Rtl` has streams `buffer`, `place` and `delivery`. In a cycle: offer(), evaluate, take(), clock, clocked().
class Upward {
public:
    Memory memory;
    Pauses place_pauses, delivery_pauses;
    Fault fault{};
    bool record = false;  // keep the frames
    bool once = false;    // a byte that is placed twice in one claim of its buffer is a fault
    bool inside = false;  // a placement is under way
    uint64_t count = 0, packets = 0, bytes = 0;         // delivered
    uint64_t lost[1 << layout::DELIVERY_REASON.width]{};  // packets that came to nothing, by reason
    std::vector<Delivered> frames;
    std::vector<uint8_t> data;

    void reset() {
        const Pauses place = place_pauses, delivery = delivery_pauses;
        const bool keep = record, strict = once;
        *this = Upward();
        place_pauses = place, delivery_pauses = delivery, record = keep, once = strict;
    }
    void offer(Rtl& rtl) {
        if (!rtl->buffer___05Fvalid && memory.spare()) {
            rtl->buffer___05Fpayload = memory.take();
            rtl->buffer___05Fvalid = 1;
        }
        rtl->place___05Fready = !place_pauses.draw();
        rtl->delivery___05Fready = !delivery_pauses.draw();
    }
    // Whether anything moved. `last_byte_cycle`: in which the card had taken the latest packet's last beat.
    bool take(Rtl& rtl, uint64_t cycle, uint64_t last_byte_cycle) {
        cycle_ = cycle;
        offered_ = rtl->buffer___05Fvalid ? rtl->buffer___05Fpayload : Memory::NONE;
        claimed_ = rtl->buffer___05Fvalid && rtl->buffer___05Fready;
        const bool placed = rtl->place___05Fvalid && rtl->place___05Fready;
        const bool handed = rtl->delivery___05Fvalid && rtl->delivery___05Fready;
        if (!place_.keeps(rtl->place___05Fvalid, rtl->place___05Fready, rtl->place___05Fpayload)) {
            fail(FaultKind::PLACE_UNSTABLE);
        }
        if (!delivery_.keeps(rtl->delivery___05Fvalid, rtl->delivery___05Fready, rtl->delivery___05Fpayload)) {
            fail(FaultKind::DELIVERY_UNSTABLE);
        }
        if (placed) write(rtl->place___05Fpayload.m_storage);
        if (handed) hand_up(rtl->delivery___05Fpayload.m_storage, last_byte_cycle);
        return claimed_ || placed || handed;
    }
    void clocked(Rtl& rtl) {
        if (claimed_) rtl->buffer___05Fvalid = 0;
    }
    bool broken() const { return fault.kind != FaultKind::NONE; }

private:
    uint64_t cycle_ = 0;
    uint32_t offered_ = Memory::NONE;
    bool claimed_ = false;
    uint32_t next_handle_ = 0, next_offset_ = 0;  // where the placement under way goes on
    Watch<std::remove_reference_t<decltype(Vcard::place___05Fpayload)>> place_;
    Watch<std::remove_reference_t<decltype(Vcard::delivery___05Fpayload)>> delivery_;

    void fail(FaultKind kind, uint64_t handle = 0, uint64_t byte = 0) {
        if (!broken()) fault = {kind, cycle_, handle, byte};
    }

    void write(const uint32_t* beat) {
        const unsigned bytes = get(beat, layout::PLACE_BYTES);
        const bool last = get(beat, layout::PLACE_LAST);
        const uint32_t handle = get(beat, layout::PLACE_HANDLE), offset = get(beat, layout::PLACE_OFFSET);
        if (last ? !bytes || bytes > layout::WIDTH : bytes != layout::WIDTH) return fail(FaultKind::PLACE_BYTES, handle, bytes);
        if (inside && (handle != next_handle_ || offset != next_offset_)) return fail(FaultKind::PLACE_JUMPS, handle, offset);
        if (!has(handle)) return fail(FaultKind::PLACE_NOT_CLAIMED, handle, offset);
        if (offset + bytes > Memory::SIZE) return fail(FaultKind::PLACE_BEYOND, handle, Memory::SIZE);
        const uint32_t twice =
            memory.write<layout::WIDTH>(handle, offset, bytes, reinterpret_cast<const uint8_t*>(beat));
        if (once && twice != Memory::NONE) return fail(FaultKind::PLACE_TWICE, handle, twice);
        inside = !last;
        next_handle_ = handle, next_offset_ = offset + bytes;
    }

    void hand_up(const uint32_t* record_, uint64_t last_byte_cycle) {
        const uint32_t reason = get(record_, layout::DELIVERY_REASON), of = get(record_, layout::DELIVERY_PACKETS);
        const uint32_t handle = get(record_, layout::DELIVERY_HANDLE), length = get(record_, layout::DELIVERY_LENGTH);
        const bool claimed = get(record_, layout::DELIVERY_CLAIMED);
        if ((claimed || !reason) && !(claimed && has(handle))) return fail(FaultKind::DELIVERY_NOT_CLAIMED, handle);
        if (reason) {
            lost[reason] += of;
        } else {
            if (length > Memory::SIZE) return fail(FaultKind::DELIVERY_LENGTH, handle, length);
            const uint32_t hole = memory.hole(handle, length);
            if (hole != Memory::NONE) return fail(FaultKind::DELIVERY_HOLE, handle, hole);
            ++count, packets += of, bytes += length;
            if (record) {
                frames.push_back(delivered(record_, data.size(), cycle_, last_byte_cycle));
                const uint8_t* from = memory.data(handle);
                data.insert(data.end(), from, from + length);
                const int64_t beyond = patch(record_, data.data() + data.size() - length, length);
                if (beyond >= 0) return fail(FaultKind::DELIVERY_PATCH, handle, beyond);
            }
        }
        if (claimed) memory.give_back(handle);
    }

    // A buffer that is offered is not the card's before it took it.
    bool has(uint32_t handle) const { return memory.claimed(handle) && handle != offered_; }
};
