#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_priv.h"

/*
 * Certificate and key of the built-in TLS, replaceable while the server runs.
 *
 * libmicrohttpd asks for the certificate at each handshake through a callback
 * without an argument of ours; the session leads to the connection, the
 * connection to the listener, the listener here. Invariant: a pair that a
 * handshake was given stays in memory until the server ends, since gnutls
 * borrows it for the session's life. So a reload costs a few kilobytes, at
 * the rate at which certificates are renewed. A pair that cannot be read or
 * does not fit together changes nothing.
 */

enum {
    CHAIN_MAX = 16,
    FILE_SIZE_MAX = 256 * 1024,
    KEY_ID_SIZE = 64
};

struct tls_pair {
    struct tls_pair *older;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_size;
    gnutls_privkey_t key;
};

struct tls {
    char *cert_file;
    char *key_file;
    _Atomic(struct tls_pair *) current; /* newest first */
};

static enum status fail(struct problem *problem, const char *file, const char *why)
{
    return problem_set(problem, STATUS_INVALID, "invalid-field", "%s: %s", file, why);
}

static enum status read_file(const char *file, gnutls_datum_t *out_data, struct problem *problem)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(problem, file, "cannot be opened");
    }
    unsigned char *data = malloc(FILE_SIZE_MAX + 1);
    size_t size = 0;
    ssize_t got = data == NULL ? -1 : 1;
    while (got > 0 && size < FILE_SIZE_MAX) {
        got = read(fd, data + size, FILE_SIZE_MAX - size);
        size += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    if (got != 0) {
        free(data);
        return fail(problem, file, got < 0 ? "cannot be read" : "larger than 256 KiB");
    }
    data[size] = '\0';
    *out_data = (gnutls_datum_t){ data, (unsigned)size };
    return STATUS_OK;
}

static void free_file(gnutls_datum_t *data)
{
    if (data->data != NULL) {
        gnutls_memset(data->data, 0, data->size); /* it may be the key */
        free(data->data);
    }
}

static void pair_destroy(struct tls_pair *pair)
{
    for (unsigned i = 0; i < pair->chain_size; i++) {
        gnutls_pcert_deinit(&pair->chain[i]);
    }
    if (pair->key != NULL) {
        gnutls_privkey_deinit(pair->key);
    }
    free(pair);
}

/* The key's public half is the leaf's. */
static bool pair_fits(struct tls_pair *pair)
{
    unsigned char of_cert[KEY_ID_SIZE];
    unsigned char of_key[KEY_ID_SIZE];
    size_t cert_size = sizeof(of_cert);
    size_t key_size = sizeof(of_key);
    gnutls_pubkey_t public_key = NULL;
    if (gnutls_pubkey_init(&public_key) != 0) {
        return false;
    }
    bool fits = gnutls_pubkey_import_privkey(public_key, pair->key, 0, 0) == 0 &&
                gnutls_pubkey_get_key_id(public_key, 0, of_key, &key_size) == 0 &&
                gnutls_pubkey_get_key_id(pair->chain[0].pubkey, 0, of_cert, &cert_size) == 0 &&
                cert_size == key_size && memcmp(of_cert, of_key, key_size) == 0;
    gnutls_pubkey_deinit(public_key);
    return fits;
}

static enum status pair_fill(const struct tls *tls, struct tls_pair *pair, struct problem *problem)
{
    CLEANUP(free_file) gnutls_datum_t cert = { NULL, 0 };
    CLEANUP(free_file) gnutls_datum_t key = { NULL, 0 };
    enum status status = read_file(tls->cert_file, &cert, problem);
    if (status == STATUS_OK) {
        status = read_file(tls->key_file, &key, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    unsigned chain_size = CHAIN_MAX;
    int error =
        gnutls_pcert_list_import_x509_raw(pair->chain, &chain_size, &cert, GNUTLS_X509_FMT_PEM, 0);
    if (error != 0) {
        return fail(problem, tls->cert_file, gnutls_strerror(error));
    }
    pair->chain_size = chain_size;
    error = gnutls_privkey_init(&pair->key);
    if (error == 0) {
        error = gnutls_privkey_import_x509_raw(pair->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (error != 0) {
        return fail(problem, tls->key_file, gnutls_strerror(error));
    }
    if (chain_size == 0 || !pair_fits(pair)) {
        return fail(problem, tls->key_file, "the key is not the certificate's");
    }
    return STATUS_OK;
}

enum status tls_reload(struct tls *tls, struct problem *problem)
{
    struct tls_pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for a certificate");
    }
    enum status status = pair_fill(tls, pair, problem);
    if (status != STATUS_OK) {
        pair_destroy(pair);
        return status;
    }
    pair->older = atomic_load(&tls->current);
    atomic_store(&tls->current, pair);
    return STATUS_OK;
}

enum status tls_create(const char *cert_file, const char *key_file, struct tls **out_tls,
                       struct problem *problem)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for certificates");
    }
    tls->cert_file = strdup(cert_file);
    tls->key_file = strdup(key_file);
    enum status status = STATUS_BROKEN;
    if (tls->cert_file != NULL && tls->key_file != NULL) {
        status = tls_reload(tls, problem);
    }
    if (status != STATUS_OK) {
        tls_destroy(tls);
        return status;
    }
    *out_tls = tls;
    return STATUS_OK;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    struct tls_pair *pair = atomic_load(&tls->current);
    while (pair != NULL) {
        struct tls_pair *older = pair->older;
        pair_destroy(pair);
        pair = older;
    }
    free(tls->cert_file);
    free(tls->key_file);
    free(tls);
}

/* NOLINTNEXTLINE(readability-function-size): gnutls's signature */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                    int authority_count, const gnutls_pk_algorithm_t *algorithms,
                    int algorithm_count, gnutls_pcert_st **chain, unsigned int *chain_size,
                    gnutls_privkey_t *key)
{
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    struct MHD_Connection *mhd = gnutls_session_get_ptr(session);
    struct connection *connection = mhd != NULL ? connection_of(mhd) : NULL;
    if (connection == NULL) {
        return -1;
    }
    struct tls_pair *pair = atomic_load(&connection->listener->server->tls->current);
    *chain = pair->chain;
    *chain_size = pair->chain_size;
    *key = pair->key;
    return 0;
}

void *tls_callback(void)
{
    /* ISO C has no cast from function to object pointer; libmicrohttpd's
     * variadic option wants one. */
    union {
        gnutls_certificate_retrieve_function2 *function;
        void *object;
    } pointer = { .function = &retrieve };
    return pointer.object;
}
