#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/*
 * Functions that have no safe use here: unbounded, racy, or dependent on the
 * locale. Naming one is a compile error in any file that includes base/str.h,
 * which is all of them; tests/lint/banned checks the rest by text.
 *
 * The headers that declare them come first, and macros of these names go: a
 * poisoned name may not even be declared again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef alloca
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof
#pragma GCC poison gmtime localtime rand srand gets alloca

#endif
