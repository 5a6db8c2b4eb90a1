#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "app/app.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/file.h"
#include "app/import_end.h"
#include "app/import_run.h"
#include "app/resource_command.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "sources/csv.h"
#include "sources/platform.h"
#include "store/import_job.h"
#include "store/job_store.h"
#include "store/source_store.h"
#include "store/workspace.h"

/*
 * shopbell import: files of history, straight into the database.
 *
 * A file is known by its fingerprint: its size, beginning and end, and what it
 * is to be read as. The job of an import that was killed is found by it and gone
 * on with; the time at which the file was made is taken from the job as well, so
 * that a copy with another date says the same. A file that was imported to its
 * end is read again, and changes nothing.
 *
 * Rejected lines stand in FILE.rejected.csv as they are found. When a killed
 * import goes on, that file keeps the lines of what is in and loses the rest,
 * which come again.
 */

enum {
    LEASE_MS = 60000,
    REJECTS_FILE_BYTES = 32 * 1024 * 1024,
    BAR_WIDTH = 30,
    FILES_ARENA_BYTES = 64 * 1024 * 1024,
    KEPT_BYTES = 1024 * 1024 * 1024,
};

struct import_file {
    struct cli *cli;
    struct arena *arena;
    const char *path;
    int fd;
    bool is_stream; /* stdin: read once, not resumable */
    int64_t size;   /* -1: not known */
    int64_t modified_ms;
    struct str head; /* the beginning; the whole when is_whole */
    bool is_whole;

    struct source source;
    struct id workspace_id;
    struct registry *registry;
    struct import_options options;
    struct import_reader *reader;
    size_t first_byte;
    size_t header_lines;

    struct str fingerprint; /* empty: a stream has none */
    struct id job_id;
    struct id owner;
    struct import_range *ranges;
    size_t range_count;
    struct import_counts before;
    bool is_resumed;

    FILE *rejects;
    struct str rejects_path;
    int64_t started_us;
    int64_t written_us;
    bool is_cancelled;
    bool has_bar;
};

/* --- the file --------------------------------------------------------------- */

static enum status file_failed(const char *what, const char *path, struct problem *problem)
{
    char reason[128] = "";
    int code = errno;
    if (strerror_r(code, reason, sizeof(reason)) != 0) {
        reason[0] = '\0';
    }
    return problem_set(problem, code == ENOENT ? STATUS_MISSING : STATUS_INVALID, "usage",
                       "%s %.200s: %s", what, path, reason);
}

