// The virtual card: the compiled receive path between a line that brings packets at its rate and a host's memory.
//
//     Python ── push ──> Line ── i ──> [ compiled RTL ] ── place, delivery ──> Memory ── frames ──> Python
//                                      ^ table   ^ counter ^ buffer ────────────┘
//
// A C interface for ctypes; one step() is one clock cycle. `layout.h` and the class `Vcard` are generated.

#include <cstdint>
#include <type_traits>
#include <vector>

#include "bits.h"
#include "line.h"
#include "memory.h"
#include "pauses.h"
#include "rate.h"
#include "records.h"
#include "rtl.h"

struct CardOptions {
    uint64_t input_pause;     // chance of a pause in a cycle, 2^-32
    uint64_t place_pause;     // likewise
    uint64_t delivery_pause;  // likewise
    uint64_t seed;
    uint64_t line_rate;       // packets come at the line's rate; else as fast as the card takes them
    uint64_t fifo_bytes;      // that may wait in the MAC when a packet begins to come
    uint64_t buffers;         // that the card may have at once
    uint64_t idle, timeout;   // inputs of the card
    uint64_t record;          // keep the frames
    uint64_t once;            // a byte that is placed twice in one claim of its buffer is a fault
};

struct CardState {
    uint64_t cycle;
    uint64_t packets_in, bytes_in;  // taken by the card, whole packets
    uint64_t line_bytes;            // line time they take, in byte times
    uint64_t overruns;
    uint64_t frames, packets_out, bytes_out;  // delivered
    uint64_t buffers_out, buffers_used, buffers_peak;
    uint64_t held, open, open_peak;
    uint64_t packets_left, taken_of_packet;
    uint64_t inside;                // a placement is under way
    uint64_t i_valid, i_ready, place_valid, place_ready, delivery_valid, delivery_ready, buffer_valid, buffer_ready;
    Fault fault;
    uint64_t lost[1 << layout::DELIVERY_REASON.width];  // packets that came to nothing, by reason
};

struct Card {
    Rtl rtl;
    Line line;
    Memory memory;
    Pauses place_pauses, delivery_pauses;
    CardOptions options{};
    CardState counts{};
    std::vector<Delivered> frames;
    std::vector<uint8_t> data;
    uint64_t cycle = 0;
    uint64_t progress = 0;           // the last cycle in which anything moved, or had yet to arrive
    bool inside = false;             // a placement is under way, and goes on here:
    uint32_t next_handle = 0, next_offset = 0;
    Watch<std::remove_reference_t<decltype(Vcard::place___05Fpayload)>> place;
    Watch<std::remove_reference_t<decltype(Vcard::delivery___05Fpayload)>> delivery;

    Card(const Rate& rate, const char* trace) : rtl(rate.cycle_ps, trace), line(rate) { reset(); }

    void reset() {
        line.reset();
        memory = Memory();
        counts = {};
        frames.clear(), data.clear();
        cycle = progress = 0;
        inside = false;
        place.reset(), delivery.reset();
        rtl.reset();
    }

    void step() {
        const bool here = line.tick();
        if (!rtl->i___05Fvalid) {
            if (here) {
                line.beat(rtl->i___05Fpayload.m_storage);
                rtl->i___05Fvalid = 1;
            } else if (!line.done()) {
                progress = cycle;  // the card waits for the line
            }
        }
        if (!rtl->buffer___05Fvalid && memory.spare()) {
            rtl->buffer___05Fpayload = memory.take();
            rtl->buffer___05Fvalid = 1;
        }
        rtl->place___05Fready = !place_pauses.draw();
        rtl->delivery___05Fready = !delivery_pauses.draw();
        rtl.eval(0);

        const bool taken = rtl->i___05Fvalid && rtl->i___05Fready;
        const bool claimed = rtl->buffer___05Fvalid && rtl->buffer___05Fready;
        const bool placed = rtl->place___05Fvalid && rtl->place___05Fready;
        const bool handed = rtl->delivery___05Fvalid && rtl->delivery___05Fready;
        if (!place.keeps(rtl->place___05Fvalid, rtl->place___05Fready, rtl->place___05Fpayload)) fail(FaultKind::PLACE_UNSTABLE);
        if (!delivery.keeps(rtl->delivery___05Fvalid, rtl->delivery___05Fready, rtl->delivery___05Fpayload)) {
            fail(FaultKind::DELIVERY_UNSTABLE);
        }
        if (placed) write(rtl->place___05Fpayload.m_storage);
        if (handed) hand_up(rtl->delivery___05Fpayload.m_storage);
        if (rtl->open > counts.open_peak) counts.open_peak = rtl->open;
        rtl.eval(1);

        if (taken) {
            line.advance(cycle);
            rtl->i___05Fvalid = 0;
        }
        if (claimed) rtl->buffer___05Fvalid = 0;
        if (taken || claimed || placed || handed) progress = cycle;
        ++cycle;
    }

    void fail(FaultKind kind, uint64_t handle = 0, uint64_t byte = 0) {
        if (!broken()) counts.fault = {kind, cycle, handle, byte};
    }

