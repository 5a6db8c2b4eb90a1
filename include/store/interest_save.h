#ifndef STORE_INTEREST_SAVE_H
#define STORE_INTEREST_SAVE_H

/*
 * What a batch's facts and orders say of products, written with them.
 */

#include "store/batch.h"

enum {
    INTEREST_STATEMENTS_MAX = 2
};

/* Queues it in the open transaction, behind the batch's orders; nothing where they
 * say nothing. */
NODISCARD enum status interest_queue(struct batch *batch, const struct decision_rows *rows);

#endif
