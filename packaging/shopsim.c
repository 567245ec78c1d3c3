/* sotto-shopsim: a made-up shop, for demonstrations and tests. Writes what its
 * site, its app and its kiosk would send, in Segment form, one call a line.
 *
 * People have latent tastes: one to three of twelve interests, and in each the
 * two ranges (groups of six items) they like. Items have Zipf popularity
 * (Zipf, 1949) that has nothing to do with their range, so what somebody looked
 * at says more about the next item than what everybody likes. What one buys is
 * often followed by its neighbour of the range; some items are used up and
 * bought again, and some appear only during the time that is simulated.
 *
 * The same options give the same bytes: one generator (xorshift64*, Vigna,
 * 2016, doi:10.1145/2845077) in a fixed order, and no libm. Nothing is later
 * than --until. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/when.h"

#define INTERESTS 12
#define RANGE_ITEMS 6
#define RANGES_LIKED 2
#define TASTES_MAX 3
#define BOUGHT_MAX 32
#define CART_MAX 6
#define MINUTE_MS INT64_C(60000)

static const struct interest {
    const char *category;
    const char *ranges[8];
    const char *nouns[RANGE_ITEMS];
    int64_t cents; /* what an item costs on average */
    bool used_up;  /* bought again */
} interests[INTERESTS] = {
    {"Running",
     {"Trail", "Road", "Track", "Sprint", "Ultra", "Tempo", "Marathon", "City"},
     {"Runner", "Sock", "Shorts", "Bottle", "Vest", "Headband"},
     6900,
     false},
    {"Coffee & Tea",
     {"House", "Highland", "Morning", "Harbour", "Velvet", "Smoky", "Garden",
      "Night"},
     {"Blend", "Filter", "Beans", "Leaves", "Capsules", "Syrup"},
     1190,
     true},
    {"Garden",
     {"Terrace", "Meadow", "Orchard", "Balcony", "Cottage", "Rose", "Herb",
      "Shade"},
     {"Trowel", "Planter", "Seeds", "Gloves", "Shears", "Compost"},
     1790,
     false},
    {"Kitchen",
     {"Copper", "Bistro", "Nordic", "Rustic", "Chef", "Slate", "Cast", "Linen"},
     {"Pan", "Knife", "Board", "Bowl", "Apron", "Whisk"},
     3490,
     false},
    {"Skin Care",
     {"Aloe", "Oat", "Sea", "Almond", "Clay", "Rosehip", "Honey", "Cedar"},
     {"Cream", "Wash", "Serum", "Balm", "Mask", "Soap"},
     1490,
     true},
    {"Books",
     {"Island", "Winter", "Clockwork", "Silent", "Crimson", "Paper", "Northern",
      "Glass"},
     {"Mystery", "Atlas", "Stories", "Letters", "Reader", "Almanac"},
     1690,
     false},
    {"Pets",
     {"Puppy", "Kitten", "Farm", "River", "Senior", "Forest", "Tiny", "Hearty"},
     {"Kibble", "Treats", "Litter", "Toy", "Collar", "Bed"},
     1990,
     true},
    {"Camping",
     {"Alpine", "Lakeside", "Desert", "Coast", "Basecamp", "Nomad", "Polar",
      "Ridge"},
     {"Tent", "Stove", "Lantern", "Mat", "Mug", "Rope"},
     7900,
     false},
    {"Toys",
     {"Dragon", "Space", "Jungle", "Castle", "Ocean", "Robot", "Fairy",
      "Circus"},
     {"Puzzle", "Blocks", "Figure", "Game", "Kite", "Cards"},
     2290,
     false},
    {"Office",
     {"Studio", "Classic", "Slim", "Eco", "Bold", "Pastel", "Ledger", "Travel"},
     {"Notebook", "Pen", "Folder", "Lamp", "Stapler", "Paper"},
     1290,
     false},
    {"Cycling",
     {"Gravel", "Aero", "Commuter", "Enduro", "Vintage", "Touring", "Velo",
      "Summit"},
     {"Helmet", "Tube", "Saddle", "Light", "Pump", "Jersey"},
     4990,
     false},
    {"Baby",
     {"Cuddle", "Dream", "Bunny", "Cloud", "Honeybee", "Little", "Star",
      "Soft"},
     {"Nappies", "Wipes", "Blanket", "Bib", "Rattle", "Cup"},
     1590,
     true},
};

static const char *const channels[] = {"site", "app", "kiosk"};
#define CHANNELS ((int)(sizeof channels / sizeof *channels))