static enum status read_head(struct import_file *file, struct problem *problem)
{
    char *bytes = arena_alloc(file->arena, IMPORT_HEAD_BYTES);
    size_t size = 0;
    if (bytes == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    while (size < IMPORT_HEAD_BYTES) {
        ssize_t got = read(file->fd, bytes + size, IMPORT_HEAD_BYTES - size);
        if (got < 0) {
            return file_failed("cannot read", file->path, problem);
        }
        if (got == 0) {
            file->is_whole = true;
            break;
        }
        size += (size_t)got;
    }
    file->head = (struct str){ bytes, size };
    return STATUS_OK;
}

static enum status open_file(struct import_file *file, struct problem *problem)
{
    struct stat status;
    file->is_stream = strcmp(file->path, "-") == 0;
    file->fd = file->is_stream ? STDIN_FILENO : open(file->path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        return file_failed("cannot open", file->path, problem);
    }
    if (S_ISDIR(status.st_mode)) {
        return problem_set(problem, STATUS_INVALID, "usage", "%.200s is a directory", file->path);
    }
    file->is_stream = file->is_stream || !S_ISREG(status.st_mode);
    file->size = file->is_stream ? -1 : (int64_t)status.st_size;
    file->modified_ms = file->is_stream ? clock_now_ms() : (int64_t)status.st_mtime * 1000;
    return read_head(file, problem);
}

/* From the head first: a stream gives it only once. */
static ssize_t read_at(void *user, int64_t offset, void *bytes, size_t size,
                       struct problem *problem)
{
    struct import_file *file = user;
    if (file->is_stream && (size_t)offset < file->head.size) {
        size_t rest = file->head.size - (size_t)offset;
        size = size < rest ? size : rest;
        memcpy(bytes, file->head.data + offset, size);
        return (ssize_t)size;
    }
    ssize_t got =
        file->is_stream ? read(file->fd, bytes, size) : pread(file->fd, bytes, size, (off_t)offset);
    if (got < 0) {
        (void)file_failed("cannot read", file->path, problem);
    }
    return got;
}

static struct str fingerprint_of(const struct import_file *file)
{
    char tail[4096];
    char text[ID_TEXT_SIZE];
    struct id_hash hash;
    ssize_t got =
        pread(file->fd, tail, sizeof(tail),
              file->size > (int64_t)sizeof(tail) ? (off_t)(file->size - (int64_t)sizeof(tail)) : 0);
    id_hash_begin(&hash, "import file");
    id_hash_add_id(&hash, file->source.id);
    id_hash_add(&hash, str_from_z(import_kind_name(file->options.kind)));
    id_hash_add(&hash, str_from_z(file->options.format->name));
    id_hash_add(&hash, file->options.map);
    id_hash_add_i64(&hash, file->size);
    id_hash_add(&hash, file->head);
    id_hash_add(&hash, (struct str){ tail, got > 0 ? (size_t)got : 0 });
    id_format(id_hash_end(&hash), text);
    return str_dup(file->arena, str_from_z(text));
}

/* --- what it is to be read as ------------------------------------------------- */

static struct str map_of(struct import_file *file)
{
    struct buf buf;
    size_t index = 0;
    buf_init(&buf, file->arena, 64 * 1024);
    for (const char *value = arguments_next(file->cli->arguments, "map", &index); value != NULL;
         value = arguments_next(file->cli->arguments, "map", &index)) {
        buf_add_z(&buf, buf.size > 0 ? "," : "");
        buf_add_z(&buf, value);
    }
    return buf_str(&buf);
}

static enum status choose_format(struct import_file *file, struct problem *problem)
{
    const struct arguments *arguments = file->cli->arguments;
    const char *format = arguments_value(arguments, "format");
    const char *kind = arguments_value(arguments, "kind");
    struct import_options *options = &file->options;
    if (kind != NULL) {
        options->kind = import_kind_find(str_from_z(kind), problem);
        if (options->kind == 0) {
            return STATUS_INVALID;
        }
    }
    enum import_kind detected = 0;
    options->format = format != NULL ? import_format_find(str_from_z(format), problem)
                                     : import_detect(file->head, &detected);
    if (options->format == NULL) {
        return format != NULL ? STATUS_INVALID
                              : problem_set(problem, STATUS_INVALID, "usage",
                                            "%.200s: neither NDJSON nor the header of a CSV; "
                                            "say --format",
                                            file->path);
    }
    if (options->kind == 0) {
        options->kind = options->format->kind != 0 ? options->format->kind : detected;
    }
    if (options->kind == 0 && !options->format->is_csv) {
        options->kind = IMPORT_EVENTS;
    }
    if (options->kind == 0) {
        return problem_set(
            problem, STATUS_INVALID, "usage",
            "%.200s: what is in it? --kind customers, orders, products, events or email",
            file->path);
    }
    options->map = map_of(file);
    return STATUS_OK;
}

/* --- source and workspace ----------------------------------------------------- */

static enum status find_source(struct import_file *file, const struct workspace *workspace,
                               struct problem *problem)
{
    const char *name = arguments_value(file->cli->arguments, "source");
    struct source_row row;
    if (name == NULL) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "whose history is it? --source NAME (shopbell source list)");
    }
    enum status status = source_find(file->cli->pg, file->arena, workspace->id, str_from_z(name),
                                     clock_now_ms(), &row, problem);
    if (status == STATUS_MISSING) {
        return problem_set(problem, STATUS_MISSING, "object-not-found",
                           "there is no source \"%.60s\"", name);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct platform *platform = platform_find(row.platform);
    if (platform == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "the source's platform is not known to this version");
    }
    file->source = (struct source){
        .id = row.id,
        .workspace_id = workspace->id,
        .name = row.name,
        .platform = row.platform,
        .workspace_name = workspace->name,
        .currency = workspace->currency,
        .time_zone = { str_dup_z(file->arena, workspace->time_zone), workspace->time_zone.size },
        .settings_json = row.settings_json,
    };
    return platform_parse_settings(file->arena, platform, row.settings_json, &file->source,
                                   problem);
}

/* --- the job ---------------------------------------------------------------- */

