#ifndef APP_MEMORY_H
#define APP_MEMORY_H

/*
 * How much memory there is for this process, and what of it PostgreSQL should
 * keep its pages in.
 */

#include <stdint.h>

/* What the machine has, or what the control groups above us leave of it; 0 when it
 * cannot be told. `root` stands before /proc and /sys: "" but in tests. */
int64_t memory_available(const char *root);

/* A quarter of it, as PostgreSQL's manual advises for a server of its own; in MiB,
 * between its default (128) and 2,048, since embedded it shares the machine. */
unsigned memory_shared_buffers_mib(int64_t available_bytes);

#endif
