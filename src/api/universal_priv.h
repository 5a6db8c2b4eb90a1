#ifndef API_UNIVERSAL_PRIV_H
#define API_UNIVERSAL_PRIV_H

/*
 * The selector of a universal event: whom it concerns.
 */

#include "api/document.h"

/* The member "selector" as checked JSON with every kind of member in it that was
 * named. At least one names somebody. */
struct str universal_read_selector(struct document *document);

#endif
