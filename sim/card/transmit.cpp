// The virtual card: the compiled transmit side between a host that always has frames and a MAC at line rate.
//
//     Python ── push ──> Host ── descriptor, i ──> [ compiled RTL ] ── o ──> Mac ── packets ──> Python
//                         ^─────────── turn ───────┘ │ ^ table   ^ counter
//                                                      └ place, delivery ──> memory ── frames for other vports ──> Python
//
// A C interface for ctypes; one step() is one clock cycle. `layout.h` and the class `Vcard` are generated.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <type_traits>

#define BUFFER_BYTES (65536 + 128)  // a frame of a host may be longer than 64 KB

#include "bits.h"
#include "host.h"
#include "mac.h"
#include "pauses.h"
#include "rate.h"
#include "rtl.h"
#include "upward.h"

struct CardOptions {
    uint64_t input_pause;   // chance of a pause in a cycle, 2^-32
    uint64_t output_pause;  // likewise
    uint64_t seed;
    uint64_t fifo_bytes;    // of line time that may be ahead of the MAC before it is no longer ready; 0: no bound
    uint64_t record;        // keep the packets' bytes, and the order of frames
    uint64_t places;        // descriptors of a vport that the card has room for
    uint64_t quantum;       // an input of the card
    uint64_t place_pause;   // chance of a pause in a cycle, 2^-32
    uint64_t delivery_pause;
    uint64_t buffers;       // that the card may have at once
};

struct CardState {
    uint64_t cycle;
    uint64_t frames_in, bytes_in;       // taken by the card
    uint64_t packets, bytes_out;        // whole packets given by the card
    uint64_t line_bytes;                // line time they take, in byte times
    uint64_t busy_ticks;                // for which the line was busy until now
    uint64_t underruns, malformed, unstable, wrong_turns;
    uint64_t frames_waiting, taken_of_frame;
    uint64_t inside, given_of_packet;   // a packet is under way; its bytes so far
    uint64_t i_valid, i_ready, o_valid, o_ready;
    uint64_t local_frames, local_bytes;  // handed to other vports
    uint64_t buffers_used, buffers_peak;
    Fault fault;
    uint64_t lost[1 << layout::DELIVERY_REASON.width];  // frames for other vports that came to nothing
};

struct Card {
    Rtl rtl;
    Host host;
    Mac mac;
    Upward upward;
    Pauses output_pauses;
    CardOptions options{};
    uint64_t cycle = 0;
    uint64_t progress = 0;  // the last cycle in which a beat went in or out, or a frame was pushed
    uint64_t unstable = 0;  // output beats that changed or went away before they were taken
    Watch<std::remove_reference_t<decltype(Vcard::o___05Fpayload)>> output;
    Watch<std::remove_reference_t<decltype(Vcard::turn___05Fpayload)>> turns;

    Card(const Rate& rate, const char* trace) : rtl(rate.cycle_ps, trace), mac(rate) { reset(); }

    void reset() {
        host.reset();
        upward.reset();
        mac.reset();
        cycle = progress = unstable = 0;
        output.reset(), turns.reset();
        rtl.reset();
        rtl->quantum = options.quantum;
    }

