#ifndef SCHEMA_FORMAT_PRIV_H
#define SCHEMA_FORMAT_PRIV_H

/*
 * The formats that a schema may ask for: bytes in, yes or no. Pure; the shim's C++
 * includes this, so nothing of ours is named here.
 */

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL, or what is wrong with the text. Other formats than date, time and
 * date-time are right whatever the text. */
const char *format_fault(const char *format, const char *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
