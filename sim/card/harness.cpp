// The virtual card: the compiled transmit path between a host that always has frames and a MAC at line rate.
//
//     Python ── push ──> Host ── i ──> [ compiled RTL ] ── o ──> Mac ── packets ──> Python
//                                        ^ table   ^ counter
//
// A C interface for ctypes; one step() is one clock cycle. `layout.h` and the class `Vcard` are generated.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>

#include "Vcard.h"
#include "host.h"
#include "mac.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

// A port of up to 64 bits is an integer in Verilator's C++, a wider one an array of 32-bit words.
template <typename T> void assign(T& port, const uint32_t* words) {
    uint64_t value = words[0];
    if (sizeof(T) > 4) value |= static_cast<uint64_t>(words[1]) << 32;
    port = static_cast<T>(value);
}
template <std::size_t N> void assign(VlWide<N>& port, const uint32_t* words) {
    std::memcpy(port.m_storage, words, sizeof port.m_storage);
}

enum Status { RUNNING, IDLE, STUCK };

}  // namespace

struct CardOptions {
    uint64_t input_pause;   // chance of a pause in a cycle, 2^-32
    uint64_t output_pause;  // likewise
    uint64_t seed;
    uint64_t fifo_bytes;    // of line time that may be ahead of the MAC before it is no longer ready; 0: no bound
    uint64_t record;        // keep the packets' bytes
};

struct CardState {
    uint64_t cycle;
    uint64_t frames_in, bytes_in;       // taken by the card
    uint64_t packets, bytes_out;        // whole packets given by the card
    uint64_t line_bytes;                // line time they take, in byte times
    uint64_t busy_ticks;                // for which the line was busy until now
    uint64_t underruns, malformed, unstable;
    uint64_t frames_waiting, taken_of_frame;
    uint64_t inside, given_of_packet;   // a packet is under way; its bytes so far
    uint64_t i_valid, i_ready, o_valid, o_ready;
};

struct Card {
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vcard> rtl;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> vcd;
    uint64_t edges = 0;
#endif
    const std::string trace;
    Host host;
    Mac mac;
    Pauses output_pauses;
    CardOptions options{};
    uint64_t cycle = 0;
    uint64_t progress = 0;  // the last cycle in which a beat went in or out, or a frame was pushed
    uint64_t unstable = 0;  // output beats that changed or went away before they were taken
    bool stalled = false;   // the last cycle offered an output beat that was not taken
    std::remove_reference_t<decltype(Vcard::o___05Fpayload)> waiting;

    Card(const Rate& rate, const char* trace_path) : trace(trace_path ? trace_path : ""), mac(rate) { reset(); }

    ~Card() { power_off(); }

    // The compiled RTL has no reset, which makes it a good deal faster: it starts anew from its initial values, as an
    // FPGA does when it is configured. A waveform starts anew with it.
    void reset() {
        power_off();
        context = std::make_unique<VerilatedContext>();
        context->traceEverOn(!trace.empty());
        rtl = std::make_unique<Vcard>(context.get(), "card");
#if VM_TRACE
        if (!trace.empty()) {
            vcd = std::make_unique<VerilatedVcdC>();
            rtl->trace(vcd.get(), 99);
            vcd->open(trace.c_str());
        }
        edges = 0;
#endif
        host.clear();
        host.frames = host.bytes = 0;
        mac.reset();
        cycle = progress = unstable = 0;
        stalled = false;
        for (int n = 0; n < 4; ++n) eval(0), eval(1);
    }

    void power_off() {
        if (rtl) rtl->final();
#if VM_TRACE
        vcd.reset();
#endif
        rtl.reset();
        context.reset();
    }

    void eval(unsigned clk) {
        rtl->clk = clk;
        rtl->eval();
#if VM_TRACE
        if (vcd) vcd->dump(mac.rate().cycle_ps * edges++ / 2);
#endif
    }

