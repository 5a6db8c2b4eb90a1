#ifndef BASE_MD5_H
#define BASE_MD5_H

/*
 * MD5 (RFC 1321), because Mailchimp names its members by it. It guards nothing
 * here and must not: for anything that has to resist somebody use libsodium.
 */

#include "base/str.h"

enum {
    MD5_HEX_SIZE = 33
}; /* 32 lower-case digits and NUL */

void md5_hex(struct str bytes, char *text);

#endif
