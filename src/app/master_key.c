#include "app/master_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "app/environment.h"
#include "app/file.h"
#include "base/codec.h"
#include "base/str.h"

/*
 * Problem: whoever reads this file reads every secret in the database, and
 * whoever loses it loses them all. So it is created once and never replaced,
 * a file that others may read is refused rather than warned about, and the
 * text read from it is wiped. Rejected: the key in an environment variable or
 * on the command line, where every process list shows it.
 */

enum {
    KEY_FILE_BYTES_MAX = 256,
    KEY_DIGITS = 2 * SEAL_MASTER_KEY_SIZE
};

static bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum status master_key_find(const struct config *config, const char *embedded_directory,
                            char path[MASTER_KEY_PATH_SIZE], struct problem *problem)
{
    const char *named = config_text(config, CONFIG_MASTER_KEY_FILE);
    enum config_origin origin = config->origins[CONFIG_MASTER_KEY_FILE];
    if (named != NULL && (origin == CONFIG_FROM_FLAG || origin == CONFIG_FROM_ENVIRONMENT)) {
        (void)snprintf(path, MASTER_KEY_PATH_SIZE, "%s", named);
        return STATUS_OK;
    }
    const char *credentials = environment_value("CREDENTIALS_DIRECTORY");
    if (credentials != NULL) {
        (void)snprintf(path, MASTER_KEY_PATH_SIZE, "%s/master.key", credentials);
        if (file_exists(path)) {
            return STATUS_OK;
        }
    }
    if (named != NULL) {
        (void)snprintf(path, MASTER_KEY_PATH_SIZE, "%s", named);
        return STATUS_OK;
    }
    if (embedded_directory != NULL) {
        (void)snprintf(path, MASTER_KEY_PATH_SIZE, "%s/master.key", embedded_directory);
        return STATUS_OK;
    }
    return problem_set(problem, STATUS_MISSING, "master-key",
                       "no master key: set secrets.master_key_file (\"shopbell config init DIR\" "
                       "makes one)");
}

static bool key_decode(struct str text, uint8_t key[SEAL_MASTER_KEY_SIZE])
{
    size_t size = 0;
    if (text.size == SEAL_MASTER_KEY_SIZE) {
        memcpy(key, text.data, SEAL_MASTER_KEY_SIZE);
        return true;
    }
    struct str trimmed = str_trim(text);
    bool is_hex = hex_decode(trimmed, key, SEAL_MASTER_KEY_SIZE, &size);
    return (is_hex || base64_decode(trimmed, key, SEAL_MASTER_KEY_SIZE, &size)) &&
           size == SEAL_MASTER_KEY_SIZE;
}

static enum status mode_check(int fd, const char *path, struct problem *problem)
{
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
        return problem_set(problem, STATUS_INVALID, "master-key", "%.200s is no file", path);
    }
    if ((found.st_mode & 077) != 0) {
        /* systemd hands credentials over as 0440 to a group of root's. */
        bool is_credential = (found.st_mode & 037) == 0 && found.st_uid == 0 &&
                             environment_value("CREDENTIALS_DIRECTORY") != NULL;
        if (!is_credential) {
            return problem_set(problem, STATUS_DENIED, "master-key",
                               "others may read %.160s (mode %03o): chmod 0400 it", path,
                               (unsigned)(found.st_mode & 0777));
        }
    }
    return STATUS_OK;
}

enum status master_key_read(const char *path, uint8_t key[SEAL_MASTER_KEY_SIZE],
                            struct problem *problem)
{
    char text[KEY_FILE_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        bool is_there = file_exists(path);
        return problem_set(problem, is_there ? STATUS_DENIED : STATUS_MISSING, "master-key",
                           is_there ? "may not read the master key %.200s"
                                    : "there is no master key %.200s",
                           path);
    }
    enum status status = mode_check(fd, path, problem);
    ssize_t size = status == STATUS_OK ? read(fd, text, sizeof(text)) : 0;
    (void)close(fd);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_key = size > 0 && key_decode((struct str){ text, (size_t)size }, key);
    sodium_memzero(text, sizeof(text));
    if (!is_key) {
        return problem_set(problem, STATUS_INVALID, "master-key",
                           "%.200s holds no key: 64 hex digits are wanted", path);
    }
    return STATUS_OK;
}

enum status master_key_create(const char *path, mode_t mode, struct problem *problem)
{
    uint8_t key[SEAL_MASTER_KEY_SIZE];
    char text[KEY_DIGITS + 2];
    if (sodium_init() < 0) {
        return problem_set(problem, STATUS_BROKEN, "master-key", "no randomness");
    }
    randombytes_buf(key, sizeof(key));
    (void)sodium_bin2hex(text, sizeof(text), key, sizeof(key));
    text[KEY_DIGITS] = '\n';
    enum status status = file_create(path, mode, (struct str){ text, KEY_DIGITS + 1 }, problem);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(text, sizeof(text));
    return status;
}

enum status master_key_open(const char *path, struct seal **out_seal, struct problem *problem)
{
    uint8_t key[SEAL_MASTER_KEY_SIZE];
    enum status status = master_key_read(path, key, problem);
    if (status == STATUS_OK) {
        status = seal_create(key, out_seal);
        if (status != STATUS_OK) {
            (void)problem_set(problem, status, "master-key", "no memory for the master key");
        }
    }
    sodium_memzero(key, sizeof(key));
    return status;
}
