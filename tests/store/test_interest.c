#include "base/instant.h"
#include "pg_fixture.h"
#include "store/interest_read.h"
#include "store/interest_rebuild.h"
#include "unit.h"

/* 2026-11-22T14:03:07Z */
#define NOW_MS INT64_C(1795356187000)
#define ID(hex) "('00000000-0000-7000-8000-' || lpad('" hex "', 12, '0'))::uuid"
#define SHOP ID("0a")
#define OTHER ID("0b")
#define MAIN ID("51")   /* the shop's source, which has the catalogue */
#define PAGES ID("52")  /* its storefront, which has none */
#define OUTLET ID("53") /* another shop with a catalogue */

static struct id id_of(uint16_t number)
{
    return (struct id){
        { [6] = 0x70, [8] = 0x80, [14] = (uint8_t)(number >> 8), [15] = (uint8_t)number }
    };
}

static const char *const FIXTURE[] = {
    "INSERT INTO source (workspace_id, id, name, platform, settings, created_at, updated_at)"
    " SELECT w, s, 'n' || right(s::text, 2), 'x', '{}', now(), now() FROM unnest(ARRAY[" SHOP
    "," OTHER "]) w, unnest(ARRAY[" MAIN "," PAGES "," OUTLET "]) s",
    "INSERT INTO product (workspace_id, source_id, product_id, variant_id, inventory_item_id,"
    " name, category, substitutes, sku, currency, price_minor, stock_total, version_at,"
    " version_hash, first_seen_at) VALUES"
    "(" SHOP "," MAIN
    ",'p','','p/','Board','{Sports,Boards}','{d}',NULL,'EUR',NULL,NULL,now()," SHOP ",now()),"
    "(" SHOP "," MAIN
    ",'p','M','p/M','Board','{Sports,Boards}','{d}','P-M','EUR',74995,12,now()," SHOP ",now()),"
    "(" SHOP "," MAIN ",'c','','c/','Same','{Sports,Boards}','{}',NULL,'EUR',1,1,now()," SHOP
    ",now()),"
    "(" SHOP "," MAIN ",'n','','n/','Near','{Sports}','{}',NULL,'EUR',1,1,now()," SHOP ",now()),"
    "(" SHOP "," OUTLET ",'p','','p/','Theirs','{Other}','{}',NULL,'EUR',1,1,now()," SHOP ",now())",
    "INSERT INTO profile (workspace_id, id, merged_into, sequence, created_at, updated_at,"
    " decided_at, first_seen_at, identified, state) SELECT " SHOP ", ('00000000-0000-7000-8000-' ||"
    " lpad(to_hex(n), 12, '0'))::uuid, NULL, 1, now(), now(), now(), now(), true, ''"
    " FROM generate_series(256, 300) n",
};

static int set_up(void **state)
{
    if (pg_fixture_setup_migrated(state) != 0) {
        return -1;
    }
    struct pg_fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_COUNT(FIXTURE); i++) {
        pg_fixture_script(fixture->pg, FIXTURE[i]);
    }
    return 0;
}

/* Of one origin; `columns` are SQL, e.g. "viewed_at = '...'". */
static void interest(struct pg_fixture *fixture, int origin, const char *source,
                     const char *product, const char *variant, const char *columns)
{
    struct str sql = str_printf(
        fixture->arena,
        "INSERT INTO interest (workspace_id, source_id, product_id, variant_id, origin_id,"
        " view_count) VALUES (" SHOP ", %s, '%s', '%s', ('00000000-0000-7000-8000-' ||"
        " lpad(to_hex(%d), 12, '0'))::uuid, 0); UPDATE interest SET %s WHERE source_id = %s"
        " AND product_id = '%s' AND variant_id = '%s' AND origin_id ="
        " ('00000000-0000-7000-8000-' || lpad(to_hex(%d), 12, '0'))::uuid",
        source, product, variant, origin, columns, source, product, variant, origin);
    pg_fixture_script(fixture->pg, sql.data);
}

