#ifndef SOURCES_ADOBE_PRIV_H
#define SOURCES_ADOBE_PRIV_H

/* What Commerce's two ways out share: the entities inside. */

#include "draft_priv.h"

extern const struct order_status_rule adobe_order_statuses[];
extern const char adobe_completed_when[]; /* shown by the source */

/* What an entity is, by the words of an event's name ("sales_order",
 * "customer_address"); NULL when it is none of ours. */
struct adobe_entity;
const struct adobe_entity *adobe_entity_of(struct str event_name);
/* By the member that holds it: {"customer":{...}}. */
const struct adobe_entity *adobe_entity_in(const json_t *root, const json_t **out_value);

/* Adds the entity's event to the draft (room for two). STATUS_INVALID when the
 * value is not one. */
NODISCARD enum status adobe_take(struct draft *draft, const struct adobe_entity *entity,
                                 const json_t *value, bool is_deleted, struct problem *problem);

#endif
