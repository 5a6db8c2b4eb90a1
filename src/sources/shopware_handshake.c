#include <string.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "platform_priv.h"
#include "shopware_priv.h"
#include "sources/json_border.h"

/*
 * Who signs for a Shopware shop, and how it comes to its secret.
 *
 * Three kinds of secret, told apart by label. "app" stands in the app's manifest:
 * it proves that a registration comes from a shop with that manifest, and nothing
 * else. "shop" is the shop's own, made by us, and signs its webhooks. "shop
 * pending" was handed out and is not confirmed yet.
 *
 * A registration is a signed GET; the answer proves that we know the app's
 * secret and hands out a new one. Its confirmation is a POST signed with that,
 * which makes it "shop". Who asks for either while a "shop" secret lives must
 * sign with that one as well: the manifest's secret is no proof of being the shop
 * that we know, and would hand it over to whoever installs the same app.
 *
 * A secret that was replaced lives on for a day: if our answer to the
 * confirmation is lost, the shop still signs with it.
 *
 * Invariant: what is handed out is stored before the answer goes out, and expires
 * in minutes unless it is confirmed.
 */

#define APP_HEADER "shopware-app-signature"
#define SHOP_HEADER "shopware-shop-signature"
#define PREVIOUS_HEADER "shopware-shop-signature-previous"
#define QUERY_SIGNATURE "&shopware-shop-signature="
#define LABEL_APP "app"
#define LABEL_SHOP "shop"
#define LABEL_PENDING "shop pending"
#define CONFIRMATION "confirmation=1"

enum {
    SECRET_SIZE = 64, /* base62: 381 bits; Shopware wants 64 to 255 characters */
    PENDING_MS = 10 * 60 * 1000,
    TIMESTAMP_TOLERANCE_MS = 5 * 60 * 1000,
};

/* --- claims ---------------------------------------------------------------- */

static bool is_live(const struct source_secret *secret, const char *label, int64_t now_ms)
{
    return !secret->shadow && secret->expires_at_ms > now_ms && str_equal_z(secret->label, label);
}

static bool has_shop_secret(const struct source *source, const struct inbound *inbound)
{
    for (size_t i = 0; i < source->secret_count; i++) {
        if (is_live(&source->secrets[i], LABEL_SHOP, inbound->received_at_ms)) {
            return true;
        }
    }
    return false;
}

static enum signature_verdict claim_header(const struct inbound *inbound, const char *header,
                                           const char *label, struct str signed_text,
                                           struct signature_claim *claim)
{
    struct str signature = str_trim(inbound_header(inbound, header));
    if (signature.size == 0) {
        return SIGNATURE_HEADER_MISSING;
    }
    if (inbound_header_count(inbound, header) > 1) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    claim->signatures[0] = (struct signature_text){ .text = signature };
    claim->signature_count = 1;
    claim->pieces[0] = signed_text;
    claim->piece_count = 1;
    claim->secret_label = label;
    return SIGNATURE_VALID;
}

/* A page of the shop that opens ours signs its query within the query. */
static enum signature_verdict claim_query(const struct inbound *inbound,
                                          struct signature_claim *claim)
{
    struct str mark = STR(QUERY_SIGNATURE);
    for (size_t at = 0; at + mark.size < inbound->query.size; at++) {
        struct str rest = str_drop(inbound->query, at);
        if (str_starts_with(rest, mark)) {
            claim->signatures[0] = (struct signature_text){ .text = str_drop(rest, mark.size) };
            claim->signature_count = 1;
            claim->pieces[0] = str_take(inbound->query, at);
            claim->piece_count = 1;
            claim->secret_label = LABEL_SHOP;
            return SIGNATURE_VALID;
        }
    }
    return SIGNATURE_HEADER_MISSING;
}

static bool is_registration(const struct inbound *inbound)
{
    return inbound->is_get && inbound_header_count(inbound, APP_HEADER) > 0;
}

static bool is_confirmation(const struct inbound *inbound)
{
    return !inbound->is_get && str_equal(inbound->query, STR(CONFIRMATION));
}

bool shopware_is_handshake(const struct inbound *inbound)
{
    return is_registration(inbound) || is_confirmation(inbound);
}

enum signature_verdict shopware_read_claim(struct arena *arena, const struct source *source,
                                           const struct inbound *inbound,
                                           struct signature_claim *claim)
{
    if (!shopware_is_handshake(inbound)) {
        return inbound->is_get
                   ? claim_query(inbound, claim)
                   : claim_header(inbound, SHOP_HEADER, LABEL_SHOP, inbound->body, claim);
    }
    bool is_first = !has_shop_secret(source, inbound);
    bool is_new = is_registration(inbound);
    struct str text = is_new ? inbound->query : inbound->body;
    enum signature_verdict verdict =
        is_new ? claim_header(inbound, APP_HEADER, LABEL_APP, text, claim)
               : claim_header(inbound, SHOP_HEADER, LABEL_PENDING, text, claim);
    struct signature_claim *also = is_first ? NULL : ARENA_NEW(arena, struct signature_claim);
    if (is_first || verdict != SIGNATURE_VALID) {
        return verdict;
    }
    if (also == NULL) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    claim->also = also;
    return claim_header(inbound, is_new ? SHOP_HEADER : PREVIOUS_HEADER, LABEL_SHOP, text, also);
}