    void write(const uint32_t* beat) {
        const unsigned bytes = get(beat, layout::PLACE_BYTES);
        const bool last = get(beat, layout::PLACE_LAST);
        const uint32_t handle = get(beat, layout::PLACE_HANDLE), offset = get(beat, layout::PLACE_OFFSET);
        if (last ? !bytes || bytes > layout::WIDTH : bytes != layout::WIDTH) return fail(FaultKind::PLACE_BYTES, handle, bytes);
        if (inside && (handle != next_handle || offset != next_offset)) return fail(FaultKind::PLACE_JUMPS, handle, offset);
        if (!has(handle)) return fail(FaultKind::PLACE_NOT_CLAIMED, handle, offset);
        if (offset + bytes > Memory::SIZE) return fail(FaultKind::PLACE_BEYOND, handle, Memory::SIZE);
        const uint32_t twice =
            memory.write<layout::WIDTH>(handle, offset, bytes, reinterpret_cast<const uint8_t*>(beat));
        if (options.once && twice != Memory::NONE) return fail(FaultKind::PLACE_TWICE, handle, twice);
        inside = !last;
        next_handle = handle, next_offset = offset + bytes;
    }

    void hand_up(const uint32_t* record) {
        const uint32_t reason = get(record, layout::DELIVERY_REASON), packets = get(record, layout::DELIVERY_PACKETS);
        const uint32_t handle = get(record, layout::DELIVERY_HANDLE), length = get(record, layout::DELIVERY_LENGTH);
        const bool claimed = get(record, layout::DELIVERY_CLAIMED);
        if ((claimed || !reason) && !(claimed && has(handle))) return fail(FaultKind::DELIVERY_NOT_CLAIMED, handle);
        if (reason) {
            counts.lost[reason] += packets;
        } else {
            if (length > Memory::SIZE) return fail(FaultKind::DELIVERY_LENGTH, handle, length);
            const uint32_t hole = memory.hole(handle, length);
            if (hole != Memory::NONE) return fail(FaultKind::DELIVERY_HOLE, handle, hole);
            ++counts.frames, counts.packets_out += packets, counts.bytes_out += length;
            if (options.record) {
                frames.push_back(delivered(record, data.size(), cycle, line.last_cycle));
                const uint8_t* from = memory.data(handle);
                data.insert(data.end(), from, from + length);
                const int64_t beyond = patch(record, data.data() + data.size() - length, length);
                if (beyond >= 0) return fail(FaultKind::DELIVERY_PATCH, handle, beyond);
            }
        }
        if (claimed) memory.give_back(handle);
    }

    // A buffer that is offered is not the card's before it took it.
    bool has(uint32_t handle) const {
        return memory.claimed(handle) && !(rtl->buffer___05Fvalid && rtl->buffer___05Fpayload == handle);
    }

    bool broken() const { return counts.fault.kind != FaultKind::NONE; }
    bool idle() const { return line.done() && !inside; }
};

#include "exports.h"

EXPORT void card_configure(Card* card, const CardOptions* options) {
    card->options = *options;
    card->line.configure(options->line_rate, options->fifo_bytes);
    card->line.pauses.start(3 * options->seed, options->input_pause);
    card->place_pauses.start(3 * options->seed + 1, options->place_pause);
    card->delivery_pauses.start(3 * options->seed + 2, options->delivery_pause);
    card->memory.limit = options->buffers;
    card->memory.used_peak = card->memory.used;
    card->counts.open_peak = card->rtl->open;
    card->rtl->idle = options->idle;
    card->rtl->timeout = options->timeout;
}

// Only when all packets pushed before have been taken.
EXPORT void card_push(Card* card, const uint8_t* data, uint64_t bytes, const PacketHead* heads, uint64_t count,
                      int loop) {
    card->line.push(data, bytes, heads, count, loop);
    card->progress = card->cycle;
}

// Ends an endless loop over the packets: the packet under way is the last.
EXPORT void card_finish(Card* card) {
    card->line.finish();
    card->progress = card->cycle;
}

// The card's input: hand up all open frames.
EXPORT void card_flush(Card* card, int flush) {
    card->rtl->flush = flush != 0;
    card->progress = card->cycle;
}

// Frames kept and their bytes, and where they are. Valid until the card runs again.
EXPORT uint64_t card_frames(Card* card, const Delivered** frames, const uint8_t** data, uint64_t* bytes) {
    *frames = card->frames.data();
    *data = card->data.data();
    *bytes = card->data.size();
    return card->frames.size();
}

EXPORT void card_forget_frames(Card* card) {
    card->frames.clear();
    card->data.clear();
}

EXPORT void card_state(Card* card, CardState* state) {
    const Rtl& rtl = card->rtl;
    const Line& line = card->line;
    const Memory& memory = card->memory;
    CardState& s = *state = card->counts;
    s.cycle = card->cycle;
    s.packets_in = line.packets, s.bytes_in = line.bytes, s.line_bytes = line.line_bytes, s.overruns = line.overruns;
    s.buffers_out = memory.outside - rtl->buffer___05Fvalid;
    s.buffers_used = memory.used, s.buffers_peak = memory.used_peak;
    s.held = rtl->held, s.open = rtl->open;
    s.packets_left = line.left(), s.taken_of_packet = line.taken_of_packet();
    s.inside = card->inside;
    s.i_valid = rtl->i___05Fvalid, s.i_ready = rtl->i___05Fready;
    s.place_valid = rtl->place___05Fvalid, s.place_ready = rtl->place___05Fready;
    s.delivery_valid = rtl->delivery___05Fvalid, s.delivery_ready = rtl->delivery___05Fready;
    s.buffer_valid = rtl->buffer___05Fvalid, s.buffer_ready = rtl->buffer___05Fready;
}
