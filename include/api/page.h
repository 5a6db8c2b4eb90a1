#ifndef API_PAGE_H
#define API_PAGE_H

/*
 * Lists (contract 1): {"data":[...],"next_page_token":...}.
 *
 * A page token is where the next page begins, under a MAC and bound to the
 * query it was made for: it can neither be forged into another workspace's
 * rows nor be carried into another filter. It is not secret.
 */

#include <stddef.h>
#include <stdint.h>

#include "api/resource.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "store/seal.h"

/* Pure but for the key. Empty when the arena is full. */
struct str page_token_write(const struct seal *seal, struct arena *arena, struct str query,
                            struct str cursor);
/* "page-token-invalid" or "page-token-mismatch". */
NODISCARD enum status page_token_read(const struct seal *seal, struct arena *arena,
                                      struct str query, struct str token, struct str *out_cursor,
                                      struct problem *problem);

/* One list being answered. */
struct page {
    const struct resource_request *request;
    struct str query;  /* what the token is bound to */
    struct str cursor; /* empty on the first page */
    size_t size;       /* rows to show; ask the store for one more */
    struct buf buf;
    struct jsonw json; /* inside "data" */
};

/* `list` names the list, `filters` all that narrows or orders it. */
NODISCARD enum status page_open(struct page *page, const struct resource_request *request,
                                const char *list, struct str filters, struct problem *problem);
/* next_cursor empty: this was the last page. total < 0: not asked for. */
NODISCARD enum status page_close(struct page *page, struct str next_cursor, int64_t total,
                                 bool exact, struct resource_answer *out_answer,
                                 struct problem *problem);

/* "<ms>:<uuid>" */
struct str cursor_format(struct arena *arena, int64_t ms, struct id id);
bool cursor_parse(struct str cursor, int64_t *out_ms, struct id *out_id);
/* The place before the newest row, or the cursor's. */
void cursor_place(const struct page *page, int64_t *out_ms, struct id *out_id);

#endif
