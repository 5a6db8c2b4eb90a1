#include "deliver/key_vault.h"

#include <assert.h>
#include <stdlib.h>

#include <sodium.h>

#include "deliver/sender.h"

/*
 * Keys lie in locked memory with a wall before and behind, and are wiped when they
 * are not needed any more. libsodium builds those walls of whole pages: 8 KiB and
 * four mappings for each piece. Measured, a piece for each of 10,000 endpoints
 * takes 80 MiB and 40,000 of the 65,530 mappings that Linux allows.
 *
 * So one piece holds many keys. Invariant: a place is in the list of free ones or
 * somebody's, never both, and a free one is wiped. Pieces are kept until the end:
 * endpoints that were many will be again.
 */

enum {
    PIECE_SECRETS = 800, /* 63 KiB */
};

union place {
    struct endpoint_secret secret;
    union place *next_free;
};

struct piece {
    struct piece *next;
    union place *places; /* PIECE_SECRETS of them, in sodium_malloc memory */
};

struct key_vault {
    struct piece *pieces;
    union place *free;
    size_t taken;
};

struct key_vault *key_vault_create(void)
{
    return calloc(1, sizeof(struct key_vault));
}

void key_vault_destroy(struct key_vault *vault)
{
    if (vault == NULL) {
        return;
    }
    assert(vault->taken == 0);
    while (vault->pieces != NULL) {
        struct piece *piece = vault->pieces;
        vault->pieces = piece->next;
        sodium_free(piece->places);
        free(piece);
    }
    free(vault);
}

static bool add_piece(struct key_vault *vault)
{
    struct piece *piece = calloc(1, sizeof(*piece));
    if (piece == NULL) {
        return false;
    }
    piece->places = sodium_allocarray(PIECE_SECRETS, sizeof(*piece->places));
    if (piece->places == NULL) {
        free(piece);
        return false;
    }
    for (size_t i = 0; i < PIECE_SECRETS; i++) {
        piece->places[i].next_free = vault->free;
        vault->free = &piece->places[i];
    }
    piece->next = vault->pieces;
    vault->pieces = piece;
    return true;
}

struct endpoint_secret *key_vault_take(struct key_vault *vault)
{
    if (vault->free == NULL && !add_piece(vault)) {
        return NULL;
    }
    union place *place = vault->free;
    vault->free = place->next_free;
    vault->taken++;
    return &place->secret;
}

void key_vault_give_back(struct key_vault *vault, struct endpoint_secret *secret)
{
    if (secret == NULL) {
        return;
    }
    assert(vault->taken > 0);
    union place *place = (union place *)(void *)secret;
    sodium_memzero(place, sizeof(*place));
    place->next_free = vault->free;
    vault->free = place;
    vault->taken--;
}
