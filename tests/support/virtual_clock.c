#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * A wall clock that a test moves: preloaded into the real server, it adds to
 * CLOCK_REALTIME the milliseconds that stand in the file $SHOPBELL_VIRTUAL_CLOCK,
 * eight bytes that the test writes while the server runs. The monotonic clock, which
 * times what is short, stays as it is. So three days of retries take seconds, and the
 * program is the one that is shipped.
 *
 * A wait until an instant of the wall clock is the kernel's, which knows nothing of
 * this: it is moved back by as much. Which clock a condition waits by is not to be
 * seen, but an instant after 2001 can only be the wall's.
 */

static const volatile int64_t *offset_ms;

__attribute__((constructor)) static void open_clock(void)
{
    static const int64_t none = 0;
    const char *path = getenv("SHOPBELL_VIRTUAL_CLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *shared = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);
    offset_ms = shared == MAP_FAILED ? &none : shared;
    if (fd >= 0) {
        close(fd);
    }
}

static void move(struct timespec *time, int64_t by_ms)
{
    time->tv_sec += by_ms / 1000;
    time->tv_nsec += by_ms % 1000 * 1000000;
    if (time->tv_nsec >= 1000000000) {
        time->tv_sec++;
        time->tv_nsec -= 1000000000;
    } else if (time->tv_nsec < 0) {
        time->tv_sec--;
        time->tv_nsec += 1000000000;
    }
}

int clock_gettime(clockid_t which, struct timespec *time)
{
    long failed = syscall(SYS_clock_gettime, which, time);
    if (failed == 0 && which == CLOCK_REALTIME && offset_ms != NULL) {
        move(time, *offset_ms);
    }
    return (int)failed;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (wait == NULL) {
        *(void **)&wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    }
    struct timespec at = *until;
    if (at.tv_sec > 1000000000) {
        move(&at, -*offset_ms);
    }
    return wait(condition, mutex, &at);
}
