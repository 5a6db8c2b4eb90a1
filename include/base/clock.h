#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/*
 * The wall clock (for facts) and the monotonic clock (for deadlines). Core
 * never calls these: it is told what time it is.
 */

#include <stdint.h>

int64_t clock_now_ms(void);       /* milliseconds UTC since 1970 */
int64_t clock_monotonic_ms(void); /* never jumps; origin arbitrary */
int64_t clock_monotonic_us(void);

#endif
