#ifndef API_EMBEDDED_H
#define API_EMBEDDED_H

/*
 * Files that travel inside the binary, made at build time from
 * openapi/shopbell.yaml: the description itself and its pages. Static.
 */

#include <stddef.h>

extern const unsigned char embedded_openapi[];
extern const size_t embedded_openapi_size;
extern const unsigned char embedded_docs[];
extern const size_t embedded_docs_size;

#endif