    void step() {
        if (!rtl->i___05Fvalid && !host.empty() && !host.pauses.draw()) {
            host.beat(rtl->i___05Fpayload.m_storage);
            rtl->i___05Fvalid = 1;
        }
        rtl->o___05Fready = (!options.fifo_bytes || mac.room(cycle, options.fifo_bytes)) && !output_pauses.draw();
        eval(0);

        const bool taken = rtl->i___05Fvalid && rtl->i___05Fready;
        const bool given = rtl->o___05Fvalid && rtl->o___05Fready;
        if (stalled && (!rtl->o___05Fvalid || std::memcmp(&waiting, &rtl->o___05Fpayload, sizeof waiting))) ++unstable;
        stalled = rtl->o___05Fvalid && !rtl->o___05Fready;
        if (stalled) waiting = rtl->o___05Fpayload;
        if (given) {
            const uint32_t* beat = rtl->o___05Fpayload.m_storage;
            mac.take(cycle, reinterpret_cast<const uint8_t*>(beat), get(beat, layout::O_BYTES),
                     get(beat, layout::O_LAST), options.record, !output_pauses.active());
        }
        eval(1);

        if (taken) {
            host.advance();
            rtl->i___05Fvalid = 0;
        }
        if (taken || given) progress = cycle;
        ++cycle;
    }

    Status run(uint64_t cycles, uint64_t settle, uint64_t patience) {
        for (const uint64_t stop = cycle + cycles; cycle != stop;) {
            step();
            const uint64_t quiet = cycle - progress;
            if (quiet > settle) {
                if (host.empty() && !mac.inside) return IDLE;
                if (quiet > patience) return STUCK;
            }
        }
        return RUNNING;
    }
};

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Card* card_new(const Rate* rate, const char* trace) { return new Card(*rate, trace); }

EXPORT void card_free(Card* card) { delete card; }

EXPORT void card_reset(Card* card) { card->reset(); }

EXPORT void card_configure(Card* card, const CardOptions* options) {
    card->options = *options;
    card->host.pauses.start(2 * options->seed, options->input_pause);
    card->output_pauses.start(2 * options->seed + 1, options->output_pause);
}

EXPORT void card_push(Card* card, const uint8_t* data, uint64_t bytes, const FrameHead* heads, uint64_t count,
                      int loop) {
    card->host.push(data, bytes, heads, count, loop && count);
    card->progress = card->cycle;
}

// Ends an endless loop over the frames: the frame under way is the last.
EXPORT void card_finish(Card* card) {
    card->host.finish(card->rtl->i___05Fvalid);
    card->progress = card->cycle;
}

// Runs until nothing moved for `settle` cycles with all frames taken (1), nothing moved for `patience` cycles with work
// left (2), or for `cycles` cycles (0).
EXPORT int card_run(Card* card, uint64_t cycles, uint64_t settle, uint64_t patience) {
    return card->run(cycles, settle, patience);
}

// Bytes of data and packets kept, and where they are. Valid until the card runs again.
EXPORT uint64_t card_packets(Card* card, const Mac::Packet** packets, const uint8_t** data, uint64_t* bytes) {
    *packets = card->mac.packets.data();
    *data = card->mac.data.data();
    *bytes = card->mac.data.size();
    return card->mac.packets.size();
}

EXPORT void card_forget_packets(Card* card) {
    card->mac.packets.clear();
    card->mac.data.clear();
}

EXPORT void card_state(Card* card, CardState* state) {
    const Vcard& rtl = *card->rtl;
    const Host& host = card->host;
    const Mac& mac = card->mac;
    *state = {card->cycle,      host.frames,      host.bytes,           mac.count,
              mac.bytes,        mac.line_bytes,   mac.busy(card->cycle), mac.underruns,
              mac.malformed,    card->unstable,   host.waiting(),       host.taken_of_frame(),
              mac.inside,       mac.inside ? mac.open.length : 0,
              rtl.i___05Fvalid, rtl.i___05Fready, rtl.o___05Fvalid,     rtl.o___05Fready};
}

// A row is taken in a cycle in which the table is ready, and in place when it is ready again.
static void wait_for_table(Card& card) {
    for (int patience = 1000; patience && !card.rtl->table___05Fready; --patience) card.step();
}

// `words` hold the row, least significant first, padded with zeros to whole 64 bits.
EXPORT void card_write_row(Card* card, uint32_t table, uint32_t row, const uint32_t* words) {
    Vcard& rtl = *card->rtl;
    rtl.table___05Fvalid = 1;
    rtl.table___05Ftable = table;
    rtl.table___05Frow = row;
    assign(rtl.table___05Fdata, words);
    wait_for_table(*card);
    card->step();
    rtl.table___05Fvalid = 0;
    wait_for_table(*card);
}

EXPORT uint32_t card_read_counter(Card* card, uint32_t index) {
    card->rtl->counter___05Fselect = index;
    for (int n = 0; n < 6; ++n) card->step();
    return card->rtl->counter___05Fvalue;
}