    void step() {
        if (!rtl->descriptor___05Fvalid && !host.descriptor_pauses.draw()) {
            rtl->descriptor___05Fvalid = host.descriptor(rtl->descriptor___05Fpayload.m_storage);
        }
        rtl->turn___05Fready = host.fetches();
        if (!rtl->i___05Fvalid && host.has_beat() && !host.pauses.draw()) {
            host.beat(rtl->i___05Fpayload.m_storage);
            rtl->i___05Fvalid = 1;
        }
        rtl->o___05Fready = (!options.fifo_bytes || mac.room(cycle, options.fifo_bytes)) && !output_pauses.draw();
        upward.offer(rtl);
        rtl.eval(0);

        const bool queued = rtl->descriptor___05Fvalid && rtl->descriptor___05Fready;
        const bool turn = rtl->turn___05Fvalid && rtl->turn___05Fready;
        if (!turns.keeps(rtl->turn___05Fvalid, rtl->turn___05Fready, rtl->turn___05Fpayload)) ++unstable;
        if (turn) host.fetch(rtl->turn___05Fpayload.m_storage);
        if (rtl->freed) host.freed(rtl->freed_vport);
        const bool taken = rtl->i___05Fvalid && rtl->i___05Fready;
        const bool given = rtl->o___05Fvalid && rtl->o___05Fready;
        if (!output.keeps(rtl->o___05Fvalid, rtl->o___05Fready, rtl->o___05Fpayload)) ++unstable;
        if (given) {
            const uint32_t* beat = rtl->o___05Fpayload.m_storage;
            mac.take(cycle, reinterpret_cast<const uint8_t*>(beat), get(beat, layout::O_BYTES),
                     get(beat, layout::O_LAST), options.record, !output_pauses.active());
        }
        const bool moved = upward.take(rtl, cycle, cycle);
        rtl.eval(1);
        upward.clocked(rtl);

        if (taken) {
            host.advance();
            rtl->i___05Fvalid = 0;
        }
        if (queued) rtl->descriptor___05Fvalid = 0;
        if (taken || given || queued || turn || moved) progress = cycle;
        ++cycle;
    }

    bool broken() const { return unstable || mac.malformed || host.wrong || upward.broken(); }
    bool idle() const { return host.empty() && !mac.inside && !upward.inside; }
};

#include "exports.h"

EXPORT void card_configure(Card* card, const CardOptions* options) {
    card->options = *options;
    card->host.pauses.start(2 * options->seed, options->input_pause);
    card->host.descriptor_pauses.start(~options->seed, options->input_pause);
    card->upward.place_pauses.start(5 * options->seed + 3, options->place_pause);
    card->upward.delivery_pauses.start(5 * options->seed + 4, options->delivery_pause);
    card->upward.memory.limit = options->buffers;
    card->upward.record = options->record;
    card->host.places = options->places;
    card->host.record = options->record;
    card->rtl->quantum = options->quantum;
    card->output_pauses.start(2 * options->seed + 1, options->output_pause);
}

EXPORT void card_push(Card* card, const uint8_t* data, uint64_t bytes, const FrameHead* heads, uint64_t count,
                      int loop) {
    card->host.push(data, bytes, heads, count, loop && count);
    card->progress = card->cycle;
}

// Ends an endless loop over the frames: those whose descriptors the card has are the last.
EXPORT void card_finish(Card* card) {
    card->host.finish();
    card->progress = card->cycle;
}

// Bytes of data and packets kept, and where they are. Valid until the card runs again.
EXPORT uint64_t card_packets(Card* card, const Mac::Packet** packets, const uint8_t** data, uint64_t* bytes) {
    *packets = card->mac.packets.data();
    *data = card->mac.data.data();
    *bytes = card->mac.data.size();
    return card->mac.packets.size();
}

// Numbers of the frames pushed, in the order in which the card asked for them. Valid until the card runs again.
EXPORT uint64_t card_order(Card* card, const uint32_t** numbers) {
    *numbers = card->host.order.data();
    return card->host.order.size();
}

// Frames for other vports and their bytes, and where they are. Valid until the card runs again.
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

EXPORT void card_forget_packets(Card* card) {
    card->mac.packets.clear();
    card->mac.data.clear();
}

EXPORT void card_state(Card* card, CardState* state) {
    const Rtl& rtl = card->rtl;
    const Host& host = card->host;
    const Mac& mac = card->mac;
    const Upward& upward = card->upward;
    *state = {card->cycle,      host.frames,      host.bytes,           mac.count,
              mac.bytes,        mac.line_bytes,   mac.busy(card->cycle), mac.underruns,
              mac.malformed,    card->unstable,   host.wrong,
              host.waiting(),   host.taken_of_frame(),
              mac.inside,       mac.inside ? mac.open.length : 0,
              rtl->i___05Fvalid, rtl->i___05Fready, rtl->o___05Fvalid,     rtl->o___05Fready,
              upward.count,      upward.bytes,      upward.memory.used, upward.memory.used_peak,
              upward.fault,      {}};
    std::copy(std::begin(upward.lost), std::end(upward.lost), state->lost);
}