enum what { LISTED, VIEWED, ADDED, ORDERED, REFUNDED, WHAT_COUNT };
static const char *const event_names[WHAT_COUNT] = {
    "Product List Viewed", "Product Viewed", "Product Added", "Order Completed",
    "Order Refunded"};

/* What a shop sends by mistake, now and then. */
enum mistake { GOOD, NO_ITEM, BAD_TIME, BAD_NAME, CUT_LINE, MISTAKE_COUNT };
enum consent { CONSENT_GIVEN, CONSENT_REFUSED, CONSENT_UNKNOWN };

struct item {
    int interest;
    int64_t cents;
    int64_t from_ms; /* not in the shop before */
    double weight;   /* popularity in its interest */
    bool used_up;
};

struct person {
    bool known; /* logs in */
    int tastes[TASTES_MAX], taste_count;
    int ranges[TASTES_MAX][RANGES_LIKED];
    int channel, other_channel;
    enum consent consent;
    int64_t from_ms, to_ms; /* customer between these */
    int visits;
    int bought[BOUGHT_MAX]; /* item + 1; a ring */
    int bought_count;
};

struct record {
    int64_t time_ms;
    uint32_t serial; /* order of making, where times are equal */
    uint32_t person, item, order;
    uint8_t what, channel, consent, quantity, mistake;
};

struct shop {
    uint64_t random;
    int64_t until_ms, days, people, item_count;
    struct item *items;
    struct record *records;
    size_t count, capacity;
    uint32_t orders, strangers;
};

static uint64_t draw(struct shop *s)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * UINT64_C(2685821657736338717);
}

static int64_t below(struct shop *s, int64_t n)
{
    return (int64_t)(draw(s) % (uint64_t)n);
}

static bool chance(struct shop *s, int percent)
{
    return below(s, 100) < percent;
}

static void *reserve(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    if (!p) {
        fprintf(stderr, "sotto-shopsim: no memory\n");
        exit(EXIT_USAGE);
    }
    return p;
}

/* Item i of interest i % INTERESTS stands in range i / INTERESTS / 6 of it. */
static int range_count(const struct shop *s)
{
    int each = (int)(s->item_count / INTERESTS);

    return (each + RANGE_ITEMS - 1) / RANGE_ITEMS;
}

static int range_item(const struct shop *s, int interest, int range, int place)
{
    int64_t item =
        ((int64_t)range * RANGE_ITEMS + place) * INTERESTS + interest;

    return (int)(item < s->item_count ? item : interest);
}

static int range_of(int item)
{
    return item / INTERESTS / RANGE_ITEMS;
}

/* The item that goes with it: the next of its range. */
static int companion(struct shop *s, int item)
{
    int place = item / INTERESTS % RANGE_ITEMS;
    int step = chance(s, 65) ? 1 : 1 + (int)below(s, RANGE_ITEMS - 1);

    return range_item(s, item % INTERESTS, range_of(item),
                      (place + step) % RANGE_ITEMS);
}

static void items_make(struct shop *s)
{
    int64_t each = s->item_count / INTERESTS;

    s->items = reserve((size_t)s->item_count, sizeof *s->items);
    for (int64_t i = 0; i < s->item_count; i++) {
        struct item *it = &s->items[i];
        const struct interest *in = &interests[i % INTERESTS];

        it->interest = (int)(i % INTERESTS);
        it->cents = in->cents * (40 + below(s, 140)) / 100 / 10 * 10;
        it->weight = 1.0 / (double)(1 + below(s, each + 1));
        it->used_up = in->used_up;
        it->from_ms = INT64_MIN;
        if (chance(s, 10))
            it->from_ms = s->until_ms - below(s, s->days * DAY_MS);
    }
}

/* One of the items interest, interest + 12, …, by popularity. */
static int popular_item(struct shop *s, int interest)
{
    double sum = 0, at;

    for (int64_t i = interest; i < s->item_count; i += INTERESTS)
        sum += s->items[i].weight;
    at = sum * (double)(draw(s) >> 11) / (double)(UINT64_C(1) << 53);
    for (int64_t i = interest; i < s->item_count; i += INTERESTS) {
        at -= s->items[i].weight;
        if (at < 0)
            return (int)i;
    }
    return interest;
}

static int channel_draw(struct shop *s)
{
    int64_t at = below(s, 100);

    return at < 58 ? 0 : at < 88 ? 1 : 2;
}

