#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Preloaded into the server by tests of whom it calls: tells the resolver what
 * names stand for, and writes down each connect().
 *
 * NET_SHIM_NAMES is a file of lines "name answer answer ...", where an answer is
 * addresses parted by commas; the n-th lookup of a name gets the n-th answer, and
 * after the last the first again. A line of the name "*" stands for all others; if
 * there is none they do not resolve. No question leaves the machine.
 *
 * NET_SHIM_LOG gets a line "address port" for each connect() of IPv4 or IPv6. Only
 * loopback is then really called; anything else fails as without a network. A test
 * that wants to see a wrong address called needs nobody to live there.
 *
 * Rejected: strace, which not every container allows and no sanitizer likes.
 */

enum {
    NAMES_MAX = 64,
    LINE_SIZE = 512,
};

static unsigned lookups[NAMES_MAX]; /* of the n-th line; races cost an answer, no more */

/* What is asked for beside the name. */
struct wish {
    int family;
    int socktype;
    in_port_t port;
};

static struct addrinfo *address_new(const char *text, const struct wish *wish)
{
    struct in_addr v4;
    struct in6_addr v6;
    struct addrinfo *made = calloc(1, sizeof(*made) + sizeof(struct sockaddr_in6));
    if (made == NULL) {
        return NULL;
    }
    made->ai_socktype = wish->socktype;
    made->ai_addr = (struct sockaddr *)(void *)(made + 1); /* one block: freeaddrinfo() frees it */
    if (inet_pton(AF_INET, text, &v4) == 1) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr = v4,
                                       .sin_port = wish->port };
        memcpy(made + 1, &address, sizeof(address));
        made->ai_family = AF_INET;
        made->ai_addrlen = sizeof(address);
    } else if (inet_pton(AF_INET6, text, &v6) == 1) {
        struct sockaddr_in6 address = { .sin6_family = AF_INET6,
                                        .sin6_addr = v6,
                                        .sin6_port = wish->port };
        memcpy(made + 1, &address, sizeof(address));
        made->ai_family = AF_INET6;
        made->ai_addrlen = sizeof(address);
    } else {
        free(made);
        made = NULL;
    }
    return made;
}

/* The addresses of the n-th word behind the name, in order. */
static struct addrinfo *answer_new(char *words, unsigned number, const struct wish *wish)
{
    char *answers[32];
    unsigned count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(words, " \n", &rest); word != NULL && count < 32;
         word = strtok_r(NULL, " \n", &rest)) {
        answers[count++] = word;
    }
    struct addrinfo *first = NULL;
    struct addrinfo **last = &first;
    char *more = NULL;
    for (char *text = count == 0 ? NULL : strtok_r(answers[number % count], ",", &more);
         text != NULL; text = strtok_r(NULL, ",", &more)) {
        struct addrinfo *made = address_new(text, wish);
        if (made != NULL && wish->family != AF_UNSPEC && wish->family != made->ai_family) {
            free(made);
            made = NULL;
        }
        if (made != NULL) {
            *last = made;
            last = &made->ai_next;
        }
    }
    return first;
}

static struct addrinfo *look_up(const char *name, const struct wish *wish)
{
    const char *path = getenv("NET_SHIM_NAMES");
    FILE *names = path != NULL ? fopen(path, "re") : NULL;
    struct addrinfo *found = NULL;
    char line[LINE_SIZE];
    for (unsigned i = 0; names != NULL && i < NAMES_MAX && fgets(line, sizeof(line), names); i++) {
        size_t size = strcspn(line, " ");
        int is_it = strncasecmp(line, name, size) == 0 && name[size] == '\0';
        if (line[size] == ' ' && (is_it || strncmp(line, "* ", 2) == 0)) {
            found = answer_new(line + size + 1, lookups[i]++, wish);
            break;
        }
    }
    if (names != NULL) {
        (void)fclose(names);
    }
    return found;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out_addresses)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct in6_addr unused;
    if (name == NULL || inet_pton(AF_INET, name, &unused) == 1 ||
        inet_pton(AF_INET6, name, &unused) == 1) {
        void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
        memcpy(&real, &symbol, sizeof(real));
        return real(name, service, hints, out_addresses);
    }
    const struct wish wish = {
        .family = hints != NULL ? hints->ai_family : AF_UNSPEC,
        .socktype = hints != NULL ? hints->ai_socktype : SOCK_STREAM,
        .port = htons((uint16_t)(service != NULL ? strtoul(service, NULL, 10) : 0)),
    };
    struct addrinfo *found = look_up(name, &wish);
    if (found == NULL) {
        return EAI_NONAME;
    }
    *out_addresses = found;
    return 0;
}

static void write_down(const char *address, unsigned port)
{
    const char *path = getenv("NET_SHIM_LOG");
    char line[INET6_ADDRSTRLEN + 16];
    int size = snprintf(line, sizeof(line), "%s %u\n", address, port);
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (fd >= 0) {
        if (write(fd, line, (size_t)size) != size) {
            abort();
        }
        close(fd);
    }
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    void *symbol = dlsym(RTLD_NEXT, "connect");
    memcpy(&real, &symbol, sizeof(real));
    char text[INET6_ADDRSTRLEN] = "";
    int is_near = 1;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
        is_near = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
        write_down(text, ntohs(v4.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
        is_near = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
        write_down(text, ntohs(v6.sin6_port));
    }
    if (!is_near) {
        errno = ENETUNREACH;
        return -1;
    }
    return real(fd, address, size);
}
