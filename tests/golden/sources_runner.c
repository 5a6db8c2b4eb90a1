#undef NDEBUG

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "golden.h"
#include "shared_payload.h"
#include "sources/platform.h"

/*
 * Every real payload through its adapter, compared with what a person read and
 * found right: sources/<platform>.golden.
 *
 *   # remark
 *   = shopify/refunds_create.json       the payload: from here on, one story
 *   ! {"time_zone":"Europe/Paris"}      settings of the source; may be missing
 *   > X-Shopify-Topic: refunds/create   a header of the delivery; any number
 *   @ sns                               it comes inside an envelope of Amazon SNS
 *   events refunds/create ...           what came of it: written by this program
 *   ~ shopify/shop.json: no webhook     a payload left out, and why
 *
 * SHOPBELL_GOLDEN_WRITE=shopify (or =all) writes what comes now after each
 * story's head, instead of comparing; git shows the difference. To add a
 * payload, write its head and do that. A payload of a folder that stands in no
 * golden file is a fault: none is forgotten.
 *
 * The payloads are not ours to copy, so what is kept here are canonical fields
 * only. Without them (SHOPBELL_SHARED) everything is skipped.
 */

enum {
    EXIT_SKIPPED = 77, /* meson's */
    HEADERS_MAX = 16,
    NAMES_MAX = 1024,
};

#define NOW_MS INT64_C(1795000000000) /* 2026-11-18T11:06:40Z */

/* All payloads that some file names, to see which were forgotten. */
struct names {
    struct str texts[NAMES_MAX];
    size_t count;
};

struct story {
    struct str payload;
    struct str settings;
    struct inbound_header headers[HEADERS_MAX];
    size_t header_count;
    bool is_in_sns;
};

/* --- what came of it ------------------------------------------------------ */

static void print_instant(struct buf *buf, const char *label, int64_t at_ms)
{
    char text[64] = "none";
    if (at_ms != INSTANT_NONE) {
        instant_format(at_ms, text);
    }
    buf_printf(buf, "%s%s", label, text);
}

static void print_money(struct buf *buf, int64_t minor, struct str currency)
{
    struct jsonw json;
    jsonw_begin(&json, buf);
    jsonw_money(&json, minor, currency);
    buf_printf(buf, " %.*s", STR_ARG(currency));
}

static void print_order(struct buf *buf, const struct event *event)
{
    static const char *const KINDS[] = {
        [ORDER_BODY] = "body",           [ORDER_REFUND] = "refund",
        [ORDER_CANCELLATION] = "cancel", [ORDER_FULFILMENT] = "fulfilment",
        [ORDER_DELETION] = "delete",
    };
    static const char *const RANKS[] = { "open", "paid", "fulfilled", "cancelled" };
    const struct order_document *order = event->order;
    buf_printf(buf, "    order %s of %.*s", KINDS[order->kind], STR_ARG(order->order_ref));
    if (order->document_ref.size > 0) {
        buf_printf(buf, ", %.*s", STR_ARG(order->document_ref));
    }
    if (order->kind == ORDER_REFUND) {
        buf_add_z(buf, ", ");
        print_money(buf, order->amount_minor, event->currency);
    }
    if (order->kind == ORDER_BODY) {
        buf_printf(buf, ", %.*s: %s, %s, ", STR_ARG(order->status), RANKS[order->rank],
                   order->counts ? "counts" : "does not count");
        print_money(buf, order->total_minor, order->currency);
        buf_add_z(buf, ", refunded ");
        print_money(buf, order->refunded_minor, order->currency);
        print_instant(buf, ", placed ", order->placed_at_ms);
        print_instant(buf, ", version ", order->version_ms);
        if (!str_equal(order->body_json, event->properties_json)) {
            buf_printf(buf, "\n    body %.*s", STR_ARG(order->body_json));
        }
    }
    buf_add_char(buf, '\n');
}

