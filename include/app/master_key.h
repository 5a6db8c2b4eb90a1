#ifndef APP_MASTER_KEY_H
#define APP_MASTER_KEY_H

/*
 * The master key as a file: 32 bytes as 64 hex digits (or raw, or base64, as
 * key managers deliver it), readable by its owner only.
 */

#include <sys/types.h>

#include "app/config.h"
#include "base/status.h"
#include "store/seal.h"

enum {
    MASTER_KEY_PATH_SIZE = 4096
};

/* Where it is: a flag or the environment, else the systemd credential
 * master.key, else the file of the configuration, else embedded_directory
 * (may be NULL). STATUS_MISSING when none of them says. */
NODISCARD enum status master_key_find(const struct config *config, const char *embedded_directory,
                                      char path[MASTER_KEY_PATH_SIZE], struct problem *problem);

/* STATUS_DENIED when others may read the file, STATUS_INVALID when it is no key. */
NODISCARD enum status master_key_read(const char *path, uint8_t key[SEAL_MASTER_KEY_SIZE],
                                      struct problem *problem);
/* STATUS_CONFLICT when there is one: a key is never replaced. */
NODISCARD enum status master_key_create(const char *path, mode_t mode, struct problem *problem);

/* Reads it and makes the seal; the bytes do not stay behind. */
NODISCARD enum status master_key_open(const char *path, struct seal **out_seal,
                                      struct problem *problem);

#endif
