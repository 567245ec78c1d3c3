/* The reason of a listed item, in words. */
#include "agent/lists.h"

#include <stdio.h>

void answer_reason(const struct answer_item *item, const struct answer *a,
                   char *out, size_t size)
{
    switch (item->reason) {
    case REASON_BECAUSE:
        snprintf(out, size, "goes with %s",
                 *item->because_name ? item->because_name : item->because);
        break;
    case REASON_SEGMENT:
        snprintf(out, size, "popular among %s",
                 *a->segment ? a->segment : "people like you");
        break;
    default:
        snprintf(out, size, "popular in the shop");
        break;
    }
}
