#ifndef APP_FILE_H
#define APP_FILE_H

/*
 * Small files: configuration, keys, secrets. Read whole with a limit, created
 * without ever replacing one, or replaced in one step.
 */

#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

/* NUL-terminated beyond its size. STATUS_MISSING when there is none,
 * STATUS_LIMIT when it is larger than max_bytes. */
NODISCARD enum status file_read(struct arena *arena, const char *path, size_t max_bytes,
                                struct str *out_text, struct problem *problem);
/* The same from an open descriptor (stdin). */
NODISCARD enum status file_read_from(struct arena *arena, int fd, const char *name,
                                     size_t max_bytes, struct str *out_text,
                                     struct problem *problem);
/* One or the other: "-" is stdin. */
NODISCARD enum status file_read_or_stdin(struct arena *arena, const char *path, size_t max_bytes,
                                         struct str *out_text, struct problem *problem);

/* Durable on return. STATUS_CONFLICT when the file exists. */
NODISCARD enum status file_create(const char *path, mode_t mode, struct str text,
                                  struct problem *problem);
/* Written beside it, then renamed over it. */
NODISCARD enum status file_replace(const char *path, mode_t mode, struct str text,
                                   struct problem *problem);

/* Makes the directory and its parents; one that exists is left as it is. */
NODISCARD enum status file_make_directory(const char *path, mode_t mode, struct problem *problem);

#endif
