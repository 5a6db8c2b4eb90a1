#include "base/thread.h"

void thread_signals_block(sigset_t *out_before)
{
    /* A thread's own faults: blocked, they would end the process before a sanitizer's or
     * a debugger's handler could say where. */
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
    sigset_t blocked;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        (void)sigdelset(&blocked, faults[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &blocked, out_before);
}

void thread_signals_restore(const sigset_t *before)
{
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

bool thread_start(pthread_t *out_thread, void *(*run)(void *), void *argument)
{
    sigset_t before;
    pthread_t thread;
    thread_signals_block(&before);
    bool is_started = pthread_create(&thread, NULL, run, argument) == 0;
    thread_signals_restore(&before);
    if (is_started) {
        *out_thread = thread;
    }
    return is_started;
}

struct timespec thread_deadline(int64_t wait_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    int64_t nanoseconds = at.tv_nsec + (wait_ms % 1000) * 1000000;
    at.tv_sec += (time_t)(wait_ms / 1000 + nanoseconds / 1000000000);
    at.tv_nsec = (long)(nanoseconds % 1000000000);
    return at;
}
