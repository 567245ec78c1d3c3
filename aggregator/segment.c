/* RFM over profiles. Recency counts whole days up to as_of_ms, which is fixed
 * with the cut points: a person who does nothing keeps his segment until the
 * next fit. Monetary is what stayed: spent minus returned. */
#include "aggregator/segment.h"

#include <stdlib.h>
#include <string.h>

#include "base/when.h"
#include "wire/pack.h"

#define SETTING "segments"
#define FORMAT 1
#define PROSPECTS "Prospects"
#define UNRANKED "Unranked"

static int64_t net(const struct profile *p)
{
    int64_t left;

    if (!__builtin_sub_overflow(p->spent, p->returned, &left))
        return left;
    return p->returned > 0 ? INT64_MIN : INT64_MAX;
}

static struct rfm_values values_of(const struct profile *p, int64_t as_of_ms)
{
    return (struct rfm_values){
        .recency = as_of_ms / DAY_MS - p->last_purchase_ms / DAY_MS,
        .frequency = p->orders > INT64_MAX ? INT64_MAX : (int64_t)p->orders,
        .monetary = net(p),
    };
}

enum sotto_err segments_fit(struct segments *s, const struct profiles *p,
                            int64_t as_of_ms)
{
    uint32_t count = profiles_count(p), buyers = 0;
    struct rfm_values *values;
    struct rfm_cuts cuts;
    struct profile one;
    enum sotto_err err = SOTTO_ENOTFOUND;

    values = calloc(count ? count : 1, sizeof(*values));
    if (!values)
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        profiles_get(p, i, &one);
        if (one.orders)
            values[buyers++] = values_of(&one, as_of_ms);
    }
    memset(&cuts, 0, sizeof(cuts));
    if (buyers)
        err = rfm_fit(&cuts, values, buyers);
    free(values);
    if (err)
        return err;
    s->version++;
    s->as_of_ms = as_of_ms;
    s->cuts = cuts;
    return SOTTO_OK;
}

const char *segment_of(const struct segments *s, const struct profile *p)
{
    struct rfm_values values;

    if (!p->orders)
        return PROSPECTS;
    if (!s->version)
        return UNRANKED;
    values = values_of(p, s->as_of_ms);
    return rfm_name(rfm_classify(rfm_score(&s->cuts, &values)));
}

/* The rhythm is the mean gap between orders, from the first event to the last
 * purchase; a month for those who bought once or never, a week at least. Twice
 * the rhythm without a sign is no longer usual, four times is gone. */
const char *lifecycle_of(const struct profile *p, int64_t as_of_ms)
{
    const int64_t week = 7 * DAY_MS, month = 30 * DAY_MS;
    int64_t age = as_of_ms - p->last_ms, rhythm = month;

    if (p->orders > 1 && p->last_purchase_ms > p->first_ms)
        rhythm = (p->last_purchase_ms - p->first_ms) / (int64_t)(p->orders - 1);
    if (rhythm < week)
        rhythm = week;
    if (age > 4 * rhythm)
        return "lapsed";
    if (age > 2 * rhythm)
        return "cooling";
    if (p->orders < 2 && as_of_ms - p->first_ms <= month)
        return "new";
    return "active";
}

/* In the order of the names, best first; others behind. */
static int by_rank(const void *a, const void *b)
{
    const struct segment_size *x = a, *y = b;
    int left = 0, right = 0;

    while (left < RFM_SEGMENT_COUNT &&
           strcmp(rfm_name((enum rfm_segment)left), x->name) != 0)
        left++;
    while (right < RFM_SEGMENT_COUNT &&
           strcmp(rfm_name((enum rfm_segment)right), y->name) != 0)
        right++;
    return left != right ? left - right : strcmp(x->name, y->name);
}

uint32_t segments_count(const struct segments *s, const struct profiles *p,
                        struct segment_size out[SEGMENTS_MAX])
{
    uint32_t count = profiles_count(p), n = 0, at;
    struct profile one;

    _Static_assert(RFM_SEGMENT_COUNT + 2 <= SEGMENTS_MAX,
                   "room for prospects and unranked");
    for (uint32_t i = 0; i < count; i++) {
        const char *name;

        profiles_get(p, i, &one);
        name = segment_of(s, &one);
        for (at = 0; at < n && strcmp(out[at].name, name) != 0; at++)
            ;
        if (at == n)
            out[n++] = (struct segment_size){name, 0, 0};
        out[at].people++;
        if (__builtin_add_overflow(out[at].spent, one.spent, &out[at].spent))
            out[at].spent = INT64_MAX;
    }
    qsort(out, n, sizeof *out, by_rank);
    return n;
}

/* --- saving ------------------------------------------------------------- */

static void pack_scale(struct packer *p, const struct rfm_scale *s)
{
    pack_array(p, s->count);
    for (uint32_t i = 0; i < s->count; i++)
        pack_int(p, s->cuts[i]);
}

enum sotto_err segments_save(const struct segments *s, struct store *store)
{
    struct packer p;
    struct buf out;

    buf_init(&out, 1024);
    pack_init(&p, &out);
    pack_array(&p, 6);
    pack_uint(&p, FORMAT);
    pack_uint(&p, s->version);
    pack_int(&p, s->as_of_ms);
    pack_scale(&p, &s->cuts.recency);
    pack_scale(&p, &s->cuts.frequency);
    pack_scale(&p, &s->cuts.monetary);
    if (!p.err)
        p.err = store_put(store, SETTING, span_of(out.data, out.size));
    buf_fini(&out);
    return p.err;
}

static enum sotto_err get_scale(const msgpack_object *o, struct rfm_scale *s)
{
    const msgpack_object *items;
    enum sotto_err err = get_array(o, 0, RFM_LEVELS - 1, &items, &s->count);

    for (uint32_t i = 0; !err && i < s->count; i++)
        err = get_int(&items[i], &s->cuts[i]);
    return err;
}

static enum sotto_err segments_decode(struct segments *s,
                                      const msgpack_object *o)
{
    const msgpack_object *items;
    uint32_t count;
    uint64_t format = 0;
    enum sotto_err err = get_array(o, 6, 6, &items, &count);

    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &format);
    if (!err && format != FORMAT)
        err = SOTTO_EVERSION;
    if (!err)
        err = get_uint(&items[1], UINT64_MAX, &s->version);
    if (!err)
        err = get_int(&items[2], &s->as_of_ms);
    if (!err)
        err = get_scale(&items[3], &s->cuts.recency);
    if (!err)
        err = get_scale(&items[4], &s->cuts.frequency);
    if (!err)
        err = get_scale(&items[5], &s->cuts.monetary);
    return err;
}

enum sotto_err segments_load(struct segments *s, struct store *store)
{
    const struct check_limits limits = {1024, 3, 64};
    struct segments fresh;
    struct unpacked u;
    struct buf in;
    enum sotto_err err;

    memset(&fresh, 0, sizeof(fresh));
    buf_init(&in, 1024 + 1);
    err = store_get(store, SETTING, &in);
    if (!err)
        err = unpack_open(&u, span_of(in.data, in.size), &limits);
    if (!err) {
        err = segments_decode(&fresh, &u.root);
        unpack_close(&u);
    }
    buf_fini(&in);
    if (!err)
        *s = fresh;
    return err;
}
