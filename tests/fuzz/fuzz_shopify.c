#include "adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    adapter_try("shopify", "X-Shopify-Topic", (struct str){ (const char *)data, size });
    return 0;
}
