#include "core/event/universal.h"

#include "core/event/event.h"

/*
 * Which facts of the world there are. The catalogue alone says that something is
 * back in stock: whoever could post that, too, would ring for what cannot be
 * bought, and twice for what can.
 */

static const char *const names[] = {
    "product.back_in_stock", "product.out_of_stock", "product.price_dropped",
    "product.price_raised",  "weather.changed",
};

#define OWN_PREFIX "universal."

const char *universal_type_name(size_t index)
{
    return index < ARRAY_COUNT(names) ? names[index] : NULL;
}

static bool is_own(struct str type)
{
    struct str prefix = STR(OWN_PREFIX);
    return str_starts_with(type, prefix) && event_own_name_is_valid(str_drop(type, prefix.size));
}

bool universal_type_is_known(struct str type)
{
    bool known = is_own(type);
    for (size_t i = 0; i < ARRAY_COUNT(names) && !known; i++) {
        known = str_equal_z(type, names[i]);
    }
    return known;
}

bool universal_type_is_posted(struct str type)
{
    return is_own(type) || str_equal(type, STR("weather.changed"));
}

struct id universal_posted_id(struct id source_id, struct str posted_id)
{
    struct id_hash hash;
    id_hash_begin(&hash, "universal");
    id_hash_add_id(&hash, source_id);
    id_hash_add(&hash, posted_id);
    return id_hash_end(&hash);
}
