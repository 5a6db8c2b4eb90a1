#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http_priv.h"

/*
 * Connections: who holds how many, and which have had their time.
 *
 * Problem: libmicrohttpd's timeout is inactivity only, so one byte every two
 * seconds keeps a connection for ever; and its limit per address counts each
 * of an IPv6 network's 2^64 addresses apart. Invariant: a connection has an
 * absolute deadline at every moment but while a handler has it, and the reaper
 * shuts down the socket of one that is past it. libmicrohttpd reports CLOSED
 * before it closes the descriptor, and both that and the reaper hold the lock,
 * so the descriptor shut down is never somebody else's.
 */

struct address_entry {
    uint8_t key[16];
    unsigned count;
    uint32_t next; /* index + 1; 0 ends the chain */
};

struct address_table {
    uint64_t seed;         /* a sender may choose its network, not its bucket */
    uint32_t bucket_count; /* a power of two */
    uint32_t *buckets;     /* index + 1 */
    uint32_t free_head;
    struct address_entry *entries; /* one for each connection there can be */
};

static uint32_t *bucket_of(const struct address_table *table, const uint8_t key[16])
{
    uint64_t hash = hash64((struct str){ (const char *)key, 16 }, table->seed);
    return &table->buckets[hash & (table->bucket_count - 1)];
}

static struct address_entry *address_find(const struct address_table *table, const uint8_t key[16])
{
    for (uint32_t at = *bucket_of(table, key); at != 0; at = table->entries[at - 1].next) {
        if (memcmp(table->entries[at - 1].key, key, 16) == 0) {
            return &table->entries[at - 1];
        }
    }
    return NULL;
}

static bool address_add(struct address_table *table, const uint8_t key[16])
{
    struct address_entry *entry = address_find(table, key);
    if (entry != NULL) {
        entry->count++;
        return true;
    }
    uint32_t at = table->free_head;
    if (at == 0) {
        return false;
    }
    entry = &table->entries[at - 1];
    table->free_head = entry->next;
    uint32_t *bucket = bucket_of(table, key);
    memcpy(entry->key, key, 16);
    entry->count = 1;
    entry->next = *bucket;
    *bucket = at;
    return true;
}

static void address_remove(struct address_table *table, const uint8_t key[16])
{
    uint32_t *link = bucket_of(table, key);
    while (*link != 0 && memcmp(table->entries[*link - 1].key, key, 16) != 0) {
        link = &table->entries[*link - 1].next;
    }
    if (*link == 0) {
        return;
    }
    uint32_t at = *link;
    struct address_entry *entry = &table->entries[at - 1];
    entry->count--;
    if (entry->count == 0) {
        *link = entry->next;
        entry->next = table->free_head;
        table->free_head = at;
    }
}

static void table_destroy(struct address_table *table)
{
    if (table != NULL) {
        free(table->buckets);
        free(table->entries);
        free(table);
    }
}

bool connections_init(struct http_server *server)
{
    /* Both listeners may be full. */
    uint32_t capacity = server->config.connections_max * LISTENERS_MAX;
    struct address_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return false;
    }
    struct id random = id_create();
    memcpy(&table->seed, random.bytes + 8, sizeof(table->seed));
    table->bucket_count = 1024;
    while (table->bucket_count < capacity) {
        table->bucket_count *= 2;
    }
    table->buckets = calloc(table->bucket_count, sizeof(uint32_t));
    table->entries = calloc(capacity, sizeof(struct address_entry));
    if (table->buckets == NULL || table->entries == NULL) {
        table_destroy(table);
        return false;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        table->entries[i].next = i + 1 < capacity ? i + 2 : 0;
    }
    table->free_head = 1;
    server->addresses = table;
    return true;
}

void connections_finish(struct http_server *server)
{
    table_destroy(server->addresses);
    server->addresses = NULL;
}

enum MHD_Result connections_accept(void *cls, const struct sockaddr *address,
                                   socklen_t address_size)
{
    struct listener *listener = cls;
    struct http_server *server = listener->server;
    (void)address_size;
    struct proxies_address peer = proxies_address_from(listener->is_unix ? NULL : address);
    if (peer.is_unix || proxies_trust(&server->proxies, &peer)) {
        return MHD_YES;
    }
    uint8_t key[16];
    proxies_address_key(&peer, key);
    pthread_mutex_lock(&server->connections_mutex);
    const struct address_entry *entry = address_find(server->addresses, key);
    bool full = entry != NULL && entry->count >= server->config.connections_per_address_max;
    pthread_mutex_unlock(&server->connections_mutex);
    if (full) {
        atomic_fetch_add(&server->refused_overload, 1);
        return MHD_NO;
    }
    return MHD_YES;
}

static void read_peer(struct connection *connection, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct http_server *server = connection->listener->server;
    bool is_unix = connection->listener->is_unix || info == NULL;
    connection->peer = proxies_address_from(is_unix ? NULL : info->client_addr);
    connection->is_trusted = proxies_trust(&server->proxies, &connection->peer);
    proxies_address_key(&connection->peer, connection->address_key);
}

static void started(struct listener *listener, struct MHD_Connection *mhd, void **context)
{
    struct http_server *server = listener->server;
    struct connection *connection = calloc(1, sizeof(*connection));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (connection == NULL || info == NULL) {
        free(connection);
        return; /* its first request is refused */
    }
    connection->listener = listener;
    connection->fd = info->connect_fd;
    read_peer(connection, mhd);
    atomic_init(&connection->deadline_ms, clock_monotonic_ms() + server->tuning.headers_ms);
    pthread_mutex_lock(&server->connections_mutex);
    connection->next = server->connections;
    if (server->connections != NULL) {
        server->connections->previous = connection;
    }
    server->connections = connection;
    if (!connection->peer.is_unix && !connection->is_trusted) {
        connection->is_counted = address_add(server->addresses, connection->address_key);
    }
    pthread_mutex_unlock(&server->connections_mutex);
    atomic_fetch_add(&server->connection_count, 1);
    atomic_fetch_add(&listener->connection_count, 1);
    *context = connection;
}

static void closed(struct http_server *server, void **context)
{
    struct connection *connection = *context;
    if (connection == NULL) {
        return;
    }
    *context = NULL;
    if (connection->lingers) {
        linger_add(server, connection->fd);
    }
    pthread_mutex_lock(&server->connections_mutex);
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (connection->is_counted) {
        address_remove(server->addresses, connection->address_key);
    }
    pthread_mutex_unlock(&server->connections_mutex);
    atomic_fetch_sub(&server->connection_count, 1);
    atomic_fetch_sub(&connection->listener->connection_count, 1);
    free(connection);
}

void connections_notify(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct listener *listener = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        started(listener, mhd, context);
    } else {
        closed(listener->server, context);
    }
}

void connections_reap(struct http_server *server, int64_t now_ms)
{
    pthread_mutex_lock(&server->connections_mutex);
    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        int64_t deadline_ms = atomic_load(&c->deadline_ms);
        /* The exchange loses to a request that made progress just now. */
        if (deadline_ms <= now_ms &&
            atomic_compare_exchange_strong(&c->deadline_ms, &deadline_ms, DEADLINE_NONE)) {
            atomic_fetch_add(&server->reaped, 1);
            (void)shutdown(c->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->connections_mutex);
}

struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}