static void merge(struct pg_fixture *fixture, int from, int into)
{
    struct str sql = str_printf(fixture->arena,
                                "UPDATE profile SET merged_into = ('00000000-0000-7000-8000-' ||"
                                " lpad(to_hex(%d), 12, '0'))::uuid WHERE id ="
                                " ('00000000-0000-7000-8000-' || lpad(to_hex(%d), 12, '0'))::uuid",
                                into, from);
    pg_fixture_script(fixture->pg, sql.data);
}

#define SEEN "viewed_at = '2026-11-20', view_count = 1"
#define WAITS SEEN ", out_of_stock_seen_at = '2026-11-20'"

static struct interest_target target_of(struct pg_fixture *fixture, const char *variant)
{
    struct interest_target target = { .workspace_id = id_of(0x0a),
                                      .source_id = id_of(0x51),
                                      .product_id = STR("p"),
                                      .variant_id = str_from_z(variant) };
    struct problem problem = { 0 };
    if (interest_target_read(fixture->pg, fixture->arena, &target, &problem) != STATUS_OK) {
        fail_msg("target: %s", problem.detail);
    }
    return target;
}

static struct interest_page page_of(struct pg_fixture *fixture,
                                    const struct interest_target *target, struct id after_id,
                                    size_t limit)
{
    struct interest_page page = { .count = 0 };
    struct problem problem = { 0 };
    if (interest_page_read(fixture->pg, fixture->arena, target, after_id, limit, &page, &problem) !=
        STATUS_OK) {
        fail_msg("page: %s", problem.detail);
    }
    struct id *ids = ARENA_NEW_ARRAY(fixture->arena, page.count + 1, struct id);
    struct interest *interests = ARENA_NEW_ARRAY(fixture->arena, page.count + 1, struct interest);
    for (size_t i = 0; i < page.count; i++) {
        ids[i] = page.items[i].profile_id;
        interests[i] = page.items[i].interest;
    }
    if (interest_substitutes_read(fixture->pg, fixture->arena, target, ids, interests, page.count,
                                  &problem) != STATUS_OK) {
        fail_msg("substitutes: %s", problem.detail);
    }
    for (size_t i = 0; i < page.count; i++) {
        page.items[i].interest = interests[i];
    }
    return page;
}

/* The last bytes of the profiles on one page that takes all, ascending. */
static void assert_found(struct pg_fixture *fixture, const char *variant, const uint8_t *expected,
                         size_t count)
{
    struct interest_target target = target_of(fixture, variant);
    struct interest_page page = page_of(fixture, &target, ID_ZERO, 1000);
    assert_true(page.is_end);
    assert_int_equal(page.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(page.items[i].profile_id.bytes[15], expected[i]);
    }
}

/* --- whom a fact concerns --------------------------------------------------- */

static void a_variant_finds_its_own_and_those_who_chose_none(void **state)
{
    struct pg_fixture *fixture = *state;
    interest(fixture, 256, MAIN, "p", "M", WAITS);
    interest(fixture, 257, MAIN, "p", "XL", WAITS);
    interest(fixture, 258, MAIN, "p", "", WAITS);
    interest(fixture, 259, PAGES, "p", "M", WAITS);  /* the storefront speaks of the shop's */
    interest(fixture, 260, OUTLET, "p", "M", WAITS); /* another shop's product of that id */
    interest(fixture, 261, MAIN, "q", "M", WAITS);
    interest(fixture, 262, MAIN, "p", "M", "view_count = 0"); /* of a cancelled order */
    static const uint8_t medium[] = { 0, 2, 3 };
    static const uint8_t large[] = { 1, 2 };
    static const uint8_t all[] = { 0, 1, 2, 3 };
    assert_found(fixture, "M", medium, ARRAY_COUNT(medium));
    assert_found(fixture, "XL", large, ARRAY_COUNT(large));
    assert_found(fixture, "", all, ARRAY_COUNT(all));
    assert_found(fixture, "S", medium + 1, 1);
}

