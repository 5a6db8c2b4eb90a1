#ifndef SOURCES_SHOPWARE_PRIV_H
#define SOURCES_SHOPWARE_PRIV_H

/* What shopware.c (deliveries) and shopware_handshake.c (who signs, and how the
 * shop is registered) share. */

#include "sources/platform.h"

/* What the settings say beside shop_id; in source->adapter, of which the first
 * member is what delivery.h reads there. */
struct shopware_settings {
    struct str shop_id; /* empty: any */
    struct str app_name;
};

enum signature_verdict shopware_read_claim(struct arena *arena, const struct source *source,
                                           const struct inbound *inbound,
                                           struct signature_claim *claim);

/* A registration or its confirmation, already proven? */
bool shopware_is_handshake(const struct inbound *inbound);
enum normalise_verdict shopware_shake_hands(struct arena *arena, const struct source *source,
                                            const struct inbound *inbound,
                                            struct normalised *out_normalised,
                                            struct problem *problem);

#endif
