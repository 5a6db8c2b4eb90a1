#ifndef CORE_SOURCE_H
#define CORE_SOURCE_H

/*
 * A configured sender as the hot path sees it: plain values that the store
 * loads, verify and sources read, and nobody changes (a new registry snapshot
 * replaces the old one whole).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/id.h"
#include "base/str.h"
#include "core/event/event.h"

struct signature_spec;

/* What a shop asks an operator for (erase, hand out) is quarantined under a
 * reason that begins so. */
#define SOURCE_PRIVACY_REASON "privacy request"

struct source_secret {
    struct id id;
    struct str label;
    struct str value;      /* plain; in memory that is wiped */
    bool shadow;           /* counts matches, decides nothing */
    int64_t expires_at_ms; /* INSTANT_NEVER */
};

struct source {
    struct id id;
    struct id workspace_id;
    struct str name;
    struct str platform; /* "shopify", "woocommerce", "standard_webhooks", "api" */
    struct str workspace_name;
    struct str currency;  /* settings, else the workspace's */
    struct str time_zone; /* IANA, NUL-terminated beyond size; "UTC" */
    struct str settings_json;
    struct str shop_domain; /* settings.shop_domain / site_url host, or empty: any */
    /* settings.order_completed_when as a list; empty: the platform's default. */
    const struct str *order_completed_when;
    size_t order_completed_when_count;
    /* Of a page's source: from where its events may come (lower case), whether
     * Global Privacy Control is heeded, whether its orders count. */
    const struct str *allowed_origins;
    size_t allowed_origin_count;
    bool respects_gpc;
    bool counts_orders;
    /* settings.notification_url: the address that the sender signs with, where it
     * signs one; empty: the one we made. */
    struct str notification_url;
    int64_t expected_silence_ms; /* settings.expected_silence, else the platform's */
    /* settings.allowed_addresses; none: any. */
    const struct address_block *allowed_addresses;
    size_t allowed_address_count;
    const struct signature_spec *signature; /* NULL: the platform's */
    const char *const *kept_headers;        /* beside the platform's; NULL-terminated, or NULL */
    const void *adapter;                    /* what the platform made of its own settings */
    const struct source_secret *secrets;
    size_t secret_count;
    bool deleted;
};

#endif