static void print_facts(struct buf *buf, const struct event *event)
{
    static const char *const KINDS[] = {
        [FACT_TRAIT] = "trait", [FACT_PREFERENCE] = "preference", [FACT_CONSENT] = "consent"
    };
    for (size_t i = 0; i < event->fact_count; i++) {
        const struct event_fact *fact = &event->facts[i];
        buf_printf(buf, "%s %s.%.*s=%.*s", i == 0 ? "    says" : "", KINDS[fact->kind],
                   STR_ARG(fact->key), STR_ARG(fact->value_json));
    }
    if (event->fact_count > 0) {
        buf_add_char(buf, '\n');
    }
}

static void print_event(struct buf *buf, const struct event *event)
{
    buf_printf(buf, "  %.*s", STR_ARG(event->name));
    print_instant(buf, " at ", event->occurred_at_ms);
    if (event->claimed_at_ms != event->occurred_at_ms) {
        print_instant(buf, " claimed ", event->claimed_at_ms);
    }
    for (size_t i = 0; i < event->identifier_count; i++) {
        buf_printf(buf, " %s=%.*s", identity_kind_name(event->identifiers[i].kind),
                   STR_ARG(event->identifiers[i].value));
    }
    if (event->has_amount) {
        buf_add_z(buf, " amount ");
        print_money(buf, event->amount_minor, event->currency);
    }
    buf_printf(buf, "%s%s%s\n", event->act ? ", an act" : "", event->is_thin ? ", thin" : "",
               event->unites_customers ? ", unites" : "");
    buf_printf(buf, "    key %.*s part %.*s\n", STR_ARG(event->dedup_key), STR_ARG(event->part));
    if (event->order != NULL) {
        print_order(buf, event);
    }
    print_facts(buf, event);
    if (event->product_id.size > 0) {
        buf_printf(buf, "    product %.*s in \"%.*s\"\n", STR_ARG(event->product_id),
                   STR_ARG(event->category));
    }
    const struct {
        const char *label;
        struct str json;
    } texts[] = { { "properties", event->properties_json },
                  { "context", event->context_json },
                  { "cart", event->cart_json } };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].json.size > 0) {
            buf_printf(buf, "    %s %.*s\n", texts[i].label, STR_ARG(texts[i].json));
        }
    }
}

static void print_outcome(struct buf *buf, enum normalise_verdict verdict,
                          const struct normalised *normalised, const struct problem *problem)
{
    static const char *const VERDICTS[] = {
        [NORMALISE_EVENTS] = "events",       [NORMALISE_IGNORED] = "ignored",
        [NORMALISE_HANDSHAKE] = "handshake", [NORMALISE_UNREADABLE] = "unreadable",
        [NORMALISE_FULL] = "no memory",
    };
    buf_printf(buf, "%s %.*s", VERDICTS[verdict], STR_ARG(normalised->topic));
    if (verdict == NORMALISE_UNREADABLE) {
        buf_printf(buf, ": %s", problem->detail);
    }
    if (normalised->dedup_key.size > 0) {
        buf_printf(buf, " (%.*s)", STR_ARG(normalised->dedup_key));
    }
    buf_add_char(buf, '\n');
    for (size_t i = 0; verdict == NORMALISE_EVENTS && i < normalised->event_count; i++) {
        print_event(buf, &normalised->events[i]);
    }
}

/* The payload as SNS would carry it. */
static struct str in_sns(struct arena *arena, struct str payload)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, 4u * 1024 * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_z(&json, "Type", "Notification");
    jsonw_put_z(&json, "MessageId", "9d2c5580-b61d-550c-8583-37a582870907");
    jsonw_put_z(&json, "TopicArn", "arn:aws:sns:eu-west-1:1:t");
    jsonw_put_str(&json, "Message", payload);
    jsonw_put_z(&json, "Timestamp", "2026-11-18T11:06:40.000Z");
    jsonw_close(&json);
    return buf_str(&buf);
}

