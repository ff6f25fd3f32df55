// The virtual card: the compiled receive path between a line that brings packets at its rate and a host's memory.
//
//     Python ── push ──> Line ── i ──> [ compiled RTL ] ── place, delivery ──> Memory ── frames ──> Python
//                                      ^ table   ^ counter ^ buffer ────────────┘
//
// A C interface for ctypes; one step() is one clock cycle. `layout.h` and the class `Vcard` are generated.

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "bits.h"
#include "line.h"
#include "pauses.h"
#include "rate.h"
#include "rtl.h"
#include "upward.h"

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
    Upward upward;
    CardOptions options{};
    CardState counts{};
    uint64_t cycle = 0;
    uint64_t progress = 0;           // the last cycle in which anything moved, or had yet to arrive

    Card(const Rate& rate, const char* trace) : rtl(rate.cycle_ps, trace), line(rate) { reset(); }

    void reset() {
        line.reset();
        upward.reset();
        counts = {};
        cycle = progress = 0;
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
        upward.offer(rtl);
        rtl.eval(0);

        const bool taken = rtl->i___05Fvalid && rtl->i___05Fready;
        const bool moved = upward.take(rtl, cycle, line.last_cycle);
        if (rtl->open > counts.open_peak) counts.open_peak = rtl->open;
        rtl.eval(1);

        if (taken) {
            line.advance(cycle);
            rtl->i___05Fvalid = 0;
        }
        upward.clocked(rtl);
        if (taken || moved) progress = cycle;
        ++cycle;
    }

    bool broken() const { return upward.broken(); }
    bool idle() const { return line.done() && !upward.inside; }
};

#include "exports.h"

EXPORT void card_configure(Card* card, const CardOptions* options) {
    card->options = *options;
    card->line.configure(options->line_rate, options->fifo_bytes);
    card->line.pauses.start(3 * options->seed, options->input_pause);
    card->upward.place_pauses.start(3 * options->seed + 1, options->place_pause);
    card->upward.delivery_pauses.start(3 * options->seed + 2, options->delivery_pause);
    Upward& upward = card->upward;
    upward.memory.limit = options->buffers;
    upward.memory.used_peak = upward.memory.used;
    upward.record = options->record;
    upward.once = options->once;
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
    *frames = card->upward.frames.data();
    *data = card->upward.data.data();
    *bytes = card->upward.data.size();
    return card->upward.frames.size();
}

EXPORT void card_forget_frames(Card* card) {
    card->upward.frames.clear();
    card->upward.data.clear();
}

EXPORT void card_state(Card* card, CardState* state) {
    const Rtl& rtl = card->rtl;
    const Line& line = card->line;
    const Upward& upward = card->upward;
    const Memory& memory = upward.memory;
    CardState& s = *state = card->counts;
    s.cycle = card->cycle;
    s.packets_in = line.packets, s.bytes_in = line.bytes, s.line_bytes = line.line_bytes, s.overruns = line.overruns;
    s.buffers_out = memory.outside - rtl->buffer___05Fvalid;
    s.buffers_used = memory.used, s.buffers_peak = memory.used_peak;
    s.frames = upward.count, s.packets_out = upward.packets, s.bytes_out = upward.bytes;
    s.fault = upward.fault;
    std::copy(std::begin(upward.lost), std::end(upward.lost), s.lost);
    s.held = rtl->held, s.open = rtl->open;
    s.packets_left = line.left(), s.taken_of_packet = line.taken_of_packet();
    s.inside = upward.inside;
    s.i_valid = rtl->i___05Fvalid, s.i_ready = rtl->i___05Fready;
    s.place_valid = rtl->place___05Fvalid, s.place_ready = rtl->place___05Fready;
    s.delivery_valid = rtl->delivery___05Fvalid, s.delivery_ready = rtl->delivery___05Fready;
    s.buffer_valid = rtl->buffer___05Fvalid, s.buffer_ready = rtl->buffer___05Fready;
}
