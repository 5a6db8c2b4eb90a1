#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "app/commands.h"
#include "app/delivery_queue.h"
#include "app/embedded.h"
#include "app/endpoint_tally.h"
#include "app/file.h"
#include "app/import_worker.h"
#include "app/metrics.h"
#include "app/systemd.h"
#include "app/version.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/migrate.h"
#include "store/pg.h"
#include "store/rule_store.h"
#include "verify/key_ring.h"

/*
 * The life of a server.
 *
 *   prepare   limits raised, nothing dumped, before there are threads
 *   open      configuration, embedded PostgreSQL, seal, schema, partitions
 *   block     from here on signals wait for the main thread
 *   start     registry, sender, due sweep, intake, background, statistics, HTTP
 *   serve     the main thread waits for signals and does nothing else
 *   stop      the same list backwards: HTTP stops taking, intake finishes what
 *             was taken, the sweep and the sender settle what they hold
 *
 * Invariant: whoever hands something on is stopped before the one that takes
 * it. So a request that was accepted is answered after its commit, and a
 * notification that was handed over is settled or its lease given back. The
 * order of starting is its mirror, which is why start and stop stand side by
 * side below. A second signal means "now": the process dies by it, and nothing
 * is lost, since nothing was acknowledged before its commit.
 *
 * Signals are waited for, not handled: a handler may call next to nothing.
 */

enum {
    DRAIN_HTTP_MS = 30000,
    DRAIN_INTAKE_MS = 20000,
    DRAIN_SENDER_MS = 15000,
    HTTP_WORKERS = 4,
    SENDER_POLL_MS = 250,
    IDLE_WAIT_MS = 1000,
};

/* --- prepare ----------------------------------------------------------------- */

static void signals_collect(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGCHLD);
}

static void process_prepare(void)
{
    (void)sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    /* The memory of this process holds secrets: no dump, no debugger. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Not before there is something to stop: a first start may take a minute, and
 * Ctrl-C ends that as it ends any program. The threads to come inherit it. */
static void signals_block(void)
{
    sigset_t waited;
    signals_collect(&waited);
    (void)pthread_sigmask(SIG_BLOCK, &waited, NULL);
}

/* As many connections as descriptors allow, less what else needs some. */
static unsigned connections_fit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) {
        return LIMIT_CONNECTIONS;
    }
    rlim_t spare = files.rlim_cur > 512 ? files.rlim_cur - 256 : files.rlim_cur / 2;
    return spare < LIMIT_CONNECTIONS ? (unsigned)spare : LIMIT_CONNECTIONS;
}

/* --- open ---------------------------------------------------------------------- */

static void report_step(void *context, const struct migration *step)
{
    cli_say(context, "shopbell: applying migration %04d-%s", step->number, step->slug);
}

static enum status schema_prepare(struct cli *cli, struct problem *problem)
{
    bool may_migrate = cli->embedded != NULL || arguments_has(cli->arguments, "migrate");
    enum status status = STATUS_OK;
    if (may_migrate) {
        size_t applied = 0;
        status = migrate_apply(cli->pg, &applied, report_step, cli, problem);
    } else {
        status = migrate_check(cli->pg, problem);
        if (status != STATUS_OK && status != STATUS_RETRY) {
            cli_say(cli, "shopbell: \"shopbell migrate\" brings the database up to date; "
                         "\"serve --migrate\" does so at start");
        }
    }
    if (status == STATUS_OK) {
        status = partition_ensure(cli->pg, clock_now_ms(), problem);
    }
    size_t shipped = 0;
    return status == STATUS_OK ? rule_store_ship_all(cli->pg, clock_now_ms(), &shipped, problem)
                               : status;
}

static void report_embedded(void *context, const char *message)
{
    cli_say(context, "shopbell: %s", message);
}

/* The server runs its PostgreSQL itself; commands only join. */
static enum status embedded_own(struct cli *cli, struct problem *problem)
{
    struct embedded_config config = {
        .directory = cli->embedded_directory,
        .report = report_embedded,
        .context = cli,
    };
    enum status status = embedded_start(&config, &cli->embedded, problem);
    if (status == STATUS_OK) {
        cli->embedded_directory = embedded_directory(cli->embedded);
    }
    return status;
}

