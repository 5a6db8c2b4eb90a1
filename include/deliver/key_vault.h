#ifndef DELIVER_KEY_VAULT_H
#define DELIVER_KEY_VAULT_H

/*
 * Guarded memory for the signing keys of many endpoints. One thread.
 */

struct endpoint_secret;
struct key_vault;

/* NULL when the system has no memory. */
struct key_vault *key_vault_create(void);
/* All places were given back; NULL is fine. */
void key_vault_destroy(struct key_vault *vault);

/* A place for one key, its content undefined; NULL when the system has no memory. */
struct endpoint_secret *key_vault_take(struct key_vault *vault);
/* Wipes it. NULL is fine. */
void key_vault_give_back(struct key_vault *vault, struct endpoint_secret *secret);

#endif
