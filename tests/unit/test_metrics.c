#include "app/metrics.h"
#include "unit.h"

/* What is counted is what Prometheus reads. */

static enum http_outcome handle(struct http_exchange *x, void *app)
{
    (void)x;
    (void)app;
    return HTTP_DONE;
}

static const struct http_route ROUTES[] = {
    { HTTP_POST, "/v1/hooks/{source_id}", handle, 0, 0, 0 },
    { HTTP_GET, "/v1/sources/{name}", handle, 0, 0, 0 },
    { HTTP_PATCH, "/v1/sources/{name}", handle, 0, 0, 0 },
};

static const char *written(const struct metrics *metrics)
{
    static char storage[64 * 1024];
    struct buf text = { .data = storage,
                        .capacity = sizeof(storage) - 1,
                        .max_bytes = sizeof(storage) - 1 };
    struct metrics_gauges gauges = { .ready = true, .clock_offset_ms = -120 };
    metrics_write(metrics, &gauges, &text);
    assert_false(text.failed);
    storage[text.size] = '\0';
    return storage;
}

static void assert_line(const char *text, const char *line)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (strstr(text, wanted) == NULL) {
        fail_msg("no line \"%s\"", line);
    }
}

static struct metrics *create(void)
{
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_create(ROUTES, ARRAY_COUNT(ROUTES), &metrics), STATUS_OK);
    return metrics;
}

static void requests_by_route_and_code(void **state)
{
    (void)state;
    struct metrics *metrics = create();
    char copy[] = "/v1/sources/{name}"; /* the text counts, not the pointer */
    metrics_request(metrics, ROUTES[0].pattern, 200, 400);
    metrics_request(metrics, ROUTES[0].pattern, 401, 400);
    metrics_request(metrics, copy, 200, 1000);
    metrics_request(metrics, copy, 418, 1001);
    metrics_request(metrics, "/nowhere", 404, 1);
    metrics_request(metrics, NULL, 400, 1);
    const char *text = written(metrics);
    assert_line(text,
                "shopbell_http_requests_total{route=\"/v1/hooks/{source_id}\",code=\"401\"} 1");
    assert_line(text, "shopbell_http_requests_total{route=\"/v1/sources/{name}\",code=\"200\"} 1");
    assert_line(text,
                "shopbell_http_requests_total{route=\"/v1/sources/{name}\",code=\"other\"} 1");
    assert_line(text, "shopbell_http_requests_total{route=\"none\",code=\"404\"} 1");
    assert_line(text, "shopbell_http_requests_total{route=\"none\",code=\"400\"} 1");
    metrics_destroy(metrics);
}

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    struct metrics *metrics = create();
    metrics_request(metrics, "/v1/sources/{name}", 200, 1000);
    metrics_request(metrics, "/v1/sources/{name}", 200, 1001);
    metrics_request(metrics, "/v1/sources/{name}", 200, 60000000);
    const char *text = written(metrics);
    static const char *const LINES[] = { "_bucket{route=\"/v1/sources/{name}\",le=\"0.0005\"} 0",
                                         "_bucket{route=\"/v1/sources/{name}\",le=\"0.001\"} 1",
                                         "_bucket{route=\"/v1/sources/{name}\",le=\"0.0025\"} 2",
                                         "_bucket{route=\"/v1/sources/{name}\",le=\"5\"} 2",
                                         "_bucket{route=\"/v1/sources/{name}\",le=\"+Inf\"} 3",
                                         "_sum{route=\"/v1/sources/{name}\"} 60.002001",
                                         "_count{route=\"/v1/sources/{name}\"} 3" };
    for (size_t i = 0; i < ARRAY_COUNT(LINES); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "shopbell_http_request_duration_seconds%s", LINES[i]);
        assert_line(text, line);
    }
    metrics_destroy(metrics);
}

static void webhooks_by_result(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        const char *result;
    } ROWS[] = { { 200, "accepted" },   { 401, "unauthorized" }, { 403, "unauthorized" },
                 { 404, "refused" },    { 413, "refused" },      { 429, "overloaded" },
                 { 503, "overloaded" }, { 500, "failed" } };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct metrics *metrics = create();
        char line[128];
        metrics_request(metrics, "/v1/hooks/{source_id}", ROWS[i].code, 1);
        (void)snprintf(line, sizeof(line), "shopbell_webhooks_total{result=\"%s\"} 1",
                       ROWS[i].result);
        assert_line(written(metrics), line);
        metrics_destroy(metrics);
    }
}

static void work_is_counted(void **state)
{
    (void)state;
    struct metrics *metrics = create();
    metrics_batch(metrics, 512, 9000, STATUS_OK);
    metrics_batch(metrics, 513, 9000, STATUS_RETRY);
    metrics_attempt(metrics, ATTEMPT_RETRY, 42);
    metrics_due(metrics, 7, 3);
    const char *text = written(metrics);
    assert_line(text, "shopbell_ingest_batch_events_bucket{le=\"512\"} 1");
    assert_line(text, "shopbell_ingest_batch_events_bucket{le=\"+Inf\"} 2");
    assert_line(text, "shopbell_ingest_batch_events_sum 1025");
    assert_line(text, "shopbell_ingest_batches_failed_total 1");
    assert_line(text, "shopbell_ingest_commit_duration_seconds_sum 0.018");
    assert_line(text, "shopbell_delivery_attempts_total{outcome=\"retry\"} 1");
    assert_line(text, "shopbell_delivery_attempt_duration_seconds_count 1");
    assert_line(text, "shopbell_due_profiles_total 7");
    assert_line(text, "shopbell_clock_offset_seconds -0.12");
    assert_line(text, "shopbell_ready 1");
    metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_by_route_and_code),
        cmocka_unit_test(a_bound_belongs_to_its_bucket),
        cmocka_unit_test(webhooks_by_result),
        cmocka_unit_test(work_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
