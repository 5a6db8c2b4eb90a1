#ifndef DELIVER_ENGINE_H
#define DELIVER_ENGINE_H

/*
 * Many transfers at once: a libcurl multi handle driven by epoll. One thread,
 * except engine_wake.
 */

#include <stdbool.h>

#include <curl/curl.h>

struct engine;

struct engine *engine_create(long connections_max); /* NULL: out of memory or descriptors */
void engine_destroy(struct engine *engine);         /* every handle was removed; NULL is fine */

/* False when libcurl refuses the handle; then it is not in. */
bool engine_add(struct engine *engine, CURL *easy);
void engine_remove(struct engine *engine, CURL *easy);

/* Does what is due now, without waiting: gives new transfers their first push. */
void engine_kick(struct engine *engine);
/* Waits for sockets, timers, or a wake, at most so long; then works. */
void engine_wait(struct engine *engine, int timeout_ms);
/* The next transfer that ended; still in the engine. False when there is none. */
bool engine_next_ended(struct engine *engine, CURL **out_easy, CURLcode *out_code);
/* Ends the wait under way, or the next. Any thread. */
void engine_wake(struct engine *engine);

#endif
