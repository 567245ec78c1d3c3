/* The least an application does: open, track, flush, close.
 *
 *   minimal DIR TOKEN_FILE BUNDLE_FILE CODE
 *
 * The files are needed the first time. Without a network the event waits in
 * DIR, and the next run sends it. */
#include <sotto/sotto.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    struct sotto_options options = {.size = sizeof options,
                                    .dir = argc > 1 ? argv[1] : NULL,
                                    .token_file = argc > 2 ? argv[2] : NULL,
                                    .bundle_file = argc > 3 ? argv[3] : NULL,
                                    .bundle_code = argc > 4 ? argv[4] : NULL};
    struct sotto_property properties[] = {
        sotto_text("product_id", "85123A"),
        sotto_money("price", 2550000),
    };
    struct sotto_event viewed = {.size = sizeof viewed,
                                 .name = "Product Viewed",
                                 .properties = properties,
                                 .property_count = 2};
    struct sotto_why why;
    struct sotto *sotto;
    uint64_t left = 0;
    enum sotto_status tracked, flushed;

    if (sotto_open(&sotto, &options, &why)) {
        fprintf(stderr, "minimal: %s\n", why.text);
        return 2;
    }
    tracked = sotto_track(sotto, &viewed);
    flushed = sotto_flush(sotto, 2000);
    sotto_close(sotto, 0, &left);
    printf("tracked: %s; delivered: %s; left behind: %llu\n",
           sotto_strerror(tracked), sotto_strerror(flushed),
           (unsigned long long)left);
    return tracked ? 1 : 0;
}