static struct str tell(struct arena *arena, const struct platform *platform,
                       const struct story *story, struct str body)
{
    struct problem problem = { .type = "" };
    struct normalised normalised = { 0 };
    struct source source = {
        .id = { { 1, 2, 3 } },
        .name = STR("main"),
        .platform = str_from_z(platform->name),
        .currency = STR("EUR"),
        .time_zone = STR("Europe/Paris"),
    };
    struct buf buf;
    buf_init(&buf, arena, 4u * 1024 * 1024);
    if (platform_parse_settings(arena, platform, story->settings, &source, &problem) != STATUS_OK) {
        buf_printf(&buf, "settings refused: %s\n", problem.detail);
        return buf_str(&buf);
    }
    struct inbound inbound = {
        .headers = story->headers,
        .header_count = story->header_count,
        .body = story->is_in_sns ? in_sns(arena, body) : body,
        .received_at_ms = NOW_MS,
        .url = STR("https://bell.example/v1/hooks/1"),
    };
    enum normalise_verdict verdict =
        platform_normalise(platform, arena, &source, &inbound, &normalised, &problem);
    print_outcome(&buf, verdict, &normalised, &problem);
    assert(!buf.failed);
    return buf_str(&buf);
}

/* --- files ---------------------------------------------------------------- */

/* The line at the start of *text, with its end; *text goes on behind it. */
static struct str next_line(struct str *text)
{
    ptrdiff_t end = str_find(*text, '\n', 0);
    struct str line = end < 0 ? *text : str_take(*text, (size_t)end + 1);
    *text = str_drop(*text, line.size);
    return line;
}

static bool is_of_head(struct str line)
{
    return line.size > 0 && strchr("!>@", line.data[0]) != NULL;
}

static void name_payload(struct names *names, struct str name)
{
    assert(names->count < NAMES_MAX);
    names->texts[names->count++] = name;
}

/* The lines after "=" that are its head. */
static void read_head(struct str *rest, struct story *story, struct buf *out)
{
    while (rest->size > 0 && is_of_head(*rest)) {
        struct str line = next_line(rest);
        struct str text = str_trim(str_drop(line, 1));
        buf_add_str(out, line);
        if (line.data[0] == '!') {
            story->settings = text;
            continue;
        }
        if (line.data[0] == '@') {
            assert(str_equal(text, STR("sns")));
            story->is_in_sns = true;
            continue;
        }
        struct inbound_header *header = &story->headers[story->header_count++];
        assert(story->header_count < HEADERS_MAX);
        bool has_value = str_split(text, ':', &header->name, &header->value);
        assert(has_value);
        header->value = str_trim(header->value);
    }
}

/* The lines up to the next story or remark. */
static struct str read_expected(struct str *rest)
{
    struct str expected = { rest->data, 0 };
    while (rest->size > 0 && strchr("=~#\n", rest->data[0]) == NULL) {
        expected.size += next_line(rest).size;
    }
    return expected;
}

static void show(const char *sign, struct str lines)
{
    while (lines.size > 0) {
        struct str line = next_line(&lines);
        printf("%s %.*s", sign, STR_ARG(line));
    }
}

/* Where the last line of `text` begins. */
static size_t last_line(struct str text)
{
    size_t at = text.size > 0 ? text.size - 1 : 0;
    while (at > 0 && text.data[at - 1] != '\n') {
        at--;
    }
    return at;
}

/* What both begin and end with is not worth reading. */
static void show_difference(const char *file, struct str payload, struct str expected,
                            struct str actual)
{
    while (expected.size > 0 && actual.size > 0) {
        struct str left = expected;
        struct str right = actual;
        if (!str_equal(next_line(&left), next_line(&right))) {
            break;
        }
        expected = left;
        actual = right;
    }
    while (expected.size > 0 && actual.size > 0) {
        size_t left = last_line(expected);
        size_t right = last_line(actual);
        if (!str_equal(str_drop(expected, left), str_drop(actual, right))) {
            break;
        }
        expected = str_take(expected, left);
        actual = str_take(actual, right);
    }
    printf("%s: %.*s\n", file, STR_ARG(payload));
    show("-", expected);
    show("+", actual);
}

static struct str stem_of(const char *file)
{
    struct str stem = str_from_z(file);
    struct str end = { NULL, 0 };
    (void)str_split(stem, '.', &stem, &end);
    return stem;
}

static bool run_story(struct arena *arena, const char *file, const struct platform *platform,
                      const struct story *story, struct str expected, struct buf *out)
{
    struct str actual = STR("no such payload\n");
    struct str body = { NULL, 0 };
    char path[SHARED_PATH_SIZE];
    shared_payload_path(str_dup_z(arena, story->payload), path);
    if (shared_file_read(arena, path, &body)) {
        actual = tell(arena, platform, story, body);
    }
    buf_add_str(out, actual);
    bool is_same = str_equal(expected, actual);
    if (!is_same) {
        show_difference(file, story->payload, expected, actual);
    }
    return is_same;
}