static void the_product_is_told_as_the_catalogue_has_it(void **state)
{
    struct interest_target target = target_of(*state, "M");
    assert_str_equal(target.product.sku, STR("P-M"));
    assert_str_equal(target.product.name, STR("Board"));
    assert_int_equal(target.product.category_count, 2);
    assert_true(target.product.has_price && target.product.has_stock);
    assert_int_equal(target.product.price_minor, 74995);
    assert_int_equal(target.substitute_count, 1);
    target = target_of(*state, "unknown"); /* the product's own row, then */
    assert_str_equal(target.product.name, STR("Board"));
    assert_false(target.product.has_price);
    assert_str_equal(target.product.variant_id, STR("unknown"));
}

static void a_customer_is_all_of_his_origins(void **state)
{
    struct pg_fixture *fixture = *state;
    interest(fixture, 256, MAIN, "p", "M",
             "viewed_at = '2026-11-20', view_count = 2, price_seen_at = '2026-11-20',"
             " price_minor = 100, currency = 'EUR', wished_at = '2026-11-19'");
    interest(fixture, 257, PAGES, "p", "",
             "viewed_at = '2026-11-21', view_count = 3, price_seen_at = '2026-11-18',"
             " price_minor = 900, currency = 'EUR', unwished_at = '2026-11-20'");
    interest(fixture, 257, MAIN, "p", "M", "bought_at = '2026-11-10'");
    merge(fixture, 257, 256);
    struct interest_target target = target_of(fixture, "M");
    struct interest_page page = page_of(fixture, &target, ID_ZERO, 10);
    assert_int_equal(page.count, 1);
    const struct interest *interest = &page.items[0].interest;
    assert_int_equal(interest->view_count, 5);
    assert_int_equal(interest->price_minor, 100);
    assert_true(interest->viewed_at_ms > interest->price_seen_at_ms);
    assert_true(interest->bought_at_ms != INSTANT_NONE);
    assert_true(interest_wished_at_ms(interest) == INSTANT_NONE);
    /* Asked about by name he is the same, and who has none has none. */
    const struct id asked[] = { id_of(258), id_of(256) };
    struct interest told[2];
    struct problem problem = { 0 };
    assert_int_equal(
        interest_of_profiles(fixture->pg, fixture->arena, &target, asked, 2, told, &problem),
        STATUS_OK);
    assert_true(interest_newest_ms(&told[0]) == INSTANT_NONE);
    assert_int_equal(told[1].view_count, 5);
}

/* --- the walk ----------------------------------------------------------------- */

static size_t walk(struct pg_fixture *fixture, size_t limit, int merge_at, uint8_t *seen)
{
    struct interest_target target = target_of(fixture, "M");
    struct id after_id = ID_ZERO;
    size_t pages = 0;
    bool is_end = false;
    while (!is_end) {
        struct interest_page page = page_of(fixture, &target, after_id, limit);
        for (size_t i = 0; i < page.count; i++) {
            seen[page.items[i].profile_id.bytes[15]]++;
        }
        after_id = page.last_id;
        is_end = page.is_end;
        if ((int)pages++ == merge_at) {
            merge(fixture, 280, 257); /* ahead, into one behind */
            merge(fixture, 256, 290); /* behind, into one ahead */
        }
    }
    return pages;
}

static void nobody_is_met_twice_or_missed(void **state)
{
    struct pg_fixture *fixture = *state;
    for (int n = 256; n < 300; n++) {
        interest(fixture, n, n % 3 == 0 ? PAGES : MAIN, "p", n % 2 == 0 ? "M" : "", WAITS);
        if (n % 5 == 0) {
            interest(fixture, n, PAGES, "p", "XL", WAITS);
            interest(fixture, n, MAIN, "p", n % 2 == 0 ? "" : "M", WAITS);
        }
    }
    for (size_t limit = 1; limit < 60; limit = limit * 3) {
        uint8_t seen[256] = { 0 };
        size_t pages = walk(fixture, limit, -1, seen);
        assert_int_equal(pages, 44 / limit + 1);
        for (int n = 0; n < 44; n++) {
            assert_int_equal(seen[n], 1);
        }
    }
    /* Two merges after the first page: he who was met is not met under another name. */
    uint8_t seen[256] = { 0 };
    (void)walk(fixture, 7, 0, seen);
    for (int n = 0; n < 44; n++) {
        bool is_gone = n == 24;        /* 280 became 257, who was met */
        bool was_met_before = n == 34; /* 290 took in 256, who was met */
        assert_int_equal(seen[n], is_gone || was_met_before ? 0 : 1);
    }
}