static struct str parameters_of(const struct import_file *file)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, file->arena, 128 * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "source", file->source.name);
    jsonw_put_z(&json, "kind", import_kind_name(file->options.kind));
    jsonw_put_z(&json, "format", file->options.format->name);
    jsonw_put_str_or_null(&json, "map", file->options.map);
    jsonw_put_z(&json, "file", file->path);
    jsonw_put_str_or_null(&json, "fingerprint", file->fingerprint);
    jsonw_put_instant(&json, "exported_at", file->options.exported_at_ms);
    jsonw_put_instant(&json, "received_at", file->options.received_at_ms);
    jsonw_close(&json);
    return buf_str(&buf);
}

static int64_t parameter_instant(struct str parameters, const char *key, int64_t fallback_ms)
{
    json_error_t error;
    json_t *root = json_loadb(parameters.data, parameters.size, 0, &error);
    const char *text = json_string_value(json_object_get(root, key));
    int64_t at_ms = fallback_ms;
    if (text == NULL || !instant_parse(str_from_z(text), true, &at_ms, NULL)) {
        at_ms = fallback_ms;
    }
    json_decref(root);
    return at_ms;
}

static enum status take_over(struct import_file *file, struct problem *problem)
{
    struct cli *cli = file->cli;
    bool is_ours = false;
    struct id workspace_id = file->workspace_id;
    enum status status = import_job_lock(cli->pg, file->arena, file->job_id, &is_ours, problem);
    if (status == STATUS_OK && !is_ours) {
        return problem_set(problem, STATUS_CONFLICT, "job-running",
                           "another process is importing %.200s right now", file->path);
    }
    if (status == STATUS_OK) {
        status = import_job_take(cli->pg, file->arena, workspace_id, file->job_id, file->owner,
                                 clock_now_ms() + LEASE_MS, problem);
    }
    if (status == STATUS_OK) {
        status = import_store_ranges(cli->pg, file->arena, workspace_id, file->job_id,
                                     &file->ranges, &file->range_count, &file->before, problem);
    }
    return status;
}

static enum status new_job(struct import_file *file, struct problem *problem)
{
    bool is_ours = false;
    file->job_id = id_create();
    struct import_job job = {
        .workspace_id = file->workspace_id,
        .id = file->job_id,
        .parameters_json = parameters_of(file),
        .total = file->size,
        .owner = file->owner,
        .lease_until_ms = clock_now_ms() + LEASE_MS,
        .created_at_ms = file->options.received_at_ms,
    };
    enum status status = import_job_create(file->cli->pg, file->arena, &job, problem);
    return status == STATUS_OK
               ? import_job_lock(file->cli->pg, file->arena, file->job_id, &is_ours, problem)
               : status;
}

/* The times, and with them the job: that of a killed import of this very file,
 * or a new one. */
