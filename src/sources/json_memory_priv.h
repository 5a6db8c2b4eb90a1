#ifndef SOURCES_JSON_MEMORY_PRIV_H
#define SOURCES_JSON_MEMORY_PRIV_H

#include <stddef.h>

#include <jansson.h>

/* json_loadb, with the tree where json_memory.c keeps them. */
json_t *border_load(const char *bytes, size_t size, size_t flags, json_error_t *error);

#endif