static void person_make(struct shop *s, struct person *p, bool known)
{
    int64_t span_ms = s->days * DAY_MS;

    memset(p, 0, sizeof *p);
    p->known = known;
    p->taste_count = 1 + (int)below(s, TASTES_MAX);
    for (int t = 0; t < p->taste_count; t++) {
        p->tastes[t] = (int)below(s, INTERESTS);
        for (int r = 0; r < RANGES_LIKED; r++)
            p->ranges[t][r] = (int)below(s, range_count(s));
    }
    p->channel = p->other_channel = channel_draw(s);
    if (chance(s, 25))
        p->other_channel = channel_draw(s);
    p->consent = chance(s, 8) ? CONSENT_REFUSED : CONSENT_GIVEN;
    p->from_ms = s->until_ms - span_ms;
    p->to_ms = s->until_ms;
    if (chance(s, 30))
        p->from_ms += below(s, span_ms);
    else if (chance(s, 20)) /* left */
        p->to_ms -= below(s, span_ms * 3 / 4);
    /* Two draws multiplied: most come a few times, some very often. */
    p->visits = 1 + (int)(below(s, 6) * below(s, 7));
    p->visits = 1 + (int)((p->visits * (p->to_ms - p->from_ms) / DAY_MS) / 180);
}

static bool owns(const struct person *p, int item)
{
    for (int i = 0; i < p->bought_count && i < BOUGHT_MAX; i++)
        if (p->bought[i] == item + 1)
            return true;
    return false;
}

/* What to look at next; last: the item before, or -1. */
static int next_item(struct shop *s, const struct person *p, int taste,
                     int last, int64_t now_ms)
{
    for (int tries = 0; tries < 8; tries++) {
        int64_t at = below(s, 100);
        int interest = p->tastes[taste], item;

        if (last >= 0 && at < 45)
            item = companion(s, last);
        else if (at < 78)
            item = range_item(s, interest,
                              p->ranges[taste][below(s, RANGES_LIKED)],
                              (int)below(s, RANGE_ITEMS));
        else if (at < 94)
            item = popular_item(s, interest);
        else
            item = popular_item(s, (int)below(s, INTERESTS));
        if (s->items[item].from_ms <= now_ms &&
            (s->items[item].used_up || !owns(p, item)))
            return item;
    }
    return p->tastes[taste];
}

static void record_add(struct shop *s, const struct record *r)
{
    struct record *records = s->records;

    if (r->time_ms > s->until_ms)
        return;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 65536;

        records = reserve(capacity, sizeof *records);
        if (s->count)
            memcpy(records, s->records, s->count * sizeof *records);
        free(s->records);
        s->records = records;
        s->capacity = capacity;
    }
    records[s->count] = *r;
    records[s->count].serial = (uint32_t)s->count;
    s->count++;
    if (r->mistake == GOOD && r->what != LISTED && below(s, 400) == 0) {
        struct record wrong = *r;

        wrong.mistake = (uint8_t)(1 + below(s, MISTAKE_COUNT - 1));
        record_add(s, &wrong);
    }
}

struct visit {
    struct person *person;
    struct record next; /* what the next record begins as */
    int cart[CART_MAX];
    int cart_count;
};

static void visit_step(struct shop *s, struct visit *v, enum what what,
                       int item)
{
    v->next.what = (uint8_t)what;
    v->next.item = (uint32_t)item;
    v->next.quantity = 1;
    if (what >= ADDED && s->items[item].used_up)
        v->next.quantity = (uint8_t)(1 + below(s, 3));
    record_add(s, &v->next);
}

static void visit_wait(struct shop *s, struct visit *v)
{
    v->next.time_ms += 4000 + below(s, 2 * MINUTE_MS);
}

static void cart_add(struct shop *s, struct visit *v, int item)
{
    for (int i = 0; i < v->cart_count; i++)
        if (v->cart[i] == item)
            return;
    if (v->cart_count == CART_MAX)
        return;
    v->cart[v->cart_count++] = item;
    visit_step(s, v, ADDED, item);
    visit_wait(s, v);
}

/* One line an item; now and then something comes back days later. */
static void cart_order(struct shop *s, struct visit *v)
{
    struct person *p = v->person;
    int64_t now_ms = v->next.time_ms;

    v->next.order = ++s->orders;
    for (int i = 0; i < v->cart_count; i++) {
        visit_step(s, v, ORDERED, v->cart[i]);
        p->bought[p->bought_count++ % BOUGHT_MAX] = v->cart[i] + 1;
        if (chance(s, 3)) {
            v->next.time_ms += (2 + below(s, 11)) * DAY_MS;
            visit_step(s, v, REFUNDED, v->cart[i]);
            v->next.time_ms = now_ms;
        }
    }
    v->next.order = 0;
}

