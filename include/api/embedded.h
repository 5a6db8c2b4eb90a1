#ifndef API_EMBEDDED_H
#define API_EMBEDDED_H

/*
 * Files that travel inside the binary, made at build time from
 * openapi/shopbell.yaml and the scripts of src/api. Static.
 */

#include <stddef.h>

extern const unsigned char embedded_openapi[];
extern const size_t embedded_openapi_size;
extern const unsigned char embedded_docs[];
extern const size_t embedded_docs_size;
/* Scripts of shops' pages: the snippet, shrunk, and the Shopify pixel as a template. */
extern const unsigned char embedded_collect[];
extern const size_t embedded_collect_size;
extern const unsigned char embedded_pixel[];
extern const size_t embedded_pixel_size;

#endif