static enum status serve_open(struct cli *cli, struct problem *problem)
{
    enum status status = cli_configure(cli, problem);
    if (status == STATUS_OK && cli->embedded_directory != NULL) {
        status = embedded_own(cli, problem);
    }
    if (status == STATUS_OK) {
        status = cli_open_configured(cli, CLI_NEEDS_DATABASE | CLI_NEEDS_SEAL, problem);
    }
    return status == STATUS_OK ? schema_prepare(cli, problem) : status;
}

/* --- addresses ------------------------------------------------------------------ */

/* Port 0 is bound here already, since the address is part of what we say about
 * ourselves before the first request. */
static enum status listen_any_port(char listen_text[APP_URL_SIZE], unsigned *out_port,
                                   struct problem *problem)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return problem_set(problem, STATUS_BROKEN, "listen", "no free port on 127.0.0.1");
    }
    *out_port = ntohs(address.sin_port);
    (void)snprintf(listen_text, APP_URL_SIZE, "fd:%d", fd);
    return STATUS_OK;
}

static unsigned port_of(const char *listen_text)
{
    uint64_t port = 0;
    const char *colon = strrchr(listen_text, ':');
    bool is_tcp = strncmp(listen_text, "unix:", 5) != 0 && strncmp(listen_text, "fd:", 3) != 0;
    return is_tcp && colon != NULL && str_to_u64(str_from_z(colon + 1), &port) ? (unsigned)port : 0;
}