static enum status find_job(struct import_file *file, struct problem *problem)
{
    const char *exported_at = arguments_value(file->cli->arguments, "exported-at");
    struct import_options *options = &file->options;
    options->source = &file->source;
    options->received_at_ms = clock_now_ms();
    options->exported_at_ms = file->modified_ms;
    if (exported_at != NULL &&
        !instant_parse(str_from_z(exported_at), true, &options->exported_at_ms, NULL)) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "--exported-at %.60s: an instant with its offset is wanted",
                           exported_at);
    }
    bool is_dry = arguments_has(file->cli->arguments, "dry-run");
    file->owner = id_create();
    if (file->is_stream) {
        return STATUS_OK;
    }
    file->fingerprint = fingerprint_of(file);
    struct str parameters = { NULL, 0 };
    bool is_open = false;
    enum status status =
        import_job_of_file(file->cli->pg, file->arena, file->workspace_id, file->fingerprint,
                           &file->job_id, &parameters, &is_open, problem);
    if (status == STATUS_OK && exported_at == NULL) {
        options->exported_at_ms =
            parameter_instant(parameters, "exported_at", options->exported_at_ms);
    }
    if (status == STATUS_OK && is_open) {
        file->is_resumed = !is_dry;
        options->received_at_ms =
            parameter_instant(parameters, "received_at", options->received_at_ms);
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

/* After the header was found good: a file that cannot be read leaves no job. */
static enum status claim_job(struct import_file *file, struct problem *problem)
{
    if (arguments_has(file->cli->arguments, "dry-run")) {
        return STATUS_OK;
    }
    return file->is_resumed ? take_over(file, problem) : new_job(file, problem);
}

static struct str result_of(const struct import_file *file, const struct import_counts *counts)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, file->arena, 64 * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_z(&json, "file", file->path);
    jsonw_put_z(&json, "kind", import_kind_name(file->options.kind));
    jsonw_put_z(&json, "format", file->options.format->name);
    jsonw_put_bool(&json, "dry_run", arguments_has(file->cli->arguments, "dry-run"));
    jsonw_put_bool(&json, "resumed", file->is_resumed);
    import_write_counts(&json, counts, file->header_lines);
    jsonw_put_str_or_null(&json, "rejects_file",
                          counts->rejected > 0 ? file->rejects_path : (struct str){ NULL, 0 });
    jsonw_put_i64(&json, "duration_ms", (clock_monotonic_us() - file->started_us) / 1000);
    jsonw_put_id(&json, "job_id", file->job_id);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status end_job(struct import_file *file, enum status outcome,
                           const struct import_counts *counts, const struct problem *fault,
                           struct problem *problem)
{
    bool is_over = outcome == STATUS_OK || file->is_cancelled;
    if (!is_over) {
        return STATUS_OK; /* it stays open, to be gone on with */
    }
    struct job_end end = {
        .workspace_id = file->workspace_id,
        .job_id = file->job_id,
        .owner = file->owner,
        .status = file->is_cancelled ? JOB_CANCELLED : JOB_SUCCEEDED,
        .result_json = result_of(file, counts),
        .error = file->is_cancelled ? str_from_z(fault->detail) : (struct str){ NULL, 0 },
        .at_ms = clock_now_ms(),
    };
    bool completes = outcome == STATUS_OK && arguments_has(file->cli->arguments, "complete");
    return import_end_job(file->cli->pg, file->arena, &end, completes ? &file->source.id : NULL,
                          problem);
}

/* --- rejected lines ----------------------------------------------------------- */

static bool is_in(const struct import_file *file, uint64_t line)
{
    for (size_t i = 0; i < file->range_count; i++) {
        const struct import_range *range = &file->ranges[i];
        if (range->lanes_done == range->lanes && (int64_t)line >= range->first_line &&
            (int64_t)line < range->first_line + range->line_count) {
            return true;
        }
    }
    return false;
}

/* The lines of a former rejects file that are not going to come again. */
static struct str kept_rejects(const struct import_file *file, const char *path)
{
    struct buf kept;
    struct str text = { NULL, 0 };
    struct problem ignored;
    buf_init(&kept, file->arena, REJECTS_FILE_BYTES);
    if (!file->is_resumed ||
        file_read(file->arena, path, REJECTS_FILE_BYTES, &text, &ignored) != STATUS_OK) {
        return (struct str){ NULL, 0 };
    }
    while (text.size > 0) {
        struct csv_record row = { .used = 0 };
        uint64_t line = 0;
        enum csv_verdict verdict = csv_next(file->arena, text, ',', true, &row);
        if (verdict == CSV_END || verdict == CSV_FULL) {
            break;
        }
        if (verdict == CSV_RECORD && row.field_count == 3 && str_to_u64(row.fields[0], &line) &&
            is_in(file, line)) {
            buf_add_str(&kept, str_take(text, row.used));
        }
        text = str_drop(text, row.used);
    }
    return buf_str(&kept);
}

static enum status open_rejects(struct import_file *file, struct problem *problem)
{
    file->rejects_path =
        str_printf(file->arena, "%s.rejected.csv", file->is_stream ? "import" : file->path);
    const char *path = str_dup_z(file->arena, file->rejects_path);
    if (path == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    struct str kept = kept_rejects(file, path);
    file->rejects = fopen(path, "we");
    if (file->rejects == NULL) {
        return file_failed("cannot write", path, problem);
    }
    (void)fprintf(file->rejects, "line,column,reason\n%.*s", STR_ARG(kept));
    (void)fflush(file->rejects);
    return STATUS_OK;
}

static void write_reject(void *user, const struct import_reject *reject)
{
    struct import_file *file = user;
    struct buf buf;
    buf_init(&buf, NULL, 64 * 1024);
    buf_add_i64(&buf, reject->line);
    buf_add_char(&buf, ',');
    csv_write_field(&buf, reject->column);
    buf_add_char(&buf, ',');
    csv_write_field(&buf, reject->reason);
    buf_add_char(&buf, '\n');
    struct str line = buf_str(&buf);
    (void)fwrite(line.data, 1, line.size, file->rejects);
    (void)fflush(file->rejects); /* a killed import must not lose what is in */
    buf_finish(&buf);
}

static enum status close_rejects(struct import_file *file, int64_t rejected,
                                 struct problem *problem)
{
    if (file->rejects == NULL) {
        return STATUS_OK;
    }
    bool is_written = ferror(file->rejects) == 0;
    is_written = fclose(file->rejects) == 0 && is_written;
    file->rejects = NULL;
    if (!is_written) {
        return problem_set(problem, STATUS_INVALID, "usage", "cannot write %.*s",
                           STR_ARG(file->rejects_path));
    }
    if (rejected == 0) {
        (void)unlink(str_dup_z(file->arena, file->rejects_path));
    }
    return STATUS_OK;
}

/* --- progress --------------------------------------------------------------- */

static void draw_bar(const struct import_file *file, int64_t done_bytes,
                     const struct import_counts *counts)
{
    char bar[BAR_WIDTH + 1];
    int64_t total = file->size > 0 ? file->size : done_bytes + 1;
    int64_t done = done_bytes < total ? done_bytes : total;
    int64_t filled = done * BAR_WIDTH / total;
    for (int i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i < filled ? '#' : '.';
    }
    bar[BAR_WIDTH] = '\0';
    int64_t took_ms = (clock_monotonic_us() - file->started_us) / 1000;
    int64_t new_lines = counts->lines - file->before.lines;
    int64_t per_s = took_ms > 0 ? new_lines * 1000 / took_ms : 0;
    (void)fprintf(stderr, "\r[%s] %3lld %%  %lld lines, %lld/s, %lld rejected  ", bar,
                  (long long)(done * 100 / total), (long long)counts->lines, (long long)per_s,
                  (long long)counts->rejected);
}

/* The job's row, once a second; true when it is to stop. */
static bool note_progress(struct import_file *file, int64_t done_bytes)
{
    bool is_cancelled = false;
    struct job_progress progress = {
        .workspace_id = file->workspace_id,
        .job_id = file->job_id,
        .owner = file->owner,
        .done = done_bytes,
        .total = file->size,
        .lease_until_ms = clock_now_ms() + LEASE_MS,
    };
    return import_note_progress(file->cli->pg, &progress, &is_cancelled) == STATUS_OK &&
           is_cancelled;
}

static bool on_progress(void *user, int64_t done_bytes, const struct import_counts *counts)
{
    struct import_file *file = user;
    int64_t now_us = clock_monotonic_us();
    if (now_us - file->written_us < 250000) {
        return true;
    }
    file->written_us = now_us;
    if (file->has_bar) {
        draw_bar(file, done_bytes, counts);
    }
    if (!arguments_has(file->cli->arguments, "dry-run") && note_progress(file, done_bytes)) {
        file->is_cancelled = true;
    }
    return !file->is_cancelled;
}

/* --- one file --------------------------------------------------------------- */

static enum status run_file(struct import_file *file, struct import_counts *counts,
                            struct problem *problem)
{
    struct import_run_config config = {
        .database_url = file->cli->database_url,
        .registry = file->registry,
        .reader = file->reader,
        .workspace_id = file->workspace_id,
        .job_id = file->job_id,
        .is_dry = arguments_has(file->cli->arguments, "dry-run"),
        .first_byte = (int64_t)file->first_byte,
        .first_line = (int64_t)file->header_lines + 1,
        .ranges = file->ranges,
        .range_count = file->range_count,
        .counts = file->before,
        .read = read_at,
        .on_reject = write_reject,
        .on_progress = on_progress,
        .user = file,
    };
    file->started_us = clock_monotonic_us();
    file->has_bar = !file->cli->is_quiet && isatty(STDERR_FILENO) == 1;
    enum status status = import_run(&config, counts, problem);
    if (file->has_bar) {
        draw_bar(file, status == STATUS_OK ? file->size : 0, counts);
        (void)fputc('\n', stderr);
    }
    return status;
}

static enum status show(const struct import_file *file, const struct import_counts *counts,
                        struct problem *problem)
{
    struct str unused = import_unused_columns(file->reader);
    if (unused.size > 0) {
        cli_say(file->cli, "shopbell: %s: nothing is made of the columns %.*s", file->path,
                STR_ARG(str_take_text(unused, 400)));
    }
    if (file->cli->is_json) {
        return resource_show(file->cli, result_of(file, counts), NULL, problem);
    }
    bool is_dry = arguments_has(file->cli->arguments, "dry-run");
    cli_print("%s: %lld records of %s in %lld lines: %lld events %s, %lld there already, "
              "%lld rejected\n",
              file->path, (long long)counts->records, import_kind_name(file->options.kind),
              (long long)counts->lines + (long long)file->header_lines, (long long)counts->applied,
              is_dry ? "would be tried" : "taken", (long long)counts->duplicate,
              (long long)counts->rejected);
    if (counts->rejected > 0) {
        cli_say(file->cli, "shopbell: rejected lines and why: %.*s", STR_ARG(file->rejects_path));
    }
    return STATUS_OK;
}

static enum status open_all(struct import_file *file, struct problem *problem)
{
    enum status status = open_file(file, problem);
    if (status == STATUS_OK) {
        status = choose_format(file, problem);
    }
    if (status == STATUS_OK) {
        status = find_job(file, problem);
    }
    if (status == STATUS_OK) {
        status = import_open(file->arena, &file->options, file->head, file->is_whole, &file->reader,
                             &file->first_byte, &file->header_lines, problem);
    }
    if (status == STATUS_OK) {
        status = claim_job(file, problem);
    }
    return status == STATUS_OK ? open_rejects(file, problem) : status;
}

static enum status import_one(struct import_file *file, int64_t *rejected, struct problem *problem)
{
    struct import_counts counts = { 0 };
    enum status status = open_all(file, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (file->is_resumed) {
        cli_say(file->cli, "shopbell: %s: going on after %lld lines", file->path,
                (long long)file->before.lines);
    }
    struct problem fault = { .type = "" };
    enum status outcome = run_file(file, &counts, &fault);
    status = close_rejects(file, counts.rejected, problem);
    if (status == STATUS_OK && !arguments_has(file->cli->arguments, "dry-run")) {
        status = end_job(file, outcome, &counts, &fault, problem);
    }
    if (outcome != STATUS_OK) {
        *problem = fault;
        return outcome;
    }
    *rejected += counts.rejected;
    return status == STATUS_OK ? show(file, &counts, problem) : status;
}

static enum status import_path(struct cli *cli, const struct workspace *workspace,
                               struct registry *registry, const char *path, int64_t *rejected,
                               struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(FILES_ARENA_BYTES);
    struct import_file file = {
        .cli = cli,
        .arena = arena,
        .path = path,
        .fd = -1,
        .workspace_id = workspace->id,
        .registry = registry,
    };
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    enum status status = find_source(&file, workspace, problem);
    if (status == STATUS_OK) {
        status = import_one(&file, rejected, problem);
    }
    if (file.rejects != NULL) {
        (void)fclose(file.rejects);
    }
    if (file.fd > STDIN_FILENO) {
        (void)close(file.fd);
    }
    return status;
}

static enum status import_paths(struct cli *cli, struct registry *registry, int64_t *rejected,
                                struct problem *problem)
{
    struct workspace workspace;
    enum status status = cli_workspace(cli, &workspace, problem);
    if (status == STATUS_OK) {
        status = registry_refresh(registry, true, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < cli->arguments->positional_count; i++) {
        status = import_path(cli, &workspace, registry, arguments_positional(cli->arguments, i),
                             rejected, problem);
    }
    return status;
}

enum status command_import(struct cli *cli, struct problem *problem)
{
    int64_t rejected = 0;
    struct registry *registry = NULL;
    /* The arenas of each chunk are as large as those of the one before: memory
     * that is given back to the system in between costs a fifth of our time. */
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    enum status status =
        cli_open(cli, CLI_NEEDS_DATABASE | CLI_NEEDS_SCHEMA | CLI_NEEDS_SEAL, problem);
    if (status == STATUS_OK) {
        status = registry_create(cli->database_url, cli->seal, app_parse_source, &registry);
    }
    if (status == STATUS_OK) {
        status = import_paths(cli, registry, &rejected, problem);
    }
    registry_destroy(registry);
    if (status == STATUS_OK && rejected > 0 && arguments_has(cli->arguments, "strict")) {
        return problem_set(problem, STATUS_CONFLICT, "rejected", "%lld records were rejected",
                           (long long)rejected);
    }
    return status;
}
