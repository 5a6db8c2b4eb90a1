#include "adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    adapter_try("woocommerce", "X-WC-Webhook-Topic", input);
    struct inbound inbound = { .body = input };
    (void)platform_find(STR("woocommerce"))->greet(NULL, NULL, &inbound, NULL);
    return 0;
}
