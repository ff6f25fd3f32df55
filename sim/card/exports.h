// The part of the C interface that is the same for every card. Included behind the definition of
//
//     struct Card {
//         Card(const Rate&, const char* trace);
//         Rtl rtl;
//         uint64_t cycle, progress;     // progress: the last cycle in which anything moved
//         void reset(), step();         // step: one clock cycle
//         bool broken() const;          // the card broke a rule of its interfaces
//         bool idle() const;            // nothing more is expected of the card, if it stays quiet
//     };
#pragma once

#include <cstdint>

#include "rate.h"
#include "rtl.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

enum Status { RUNNING, IDLE, STUCK, BROKEN };

EXPORT Card* card_new(const Rate* rate, const char* trace) { return new Card(*rate, trace); }

EXPORT void card_free(Card* card) { delete card; }

EXPORT void card_reset(Card* card) { card->reset(); }

// Runs until nothing moved for `settle` cycles and the card may be idle (1), nothing moved for `patience` cycles with
// work left (2), it broke a rule (3), or for `cycles` cycles (0).
EXPORT int card_run(Card* card, uint64_t cycles, uint64_t settle, uint64_t patience) {
    for (const uint64_t stop = card->cycle + cycles; card->cycle != stop;) {
        card->step();
        if (card->broken()) return BROKEN;
        const uint64_t quiet = card->cycle - card->progress;
        if (quiet > settle) {
            if (card->idle()) return IDLE;
            if (quiet > patience) return STUCK;
        }
    }
    return RUNNING;
}

// A row is taken in a cycle in which the table is ready, and in place when it is ready again.
static void wait_for_table(Card& card) {
    for (int patience = 1000; patience && !card.rtl->table___05Fready; --patience) card.step();
}

// `words` hold the row, least significant first, padded with zeros to whole 64 bits.
EXPORT void card_write_row(Card* card, uint32_t table, uint32_t row, const uint32_t* words) {
    Vcard& rtl = *card->rtl.operator->();
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
