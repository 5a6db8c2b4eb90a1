#include "base/thread.h"
#include "unit.h"

/* Which of the signals of POSIX a mask blocks that can be blocked. */
static size_t blocked_count(const sigset_t *mask)
{
    static const int signals[] = { SIGHUP,  SIGINT,  SIGTERM, SIGUSR1,
                                   SIGUSR2, SIGPIPE, SIGALRM, SIGCHLD };
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        count += sigismember(mask, signals[i]) == 1 ? 1 : 0;
    }
    return count;
}

static void *mask_read(void *argument)
{
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, argument), 0);
    return argument;
}

static void no_signal_is_a_threads(void **state)
{
    (void)state;
    sigset_t own;
    sigset_t in_thread;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(sigemptyset(&in_thread), 0);
    assert_true(thread_start(&thread, mask_read, &in_thread));
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &in_thread);
    assert_int_equal(blocked_count(&in_thread), 8);
    assert_int_equal(sigismember(&in_thread, SIGSEGV), 0); /* a sanitizer's to report */
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    assert_int_equal(blocked_count(&own), 0);
}

/* What was blocked before stays so: serve waits for some signals by sigwait. */
static void the_mask_before_comes_back(void **state)
{
    (void)state;
    sigset_t waited;
    sigset_t before;
    sigset_t now;
    assert_int_equal(sigemptyset(&waited), 0);
    assert_int_equal(sigaddset(&waited, SIGTERM), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &waited, NULL), 0);
    thread_signals_block(&before);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    assert_int_equal(blocked_count(&now), 8);
    thread_signals_restore(&before);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    assert_int_equal(blocked_count(&now), 1);
    assert_int_equal(sigismember(&now, SIGTERM), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_signal_is_a_threads),
        cmocka_unit_test(the_mask_before_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