static void again_add(struct shop *s, struct visit *v)
{
    const struct person *p = v->person;
    int kept = p->bought_count < BOUGHT_MAX ? p->bought_count : BOUGHT_MAX;
    int item = kept ? p->bought[below(s, kept)] - 1 : -1;

    if (item < 0 || !s->items[item].used_up)
        return;
    visit_step(s, v, VIEWED, item);
    visit_wait(s, v);
    cart_add(s, v, item);
}

static void visit_make(struct shop *s, struct visit *v)
{
    const struct person *p = v->person;
    int taste = (int)below(s, p->taste_count);
    int64_t views = 1 + below(s, 5) + below(s, 4);
    int last = -1;

    if (chance(s, 50)) {
        visit_step(s, v, LISTED, p->tastes[taste]);
        visit_wait(s, v);
    }
    if (chance(s, 35))
        again_add(s, v);
    for (int64_t i = 0; i < views; i++) {
        last = next_item(s, p, taste, last, v->next.time_ms);
        visit_step(s, v, VIEWED, last);
        visit_wait(s, v);
        if (chance(s, 18)) {
            cart_add(s, v, last);
            if (chance(s, 45))
                cart_add(s, v, companion(s, last));
        }
    }
    if (v->cart_count && chance(s, 62))
        cart_order(s, v);
}

/* More in the evening, and at the weekend (the epoch was a Thursday). */
static int64_t visit_time(struct shop *s, const struct person *p)
{
    int64_t span_ms = p->to_ms - p->from_ms;
    int64_t day, hour_ms;

    do
        day = (p->from_ms + below(s, span_ms + 1)) / DAY_MS;
    while ((day + 4) % 7 >= 1 && (day + 4) % 7 <= 5 && chance(s, 30));
    hour_ms =
        (7 * DAY_MS / 24) +
        (below(s, DAY_MS) + below(s, DAY_MS) + below(s, DAY_MS)) * 17 / 24 / 3;
    return day * DAY_MS + hour_ms;
}

static int times_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void person_live(struct shop *s, struct person *p, uint32_t number)
{
    int64_t *times = reserve((size_t)p->visits, sizeof *times);

    for (int i = 0; i < p->visits; i++)
        times[i] = visit_time(s, p);
    qsort(times, (size_t)p->visits, sizeof *times, times_order);
    for (int i = 0; i < p->visits; i++) {
        struct visit v = {.person = p};

        v.next.time_ms = times[i];
        v.next.person = number;
        v.next.channel =
            (uint8_t)(chance(s, 60) ? p->channel : p->other_channel);
        v.next.consent = (uint8_t)(chance(s, 3) ? CONSENT_UNKNOWN : p->consent);
        visit_make(s, &v);
    }
    free(times);
}

static void shop_live(struct shop *s)
{
    struct person p;

    items_make(s);
    for (int64_t i = 1; i <= s->people; i++) {
        person_make(s, &p, true);
        person_live(s, &p, (uint32_t)i);
        cli_progress("simulating", (uint64_t)i, (uint64_t)s->people);
    }
    cli_progress_end();
    for (int64_t i = 0; i < s->people * 3 / 2; i++) { /* strangers: one visit */
        person_make(s, &p, false);
        p.visits = 1;
        person_live(s, &p, 0);
    }
}

static int record_order(const void *a, const void *b)
{
    const struct record *x = a, *y = b;

    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->serial < y->serial ? -1 : 1;
}

static void write_item(FILE *f, const struct shop *s, const struct record *r)
{
    const struct item *it = &s->items[r->item];
    const struct interest *in = &interests[it->interest];
    int within = (int)r->item / INTERESTS;

    if (r->mistake != NO_ITEM)
        fprintf(f, "\"product_id\":\"sku-%04" PRIu32 "\",", r->item + 1);
    if (r->what != REFUNDED)
        fprintf(f, "\"name\":\"%s %s %d\",\"category\":\"%s\",",
                in->ranges[range_of((int)r->item) % 8],
                in->nouns[within % RANGE_ITEMS], within + 1, in->category);
    fprintf(f, "\"price\":%" PRId64 ".%02" PRId64, it->cents / 100,
            it->cents % 100);
    if (r->what >= ADDED)
        fprintf(f, ",\"quantity\":%u", r->quantity);
    if (r->what >= ORDERED)
        fprintf(f, ",\"order_id\":\"order-%06" PRIu32 "\"", r->order);
}