/* --- answers --------------------------------------------------------------- */

static struct str hex_mac(struct arena *arena, struct str secret, const struct str *pieces,
                          size_t count)
{
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret.data, secret.size);
    for (size_t i = 0; i < count; i++) {
        crypto_auth_hmacsha256_update(&state, (const uint8_t *)pieces[i].data, pieces[i].size);
    }
    crypto_auth_hmacsha256_final(&state, mac);
    return hex_encode(arena, mac, sizeof(mac));
}

/* Which secret of the label signed this? It was proven that one did. */
static struct str signer(struct arena *arena, const struct source *source,
                         const struct inbound *inbound, const char *label, const char *header,
                         struct str text)
{
    struct str given = str_lower(arena, str_trim(inbound_header(inbound, header)));
    for (size_t i = 0; i < source->secret_count; i++) {
        const struct source_secret *secret = &source->secrets[i];
        if (is_live(secret, label, inbound->received_at_ms) &&
            str_equal(hex_mac(arena, secret->value, &text, 1), given)) {
            return secret->value;
        }
    }
    return STR("");
}

static void answer(struct normalised *out, unsigned status, struct str body)
{
    out->handshake.http_status = status;
    out->handshake.content_type = "application/json";
    out->handshake.body = body;
}

static enum normalise_verdict refuse(struct normalised *out, struct problem *problem,
                                     const char *why)
{
    (void)problem_set(problem, STATUS_INVALID, "invalid-event", "%s", why);
    answer(out, 400,
           STR("{\"error\":\"this registration is refused; see the source's settings\"}"));
    return NORMALISE_HANDSHAKE;
}

static bool is_recent(struct arena *arena, const struct inbound *inbound)
{
    int64_t seconds = 0;
    if (!str_to_i64(inbound_parameter(arena, inbound, "timestamp"), &seconds) || seconds < 0 ||
        seconds > UINT32_MAX) {
        return false;
    }
    int64_t away_ms = inbound->received_at_ms - seconds * INSTANT_SECOND_MS;
    return away_ms <= TIMESTAMP_TOLERANCE_MS && away_ms >= -TIMESTAMP_TOLERANCE_MS;
}

static enum normalise_verdict take_registration(struct arena *arena, const struct source *source,
                                                const struct inbound *inbound,
                                                struct normalised *out, struct problem *problem)
{
    const struct shopware_settings *settings = source->adapter;
    if (settings == NULL) {
        return refuse(out, problem, "the source has no settings");
    }
    struct str shop_id = inbound_parameter(arena, inbound, "shop-id");
    struct str app = signer(arena, source, inbound, LABEL_APP, APP_HEADER, inbound->query);
    struct str pieces[] = { shop_id, inbound_parameter(arena, inbound, "shop-url"),
                            settings->app_name };
    if (!is_recent(arena, inbound)) {
        return refuse(out, problem, "the registration's timestamp is not of these minutes");
    }
    if (shop_id.size == 0 || pieces[1].size == 0 ||
        (settings->shop_id.size > 0 && !str_equal(settings->shop_id, shop_id))) {
        return refuse(out, problem, "the registration is of another shop than settings.shop_id");
    }
    char *secret = arena_alloc(arena, SECRET_SIZE + 1);
    if (secret == NULL) {
        return NORMALISE_FULL;
    }
    base62_random(secret, SECRET_SIZE);
    secret[SECRET_SIZE] = '\0';
    out->handshake.new_secret = (struct str){ secret, SECRET_SIZE };
    out->handshake.new_secret_label = LABEL_PENDING;
    out->handshake.new_secret_lives_ms = PENDING_MS;

    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, 4096);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "proof", hex_mac(arena, app, pieces, ARRAY_COUNT(pieces)));
    jsonw_put_str(&json, "secret", out->handshake.new_secret);
    jsonw_put_str(&json, "confirmation_url",
                  str_printf(arena, "%.*s?" CONFIRMATION, STR_ARG(inbound->url)));
    jsonw_close(&json);
    answer(out, 200, buf_str(&buf));
    return arena_is_full(arena) ? NORMALISE_FULL : NORMALISE_HANDSHAKE;
}

enum normalise_verdict shopware_shake_hands(struct arena *arena, const struct source *source,
                                            const struct inbound *inbound,
                                            struct normalised *out_normalised,
                                            struct problem *problem)
{
    if (is_registration(inbound)) {
        return take_registration(arena, source, inbound, out_normalised, problem);
    }
    out_normalised->handshake.new_secret =
        signer(arena, source, inbound, LABEL_PENDING, SHOP_HEADER, inbound->body);
    if (out_normalised->handshake.new_secret.size == 0) {
        return refuse(out_normalised, problem, "no registration waits for a confirmation");
    }
    out_normalised->handshake.new_secret_label = LABEL_SHOP;
    out_normalised->handshake.drops_label = LABEL_PENDING;
    answer(out_normalised, 200, STR("{}"));
    return NORMALISE_HANDSHAKE;
}