static enum status addresses_choose(struct app *app, struct problem *problem)
{
    struct cli *cli = app->cli;
    struct systemd_sockets sockets = systemd_sockets_take();
    const char *listen_text = config_text(&cli->config, CONFIG_LISTEN);
    const char *admin = config_text(&cli->config, CONFIG_ADMIN_LISTEN);
    (void)snprintf(app->listen, sizeof(app->listen), "%s",
                   sockets.http[0] != '\0' ? sockets.http : listen_text);
    (void)snprintf(app->admin_listen, sizeof(app->admin_listen), "%s",
                   sockets.admin[0] != '\0' ? sockets.admin : (admin != NULL ? admin : ""));
    unsigned port = port_of(app->listen);
    bool is_any_port = strcmp(app->listen, "127.0.0.1:0") == 0;
    if (is_any_port) {
        enum status status = listen_any_port(app->listen, &port, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    const char *public_url = config_text(&cli->config, CONFIG_PUBLIC_URL);
    if (public_url != NULL) {
        (void)snprintf(app->public_url, sizeof(app->public_url), "%s", public_url);
        return STATUS_OK;
    }
    if (cli->embedded == NULL || port == 0) {
        return problem_set(problem, STATUS_INVALID, "config",
                           "server.public_url is not set: it goes into every webhook_url "
                           "(--public-url https://bell.example.com)");
    }
    bool has_tls = config_text(&cli->config, CONFIG_TLS_CERT) != NULL;
    (void)snprintf(app->public_url, sizeof(app->public_url), "%s://127.0.0.1:%u",
                   has_tls ? "https" : "http", port);
    return STATUS_OK;
}

/* Commands that join learn here what this server calls itself. */
static void public_url_leave(const struct app *app)
{
    char path[APP_URL_SIZE + 4096];
    struct problem problem = { .detail = "" };
    if (app->cli->embedded == NULL) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/public_url", embedded_directory(app->cli->embedded));
    if (file_replace(path, 0644, str_from_z(app->public_url), &problem) != STATUS_OK) {
        log_event(LOG_WARN, "public_url not written", LOG_Z("detail", problem.detail));
    }
}

/* --- start and stop ---------------------------------------------------------------- */

static enum status start_registry(struct app *app, struct problem *problem)
{
    enum status status =
        registry_create(app->cli->database_url, app->cli->seal, app_parse_source, &app->registry);
    if (status != STATUS_OK) {
        return status;
    }
    problem->detail[0] = '\0';
    status = registry_refresh(app->registry, true, problem);
    if (status == STATUS_OK && problem->detail[0] != '\0') {
        log_event(LOG_WARN, "configuration loaded in part", LOG_Z("detail", problem->detail));
    }
    return status;
}

static enum status start_sender(struct app *app, struct problem *problem)
{
    const struct cli *cli = app->cli;
    const struct delivery_queue_config queue = {
        .database_url = cli->database_url,
        .registry = app->registry,
        .instance_id = app->instance_id,
        .tally = app->tally,
        .observe = app_observe_attempt,
        .app = app,
    };
    enum status status = delivery_queue_create(&queue, &app->queue);
    if (status != STATUS_OK) {
        return status;
    }
    cli_sender_config(cli, &app->sender_config);
    /* Without it every call would fail, each with words about another's certificate. */
    if (app->sender_config.ca_file != NULL && access(app->sender_config.ca_file, R_OK) != 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "deliver.ca_file cannot be read: %.200s", app->sender_config.ca_file);
    }
    delivery_queue_ops(app->queue, &app->sender_config.ops);
    app->sender_config.poll_ms = SENDER_POLL_MS;
    return sender_start(&app->sender_config, &app->sender, problem);
}

static struct sweep_sender sweep_sender_of(struct app *app)
{
    return (struct sweep_sender){ app->instance_id, app_sender_room, app_hand_over, app };
}

static enum status start_due(struct app *app, struct problem *problem)
{
    const struct due_config config = {
        .database_url = app->cli->database_url,
        .registry = app->registry,
        .sender = sweep_sender_of(app),
        .ingested = app_ingested,
        .observe = app_observe_due,
        .app = app,
    };
    return due_start(&config, &app->due, problem);
}

static enum status start_fan_out(struct app *app, struct problem *problem)
{
    const struct fan_out_config config = {
        .database_url = app->cli->database_url,
        .registry = app->registry,
        .sender = sweep_sender_of(app),
        .ingested = app_ingested,
        .report = app_report_work,
        .app = app,
    };
    return fan_out_start(&config, &app->fan_out, problem);
}

static enum status start_intake(struct app *app, struct problem *problem)
{
    const struct intake_config config = {
        .database_url = app->cli->database_url,
        .writers = (unsigned)app->cli->config.numbers[CONFIG_WRITERS],
        .registry = app->registry,
        .instance_id = app->instance_id,
        .room = app_sender_room,
        .hand_over = app_hand_over,
        .due_hint = app_due_hint,
        .fan_out_hint = app_fan_out_hint,
        .observe = app_observe_batch,
        .app = app,
    };
    return intake_start(&config, &app->intake, problem);
}

static enum status start_background(struct app *app, struct problem *problem)
{
    const struct background_config config = {
        .database_url = app->cli->database_url,
        .registry = app->registry,
        .instance_id = app->instance_id,
        .webhook_retention_ms = app->cli->config.numbers[CONFIG_RETENTION_WEBHOOK],
        .attempt_retention_ms = app->cli->config.numbers[CONFIG_RETENTION_ATTEMPT],
        .notification_retention_ms = app->cli->config.numbers[CONFIG_RETENTION_NOTIFICATION],
        .interaction_retention_ms = app->cli->config.numbers[CONFIG_RETENTION_INTERACTION],
        .flush = app_flush,
        .clock_offset = app_clock_offset,
        .ingested = app_ingested,
        .report = app_report_work,
        .app = app,
    };
    return background_start(&config, &app->background, problem);
}

static enum status start_imports(struct app *app, struct problem *problem)
{
    return import_worker_start(app->cli->database_url, app->registry, app->instance_id,
                               &app->imports, problem);
}

static enum status start_nightly(struct app *app, struct problem *problem)
{
    const struct nightly_config config = {
        .database_url = app->cli->database_url,
        .registry = app->registry,
        .instance_id = app->instance_id,
        .ingested = app_ingested,
        .report = app_report_work,
        .app = app,
    };
    return nightly_start(&config, &app->nightly, problem);
}

static enum status start_http(struct app *app, struct problem *problem)
{
    const struct config *config = &app->cli->config;
    app->api = (struct api){
        .registry = app->registry,
        .intake = app->intake,
        .seal = app->cli->seal,
        .source_stats = app->source_stats,
        .key_ring = app->key_ring,
        .sender_config = &app->sender_config,
        .public_url = app->public_url,
        .instance_id = app->instance_id,
        .write_metrics = app_write_metrics,
        .readiness = app_readiness,
        .app = app,
    };
    const struct http_config http = {
        .listen = app->listen,
        .admin_listen = app->admin_listen[0] != '\0' ? app->admin_listen : NULL,
        .tls_cert_file = config_text(config, CONFIG_TLS_CERT),
        .tls_key_file = config_text(config, CONFIG_TLS_KEY),
        .trusted_proxies = config_text(config, CONFIG_TRUSTED_PROXIES),
        .worker_threads = HTTP_WORKERS,
        .in_flight_bytes_max = (size_t)config->numbers[CONFIG_IN_FLIGHT],
        .hook_body_bytes_max = (size_t)config->numbers[CONFIG_HOOK_BODY],
        .connections_max = connections_fit(),
        .connections_per_address_max = LIMIT_CONNECTIONS_PER_ADDRESS,
        .routes = api_routes,
        .route_count = api_route_count,
        .authenticate = api_authenticate,
        .allow_origin = api_allow_origin,
        .observe = app_observe_request,
        .app = &app->api,
        .worker_open = app_worker_open,
        .worker_close = app_worker_close,
    };
    return http_server_start(&http, &app->http, problem);
}

static enum status app_start(struct app *app, struct problem *problem)
{
    typedef enum status step_fn(struct app * app, struct problem * problem);
    static step_fn *const steps[] = { start_registry, start_sender,  start_due,
                                      start_fan_out,  start_intake,  start_background,
                                      start_nightly,  start_imports, start_http };
    app->instance_id = id_create();
    app->started_at_ms = clock_now_ms();
    atomic_store(&app->schema_matches, true);
    atomic_store(&app->database_seen_ms, clock_monotonic_ms());
    app->source_stats = source_stats_create();
    app->key_ring = key_ring_create();
    app->tally = endpoint_tally_create();
    (void)problem_set(problem, STATUS_BROKEN, "start", "no memory");
    if (app->source_stats == NULL || app->key_ring == NULL || app->tally == NULL ||
        metrics_create(api_routes, api_route_count, &app->metrics) != STATUS_OK) {
        return STATUS_BROKEN;
    }
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        enum status status = steps[i](app, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static void app_stop(struct app *app)
{
    atomic_store(&app->is_draining, true);
    int64_t now_ms = clock_monotonic_ms();
    if (app->http != NULL) {
        http_server_drain(app->http, now_ms + DRAIN_HTTP_MS);
    }
    if (app->intake != NULL) {
        intake_drain(app->intake, clock_monotonic_ms() + DRAIN_INTAKE_MS);
    }
    due_stop(app->due);
    fan_out_stop(app->fan_out);
    if (app->sender != NULL) {
        sender_stop(app->sender, clock_monotonic_ms() + DRAIN_SENDER_MS);
    }
    nightly_stop(app->nightly);
    if (app->background != NULL) {
        background_stop(app->background);
    }
    import_worker_stop(app->imports);
    /* No thread but HTTP's own is left, and those have nothing to do. */
    if (app->http != NULL) {
        http_server_destroy(app->http);
    }
    if (app->intake != NULL) {
        intake_destroy(app->intake);
    }
    sender_destroy(app->sender);
    delivery_queue_destroy(app->queue);
    if (app->registry != NULL) {
        registry_destroy(app->registry);
    }
    key_ring_destroy(app->key_ring);
    if (app->source_stats != NULL) {
        source_stats_destroy(app->source_stats);
        endpoint_tally_destroy(app->tally);
    }
    metrics_destroy(app->metrics);
}

/* --- serve ------------------------------------------------------------------------ */

static void announce(const struct app *app)
{
    const char *listen_text = config_text(&app->cli->config, CONFIG_LISTEN);
    bool is_handed_over = strncmp(app->listen, "fd:", 3) == 0;
    log_event(LOG_INFO, "ready", LOG_Z("version", SHOPBELL_VERSION), LOG_Z("url", app->public_url),
              LOG_Z("listen", is_handed_over ? app->listen : listen_text),
              LOG_ID("instance", app->instance_id));
    if (app->sender_config.allow_http) {
        log_event(LOG_WARN, "subscribers over plain http are allowed",
                  LOG_Z("networks", app->sender_config.allow_networks != NULL
                                        ? app->sender_config.allow_networks
                                        : "public"));
    }
    if (isatty(2) == 1) {
        cli_say(app->cli, "shopbell: listening at %s (docs at %s/docs); Ctrl-C stops",
                app->public_url, app->public_url);
    }
}

static void tls_reload(struct app *app)
{
    struct problem problem = { .detail = "" };
    char state[96];
    if (config_text(&app->cli->config, CONFIG_TLS_CERT) == NULL) {
        log_write(LOG_INFO, "SIGHUP: there is no certificate to read again", NULL, 0);
        return;
    }
    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)clock_monotonic_us());
    systemd_notify(state);
    enum status status = http_server_reload_tls(app->http, &problem);
    systemd_notify("READY=1");
    if (status == STATUS_OK) {
        log_write(LOG_INFO, "certificate read again", NULL, 0);
    } else {
        log_event(LOG_WARN, "certificate not read; the former one stays",
                  LOG_Z("detail", problem.detail));
    }
}

/* Waits until it is time to stop: STATUS_OK when asked to, STATUS_BROKEN when
 * the embedded PostgreSQL is gone. */
static enum status app_wait(struct app *app, struct problem *problem)
{
    sigset_t waited;
    signals_collect(&waited);
    int64_t watchdog_ms = systemd_watchdog_ms();
    int64_t wait_ms = watchdog_ms > 0 && watchdog_ms < IDLE_WAIT_MS ? watchdog_ms : IDLE_WAIT_MS;
    for (;;) {
        const struct timespec timeout = { wait_ms / 1000, (wait_ms % 1000) * 1000000L };
        int signal_number = sigtimedwait(&waited, NULL, &timeout);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            log_event(LOG_INFO, "stopping", LOG_I64("signal", signal_number));
            return STATUS_OK;
        }
        if (signal_number == SIGHUP) {
            tls_reload(app);
        }
        if (app->cli->embedded != NULL && !embedded_is_running(app->cli->embedded)) {
            return problem_set(problem, STATUS_BROKEN, "embedded",
                               "the embedded PostgreSQL has ended; its log is %.160s/postgres.log",
                               app->cli->embedded_directory);
        }
        if (watchdog_ms > 0) {
            systemd_notify("WATCHDOG=1");
        }
    }
}

/* From here on a signal kills, as it does by default. */
static void second_signal_kills(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

enum status command_serve(struct cli *cli, struct problem *problem)
{
    process_prepare();
    log_setup(arguments_has(cli->arguments, "verbose") ? LOG_DEBUG : LOG_INFO, LOG_FORMAT_AUTO);
    enum status status = serve_open(cli, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct app *app = calloc(1, sizeof(*app));
    if (app == NULL) {
        return problem_set(problem, STATUS_BROKEN, "start", "no memory");
    }
    app->cli = cli;
    signals_block();
    status = addresses_choose(app, problem);
    if (status == STATUS_OK) {
        status = app_start(app, problem);
    }
    if (status == STATUS_OK) {
        public_url_leave(app);
        announce(app);
        systemd_notify("READY=1");
        status = app_wait(app, problem);
        systemd_notify("STOPPING=1");
    }
    second_signal_kills();
    app_stop(app);
    free(app);
    if (status == STATUS_OK) {
        log_write(LOG_INFO, "stopped", NULL, 0);
    }
    return status;
}
