#ifndef DELIVER_ANSWER_TEXT_H
#define DELIVER_ANSWER_TEXT_H

/*
 * What of a receiver's answer is kept for the attempts log. Pure; any thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Enough for an error page's first words, little enough for a row per attempt. */
enum {
    ANSWER_TEXT_BYTES_MAX = 1024
};

/* Copies printable UTF-8, at most `capacity` bytes and never half a character;
 * control characters become a space, bytes that are no UTF-8 a question mark.
 * Returns the size. */
size_t answer_text_clean(struct str raw, char *text, size_t capacity);

/* A Retry-After header: seconds, or an HTTP date seen from now_ms. 0 when it is
 * neither or lies in the past; at most a day. */
int64_t retry_after_parse(struct str value, int64_t now_ms);

#endif
