#ifndef DELIVER_DESTINATION_H
#define DELIVER_DESTINATION_H

/*
 * An endpoint made ready for sending: URL, keys and fixed header lines in the
 * form libcurl wants them, built once and shared by all transfers to it.
 *
 * Reference-counted, since libcurl borrows the header list while a transfer
 * runs and the endpoint may change meanwhile. One thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "core/trigger/native.h"

struct curl_slist;
struct destination;
struct endpoint;
struct key_vault;

enum {
    DESTINATION_SIGNATURE_SIZE = 4 * 48 + 4 * 93
}; /* four "v1,<base64>" and four "v1a,<base64>", a space between, NUL */

/* Copies everything, keys into the vault, which outlives it; one reference. Header
 * lines that are not allowed are left out. NULL when the system has no memory. */
struct destination *destination_create(struct key_vault *vault, const struct endpoint *endpoint);
struct destination *destination_hold(struct destination *destination);
void destination_release(struct destination *destination); /* NULL is fine */

/* Would destination_create make the same again? */
bool destination_matches(const struct destination *destination, const struct endpoint *endpoint);

const char *destination_url(const struct destination *destination);
enum native_format destination_format(const struct destination *destination);
int64_t destination_timeout_ms(const struct destination *destination);
/* Content type and the endpoint's own lines; lives as long as the destination. */
struct curl_slist *destination_headers(const struct destination *destination);

/* One signature for each live secret, into DESTINATION_SIGNATURE_SIZE bytes. False
 * when the system has no memory for a message in one piece (v1a only). */
NODISCARD bool destination_sign(const struct destination *destination, struct str webhook_id,
                                struct str timestamp_s, struct str body, char *text);

/* Is "Name: value" a line that a subscription may add? Not those that frame or
 * sign the message, and nothing that could end the line. */
bool endpoint_header_is_allowed(struct str line);

#endif