/* --- substitutes --------------------------------------------------------------- */

static void what_serves_the_same_end(void **state)
{
    static const struct {
        const char *why;
        const char *source;
        const char *product;
        const char *variant;
        bool is_one;
        bool of_all; /* when all variants are asked about */
    } rows[] = {
        { "another variant", MAIN, "p", "XL", true, false },
        { "itself", MAIN, "p", "M", false, false },
        { "the product, no variant said", MAIN, "p", "", false, false },
        { "the same category", MAIN, "c", "1", true, true },
        { "the same category, told by a page", PAGES, "c", "", true, true },
        { "declared", MAIN, "d", "", true, true },
        { "a wider category", MAIN, "n", "", false, false },
        { "nobody knows it", MAIN, "z", "", false, false },
    };
    struct pg_fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        pg_fixture_script(fixture->pg, "DELETE FROM interest");
        interest(fixture, 256, PAGES, "p", "M", WAITS);
        interest(fixture, 258, MAIN, "c", "", "bought_at = '2026-11-21'"); /* another's */
        interest(fixture, 256, rows[i].source, rows[i].product, rows[i].variant,
                 "bought_at = '2026-11-21'");
        for (int all = 0; all < 2; all++) {
            struct interest_target target = target_of(fixture, all ? "" : "M");
            struct interest_page page = page_of(fixture, &target, ID_ZERO, 10);
            assert_row(page.count == 1, rows[i].why);
            bool found = page.items[0].interest.substitute_bought_at_ms != INSTANT_NONE;
            assert_row(found == (all ? rows[i].of_all : rows[i].is_one), rows[i].why);
        }
    }
}

/* --- made anew ------------------------------------------------------------------ */

static void what_is_made_anew_is_what_the_facts_say(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    const struct id origins[] = { id_of(256), id_of(257) };
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO interaction (workspace_id, origin_id, occurred_at, id, received_at, source_id,"
        " type, trust, currency, properties) SELECT " SHOP
        ", o, date_trunc('second', now()) - n * interval '1 s',"
        " gen_random_uuid(), now(), " MAIN ", 'product.viewed', 1, 'EUR',"
        " '{\"product_id\": \"p\", \"in_stock\": true, \"price\": 5}'"
        " FROM generate_series(1, 2500) n, unnest(ARRAY[" ID("0100") "]) o");
    interest(fixture, 256, MAIN, "p", "", WAITS ", price_minor = 7");
    interest(fixture, 256, MAIN, "gone", "", SEEN);
    interest(fixture, 257, MAIN, "p", "", SEEN);
    /* Of whoever has a base the facts that are left say too little. */
    pg_fixture_script(fixture->pg,
                      "INSERT INTO profile_base VALUES (" SHOP ", " ID("0101") ", '')");
    assert_int_equal(
        interest_rebuild(fixture->pg, fixture->arena, id_of(0x0a), origins, 2, &problem),
        STATUS_OK);
    assert_int_equal(pg_fixture_i64(fixture, "views",
                                    "SELECT view_count FROM interest WHERE"
                                    " origin_id = " ID("0100")),
                     2500);
    assert_int_equal(pg_fixture_i64(fixture, "seen",
                                    "SELECT count(*) FROM interest WHERE"
                                    " out_of_stock_seen_at = '2026-11-20'"
                                    " AND price_minor = 500"),
                     1);
    assert_int_equal(pg_fixture_i64(fixture, "kept",
                                    "SELECT view_count FROM interest WHERE"
                                    " origin_id = " ID("0101")),
                     1);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_variant_finds_its_own_and_those_who_chose_none),
        CASE(the_product_is_told_as_the_catalogue_has_it),
        CASE(a_customer_is_all_of_his_origins),
        CASE(nobody_is_met_twice_or_missed),
        CASE(what_serves_the_same_end),
        CASE(what_is_made_anew_is_what_the_facts_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
