#ifndef BASE_THREAD_H
#define BASE_THREAD_H

/*
 * Signals are the main thread's: every other thread is begun with all of them blocked,
 * so that it is neither interrupted nor takes a signal that main waits for. Only what
 * tells of a fault of the thread's own (SIGSEGV) still reaches it.
 */

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"

/* False when the system has none left; *out_thread is untouched. */
NODISCARD bool thread_start(pthread_t *out_thread, void *(*run)(void *), void *argument);

/* So long from now, for pthread_cond_timedwait of a condition with the usual clock. */
struct timespec thread_deadline(int64_t wait_ms);

/* Around what begins threads of its own, which inherit the mask. */
void thread_signals_block(sigset_t *out_before);
void thread_signals_restore(const sigset_t *before);

#endif
