/* A kiosk in a shop: one visitor comes, agrees to be recommended to, looks at
 * a few things, buys one, is shown a list, and leaves.
 *
 *   shop DIR TOKEN_FILE BUNDLE_FILE CODE [VISITOR]
 *
 * Works with the policy in packaging/conf/shop.policy.yaml. Exit code 0: every
 * event was accepted, and delivered or kept for later; 1: one was not; 2: the
 * library did not open. */
#include <sotto/sotto.h>

#include <stdio.h>

#define LIST_SIZE 5
#define CLOSE_MS 3000

struct product {
    const char *id, *name, *category;
    int64_t price; /* millionths */
};

static const struct product products[] = {
    {"85123A", "WHITE HANGING HEART T-LIGHT HOLDER", "Lights", 2550000},
    {"22423", "REGENCY CAKESTAND 3 TIER", "Kitchen", 12750000},
    {"47566", "PARTY BUNTING", "Party", 4950000},
};

/* Says what was refused, and whether anything was. */
static int check(enum sotto_status status, const char *what)
{
    if (status)
        fprintf(stderr, "shop: %s: %s\n", what, sotto_strerror(status));
    return status ? 1 : 0;
}

static int view(struct sotto *s, const struct product *p)
{
    struct sotto_property properties[] = {
        sotto_text("product_id", p->id),
        sotto_text("name", p->name),
        sotto_text("category", p->category),
        sotto_money("price", p->price),
    };
    struct sotto_event e = {.size = sizeof e,
                            .name = "Product Viewed",
                            .properties = properties,
                            .property_count = 4};

    return check(sotto_track(s, &e), "view");
}

/* A purchase waits until it is safe from a power cut. */
static int buy(struct sotto *s, const struct product *p, const char *order)
{
    struct sotto_property properties[] = {
        sotto_text("order_id", order),  sotto_text("product_id", p->id),
        sotto_text("name", p->name),    sotto_text("category", p->category),
        sotto_money("price", p->price), sotto_int("quantity", 2),
    };
    struct sotto_event e = {.size = sizeof e,
                            .name = "Order Completed",
                            .properties = properties,
                            .property_count = 6};

    return check(sotto_track_sync(s, &e, 5000, NULL), "purchase");
}

static void show_list(struct sotto *s)
{
    struct sotto_item items[LIST_SIZE];
    struct sotto_list list = {.size = sizeof list};
    enum sotto_status status =
        sotto_lists(s, SOTTO_FOR_YOU, items, LIST_SIZE, &list);

    if (status == SOTTO_ENOTFOUND)
        printf("no list has arrived yet\n");
    else
        check(status, "list");
    for (size_t i = 0; i < list.count; i++)
        printf("%zu. %s (%s): %s\n", i + 1,
               *items[i].name ? items[i].name : items[i].item, items[i].item,
               items[i].reason);
}

static int visit(struct sotto *s, const char *visitor)
{
    int failures = check(sotto_session_begin(s), "session") +
                   check(sotto_consent(s, "personalise", true), "consent") +
                   check(sotto_identify(s, visitor), "identify");

    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++)
        failures += view(s, &products[i]);
    failures += buy(s, &products[1], "order-1");
    show_list(s);
    return failures + check(sotto_session_end(s), "session");
}

static void show_counts(struct sotto *s)
{
    struct sotto_counts c = {.size = sizeof c};

    if (check(sotto_stats(s, &c), "stats"))
        return;
    printf("produced %llu, accepted %llu, dropped %llu, acknowledged %llu\n",
           (unsigned long long)c.produced, (unsigned long long)c.accepted,
           (unsigned long long)c.dropped, (unsigned long long)c.acknowledged);
    for (int i = 1; i <= SOTTO_DROP_CLOSED; i++)
        if (c.dropped_by[i])
            printf("  dropped %llu: %s\n", (unsigned long long)c.dropped_by[i],
                   sotto_drop_text((enum sotto_drop)i));
}

int main(int argc, char **argv)
{
    struct sotto_options options = {.size = sizeof options,
                                    .dir = argc > 1 ? argv[1] : NULL,
                                    .token_file = argc > 2 ? argv[2] : NULL,
                                    .bundle_file = argc > 3 ? argv[3] : NULL,
                                    .bundle_code = argc > 4 ? argv[4] : NULL};
    struct sotto_why why;
    struct sotto *s;
    uint64_t left = 0;
    int failures;

    if (sotto_open(&s, &options, &why)) {
        fprintf(stderr, "shop: %s\n", why.text);
        return 2;
    }
    failures = visit(s, argc > 5 ? argv[5] : "visitor-17");
    sotto_flush(s, CLOSE_MS); /* what it did not reach, close counts */
    show_counts(s);
    sotto_close(s, 0, &left);
    printf("left behind for the next run: %llu events\n",
           (unsigned long long)left);
    return failures ? 1 : 0;
}
