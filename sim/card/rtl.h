// The compiled RTL with its clock and its waveform. `Vcard` is generated.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>

#include "Vcard.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

// A port of up to 64 bits is an integer in Verilator's C++, a wider one an array of 32-bit words.
template <typename T> void assign(T& port, const uint32_t* words) {
    uint64_t value = words[0];
    if (sizeof(T) > 4) value |= static_cast<uint64_t>(words[1]) << 32;
    port = static_cast<T>(value);
}
template <std::size_t N> void assign(VlWide<N>& port, const uint32_t* words) {
    std::memcpy(port.m_storage, words, sizeof port.m_storage);
}

class Rtl {
public:
    Rtl(uint64_t cycle_ps, const char* trace) : trace_(trace ? trace : ""), cycle_ps_(cycle_ps) {}
    ~Rtl() { power_off(); }

    Vcard* operator->() const { return rtl_.get(); }

    // The compiled RTL has no reset, which makes it a good deal faster: it starts anew from its initial values, as an
    // FPGA does when it is configured. A waveform starts anew with it.
    void reset() {
        power_off();
        context_ = std::make_unique<VerilatedContext>();
        context_->traceEverOn(!trace_.empty());
        rtl_ = std::make_unique<Vcard>(context_.get(), "card");
#if VM_TRACE
        if (!trace_.empty()) {
            vcd_ = std::make_unique<VerilatedVcdC>();
            rtl_->trace(vcd_.get(), 99);
            vcd_->open(trace_.c_str());
        }
        edges_ = 0;
#endif
        for (int n = 0; n < 4; ++n) eval(0), eval(1);
    }

    void eval(unsigned clk) {
        rtl_->clk = clk;
        rtl_->eval();
#if VM_TRACE
        if (vcd_) vcd_->dump(cycle_ps_ * edges_++ / 2);
#endif
    }

private:
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vcard> rtl_;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> vcd_;
    uint64_t edges_ = 0;
#endif
    const std::string trace_;
    const uint64_t cycle_ps_;

    void power_off() {
        if (rtl_) rtl_->final();
#if VM_TRACE
        vcd_.reset();
#endif
        rtl_.reset();
        context_.reset();
    }
};

// An output stream of the card: what it offers may not change or go away before it is taken.
template <typename Payload> class Watch {
public:
    void reset() { stalled_ = false; }
    // False if the rule was broken in this cycle.
    bool keeps(bool valid, bool ready, const Payload& payload) {
        const bool kept = !stalled_ || (valid && !std::memcmp(&waiting_, &payload, sizeof waiting_));
        stalled_ = valid && !ready;
        if (stalled_) waiting_ = payload;
        return kept;
    }

private:
    bool stalled_ = false;  // the last cycle offered something that was not taken
    Payload waiting_;
};