static void write_properties(FILE *f, const struct shop *s,
                             const struct record *r)
{
    const char *category = interests[r->item % INTERESTS].category;

    fputs(",\"properties\":{", f);
    if (r->what == LISTED)
        fprintf(f, "\"list_id\":\"shelf-%02" PRIu32 "\",\"category\":\"%s\"",
                r->item % INTERESTS + 1, category);
    else
        write_item(f, s, r);
    fputs("}", f);
}

static void write_context(FILE *f, const struct record *r)
{
    static const char *const preferences[] = {
        [CONSENT_GIVEN] = ",\"consent\":{\"categoryPreferences\":"
                          "{\"measure\":true,\"personalise\":true}}",
        [CONSENT_REFUSED] = ",\"consent\":{\"categoryPreferences\":"
                            "{\"measure\":true,\"personalise\":false}}",
        [CONSENT_UNKNOWN] = ""};

    fprintf(f, ",\"context\":{\"ip\":\"203.0.113.%u\"%s}",
            (unsigned)(r->person % 254 + 1), preferences[r->consent]);
}

static void write_record(FILE *f, const struct shop *s, const struct record *r)
{
    char when[32];

    if (r->mistake == CUT_LINE) {
        fputs("{\"type\":\"track\",\"event\":\"Product Vie\n", f);
        return;
    }
    when_format(when, r->time_ms);
    fprintf(f, "{\"type\":\"track\",\"event\":\"%s\",\"timestamp\":\"%s\",",
            r->mistake == BAD_NAME ? "Prodcut Viewed" : event_names[r->what],
            r->mistake == BAD_TIME ? "yesterday" : when);
    if (r->person)
        fprintf(f, "\"userId\":\"customer-%05" PRIu32 "@shop.example\"",
                r->person);
    else
        fprintf(f, "\"anonymousId\":\"visitor-%08" PRIu32 "\"", r->serial);
    write_properties(f, s, r);
    write_context(f, r);
    fputs("}\n", f);
}

static bool channel_write(const struct shop *s, const char *dir, int channel)
{
    char path[512];
    uint64_t count = 0;
    bool good = true;
    FILE *f;

    if (snprintf(path, sizeof path, "%s/%s.ndjson", dir, channels[channel]) >=
        (int)sizeof path)
        return false;
    f = fopen(path, "we");
    if (!f)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (s->records[i].channel == channel) {
            write_record(f, s, &s->records[i]);
            count++;
        }
    good = !ferror(f);
    if (fclose(f) != 0)
        good = false;
    if (good)
        printf("%s: %" PRIu64 " lines\n", path, count);
    return good;
}

int main(int argc, char **argv)
{
    struct shop s = {.days = 180, .people = 1200, .item_count = 600};
    const char *dir = NULL;
    int64_t seed = 1;
    struct option_row options[] = {
        {"out", 'o', OPTION_TEXT, &dir, "DIR", "where the files go", 0, 0,
         true},
        {"seed", 's', OPTION_COUNT, &seed, "N", "another shop", 0, INT32_MAX,
         false},
        {"people", 'p', OPTION_COUNT, &s.people, "N", "who log in", 1, 99999,
         false},
        {"days", 'd', OPTION_COUNT, &s.days, "N", "how far back", 1, 3650,
         false},
        {"items", 'i', OPTION_COUNT, &s.item_count, "N", "in the shop",
         INTERESTS * RANGE_ITEMS, 9999, false},
        {"until", 'u', OPTION_TIME, &s.until_ms, "TIME", "end of it; now", 0, 0,
         false},
        {0},
    };
    const char *positional[CLI_ARGS_MAX];

    s.until_ms = clock_wall_ms(&clock_system);
    cli_parse("sotto-shopsim",
              "Writes the events of a made-up shop: site.ndjson, app.ndjson, "
              "kiosk.ndjson.",
              NULL, options, argc, argv, positional);
    s.random = ((uint64_t)seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    (void)mkdir(dir, 0777); /* may be there; fopen tells */
    shop_live(&s);
    qsort(s.records, s.count, sizeof *s.records, record_order);
    for (int i = 0; i < CHANNELS; i++)
        if (!channel_write(&s, dir, i)) {
            fprintf(stderr,
                    "sotto-shopsim: %s: cannot be written; --out names a "
                    "directory with room\n",
                    dir);
            return EXIT_USAGE;
        }
    free(s.records);
    free(s.items);
    return EXIT_GOOD;
}
