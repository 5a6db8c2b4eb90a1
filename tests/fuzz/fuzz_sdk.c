#include "adapter.h"
#include "sources/sdk.h"

/* The first line is the route's word, the rest the body of a page's request. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    adapter_try("sdk", SDK_HEADER_KIND, (struct str){ (const char *)data, size });
    return 0;
}