/* One golden file; *out is what it should say now. */
static int run_file(struct arena *arena, const char *file, struct str text, struct names *names,
                    struct buf *out)
{
    int failed = 0;
    const struct platform *platform = platform_find(stem_of(file));
    if (platform == NULL) {
        printf("%s: no platform of this name\n", file);
        return 1;
    }
    while (text.size > 0) {
        struct str line = next_line(&text);
        struct str name = str_trim(str_drop(line, 1));
        struct str why = { NULL, 0 };
        buf_add_str(out, line);
        if (line.data[0] == '~') {
            (void)str_split(name, ':', &name, &why);
            name_payload(names, name);
        } else if (line.data[0] == '=') {
            struct story story = { .payload = name };
            read_head(&text, &story, out);
            name_payload(names, name);
            failed += !run_story(arena, file, platform, &story, read_expected(&text), out);
        }
    }
    return failed;
}

/* The number of faults, of which there are none in a file just written. */
static int check_file(struct arena *arena, const char *folder, const char *file,
                      struct names *names)
{
    char path[SHARED_PATH_SIZE];
    struct str text = { NULL, 0 };
    struct buf out;
    buf_init(&out, arena, 16u * 1024 * 1024);
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    bool was_read = shared_file_read(arena, path, &text);
    assert(was_read);
    int failed = run_file(arena, file, text, names, &out);
    assert(!out.failed);
    return failed > 0 && golden_rewrite(path, buf_str(&out)) ? 0 : failed;
}

static int check_folder(const char *folder, struct arena *arena, struct names *names)
{
    int failed = 0;
    DIR *files = opendir(folder);
    assert(files != NULL);
    for (struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files)) {
        struct str name = str_dup(arena, str_from_z(entry->d_name));
        if (str_ends_with(name, STR(".golden"))) {
            failed += check_file(arena, folder, str_dup_z(arena, name), names);
        }
    }
    closedir(files);
    return failed;
}

/* --- what was forgotten --------------------------------------------------- */

static bool is_named(const struct names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (str_equal(names->texts[i], name)) {
            return true;
        }
    }
    return false;
}

static int find_forgotten(struct arena *arena, const struct names *names)
{
    int forgotten = 0;
    struct str done = { NULL, 0 };
    for (size_t i = 0; i < names->count; i++) {
        struct str folder = { NULL, 0 };
        struct str file = { NULL, 0 };
        char path[SHARED_PATH_SIZE];
        if (!str_split(names->texts[i], '/', &folder, &file) || str_equal(folder, done)) {
            continue;
        }
        done = folder;
        shared_payload_path(str_dup_z(arena, folder), path);
        DIR *files = opendir(path);
        for (struct dirent *entry = files != NULL ? readdir(files) : NULL; entry != NULL;
             entry = readdir(files)) {
            struct str name = str_printf(arena, "%.*s/%s", STR_ARG(folder), entry->d_name);
            if (str_ends_with(name, STR(".json")) && !is_named(names, name)) {
                printf("%.*s stands in no golden file\n", STR_ARG(name));
                forgotten++;
            }
        }
        if (files != NULL) {
            closedir(files);
        }
    }
    return forgotten;
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    char path[SHARED_PATH_SIZE];
    shared_payload_path("vectors.json", path);
    FILE *any = fopen(path, "rb");
    if (any == NULL) {
        printf("no %s: skipped\n", path);
        return EXIT_SKIPPED;
    }
    fclose(any);
    struct arena *arena = arena_create(256u * 1024 * 1024);
    struct names *names = ARENA_NEW(arena, struct names);
    assert(names != NULL);
    int failed = check_folder(argv[1], arena, names);
    failed += find_forgotten(arena, names);
    printf("%zu payloads, %d faults\n", names->count, failed);
    assert(names->count > 0);
    arena_destroy(arena);
    return failed == 0 ? 0 : 1;
}
