/* Filling a batch, and writing its body.
 *
 * An added event is a record of fixed size, a link to the next event of its
 * type, and one cell per present value: a number into a dictionary for text
 * and ids, the index of the edge for a bucket, the number itself otherwise.
 * Columns are gathered only when the body is written.
 *
 * Invariants: all memory is there after batch_open; batch_add asks for room
 * first and so either keeps a whole event or nothing of it. */
#include "policy/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/dict.h"
#include "policy/batch_form.h"
#include "wire/pack.h"

#define NOBODY UINT32_MAX

struct record {
    uint64_t present;    /* bit i: field i has a cell */
    uint32_t first_cell; /* its cells stand in the order of the fields */
    uint32_t next;       /* the next event of this type, or NOBODY */
    uint32_t set;        /* number of its consent set */
    uint8_t index;
};

struct type_list {
    uint32_t first, last;
    uint32_t count;
};

_Static_assert(POLICY_EVENTS_MAX <= UINT8_MAX, "order is a byte an event");
_Static_assert(POLICY_FIELDS_MAX <= 64, "presence is a word");

struct batch {
    const struct policy *policy;
    uint32_t events_max, cells_max;
    uint32_t count, cell_count;
    struct record *records;
    uint64_t *cells;
    struct type_list types[POLICY_EVENTS_MAX];
    struct dict texts, ids, sets;
    /* scratch of batch_encode, for one column */
    uint64_t *column;
    uint8_t *bytes;
};

/* Makes a dictionary take its memory now: full once, then empty. */
static enum sotto_err dict_fill_once(struct dict *d, uint32_t count_max,
                                     size_t bytes_max)
{
    enum sotto_err err;
    uint64_t seed;

    randombytes_buf(&seed, sizeof(seed));
    dict_init(d, count_max, bytes_max, seed);
    err = buf_reserve(&d->bytes, bytes_max);
    for (uint32_t i = 0; !err && i < count_max; i++) {
        uint32_t number;

        err = dict_intern(d, span_of(&i, sizeof(i)), &number);
    }
    dict_clear(d);
    return err;
}

static uint32_t at_least(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

enum sotto_err batch_open(struct batch **out, uint32_t events_max,
                          size_t bytes_max)
{
    uint32_t half, each;
    struct batch *b;

    if (events_max == 0 || events_max > BATCH_EVENTS_MAX ||
        bytes_max > BATCH_BYTES_MAX)
        return SOTTO_EINVAL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return SOTTO_ENOMEM;
    half =
        at_least((uint32_t)(bytes_max / 2), POLICY_FIELDS_MAX * TEXT_SIZE_MAX);
    each = at_least(2 * events_max, POLICY_FIELDS_MAX);
    b->events_max = events_max;
    b->cells_max = half / (uint32_t)sizeof(*b->cells);
    b->records = calloc(events_max, sizeof(*b->records));
    b->cells = calloc(b->cells_max, sizeof(*b->cells));
    b->column = calloc(events_max, sizeof(*b->column));
    b->bytes = calloc(events_max, 2 * sizeof(*b->column));
    if (!b->records || !b->cells || !b->column || !b->bytes ||
        dict_fill_once(&b->texts, each < half / 4 ? each : half / 4, half) ||
        dict_fill_once(&b->ids, each, (size_t)each * 16) ||
        dict_fill_once(&b->sets, BATCH_SETS_MAX,
                       BATCH_SETS_MAX * sizeof(uint32_t))) {
        batch_close(b);
        return SOTTO_ENOMEM;
    }
    *out = b;
    return SOTTO_OK;
}

void batch_close(struct batch *b)
{
    if (!b)
        return;
    dict_fini(&b->texts);
    dict_fini(&b->ids);
    dict_fini(&b->sets);
    free(b->records);
    free(b->cells);
    free(b->column);
    free(b->bytes);
    free(b);
}

void batch_begin(struct batch *b, const struct policy *p)
{
    b->policy = p;
    b->count = 0;
    b->cell_count = 0;
    memset(b->types, 0, sizeof(b->types));
    dict_clear(&b->texts);
    dict_clear(&b->ids);
    dict_clear(&b->sets);
}

uint32_t batch_count(const struct batch *b)
{
    return b->count;
}

static bool dict_has_room(const struct dict *d, uint32_t count, size_t bytes)
{
    return count <= d->count_max - d->count &&
           bytes <= d->bytes.max - d->bytes.size;
}

/* Whether there is room whatever the event holds. */
static bool has_room_for_any(const struct batch *b, unsigned fields)
{
    return b->count < b->events_max && fields <= b->cells_max - b->cell_count &&
           dict_has_room(&b->texts, fields, fields * TEXT_SIZE_MAX) &&
           dict_has_room(&b->ids, fields, fields * sizeof(uint8_t[16]));
}

/* Whether ev fits the policy, and is sure to find room. */
static enum sotto_err check_event(const struct batch *b, const struct event *ev)
{
    const struct policy *p = b->policy;
    const struct policy_event *event;
    uint32_t texts = 0, ids = 0, cells = 0;
    size_t text_bytes = 0;

    if (ev->index >= p->event_count ||
        (uint64_t)ev->consent >> p->purpose_count)
        return SOTTO_EINVAL;
    event = &p->events[ev->index];
    if (ev->fits == p && has_room_for_any(b, event->field_count))
        return SOTTO_OK;
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct event_value *v = &ev->values[i];

        if (!v->present)
            continue;
        if (ev->fits != p && !event_value_fits(&event->fields[i], v))
            return SOTTO_EINVAL;
        cells++;
        if (event->fields[i].type == TYPE_TEXT) {
            texts++;
            text_bytes += v->text.size;
        }
        if (event->fields[i].action == ACTION_PSEUDONYM)
            ids++;
    }
    if (b->count == b->events_max || cells > b->cells_max - b->cell_count ||
        !dict_has_room(&b->texts, texts, text_bytes) ||
        !dict_has_room(&b->ids, ids, ids * sizeof(uint8_t[16])))
        return SOTTO_EFULL;
    return SOTTO_OK;
}

static enum sotto_err cell_of(struct batch *b, const struct policy_field *f,
                              const struct event_value *v, uint64_t *cell)
{
    enum sotto_err err = SOTTO_OK;
    uint32_t number = 0;

    if (f->type == TYPE_TEXT)
        err = dict_intern(&b->texts, v->text, &number);
    else if (f->action == ACTION_PSEUDONYM)
        err = dict_intern(&b->ids, span_of(v->id, sizeof(v->id)), &number);
    else if (f->action == ACTION_BUCKET)
        number = bucket_of(f, v->number);
    *cell = column_refs(f)       ? number
            : f->type == TYPE_ID ? token_number(v->id)
                                 : (uint64_t)v->number;
    return err;
}

static void append_to_type(struct batch *b, struct record *r, uint32_t number)
{
    struct type_list *type = &b->types[r->index];

    r->next = NOBODY;
    if (type->count++ == 0)
        type->first = number;
    else
        b->records[type->last].next = number;
    type->last = number;
}

/* The number of a consent set, which is mostly that of the event before. */
static enum sotto_err set_of(struct batch *b, uint32_t consent, uint32_t *set)
{
    struct span key = span_of(&consent, sizeof(consent));

    if (b->count > 0) {
        *set = b->records[b->count - 1].set;
        if (span_equal(dict_key(&b->sets, *set), key))
            return SOTTO_OK;
    }
    return dict_intern(&b->sets, key, set);
}

enum sotto_err batch_add(struct batch *b, const struct event *ev)
{
    enum sotto_err err = check_event(b, ev);
    const struct policy_event *event;
    struct record *r;

    if (err)
        return err;
    event = &b->policy->events[ev->index];
    r = &b->records[b->count];
    /* a consent set without its event tells nothing, so it may fail first */
    err = set_of(b, ev->consent, &r->set);
    if (err)
        return err;
    r->index = (uint8_t)ev->index;
    r->first_cell = b->cell_count;
    r->present = 0;
    for (unsigned i = 0; i < event->field_count; i++) {
        if (!ev->values[i].present)
            continue;
        r->present |= UINT64_C(1) << i;
        err = cell_of(b, &event->fields[i], &ev->values[i],
                      &b->cells[b->cell_count]);
        if (err) { /* not met: check_event found room */
            b->cell_count = r->first_cell;
            return err;
        }
        b->cell_count++;
    }
    append_to_type(b, r, b->count++);
    return SOTTO_OK;
}

/* The column that is in b->column: count numbers as planes of bytes. */
static void pack_numbers(struct packer *to, const struct batch *b,
                         uint32_t count)
{
    uint64_t all = 0;
    uint8_t *out = b->bytes;

    for (uint32_t i = 0; i < count; i++)
        all |= b->column[i];
    for (unsigned shift = 0; shift < 64 && all >> shift; shift += 8)
        for (uint32_t i = 0; i < count; i++)
            *out++ = (uint8_t)(b->column[i] >> shift);
    pack_bin(to, span_of(b->bytes, (size_t)(out - b->bytes)));
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Divides the column by what divides all of it; returns the scale. */
static uint64_t column_scale(uint64_t *column, uint32_t count)
{
    uint64_t scale = 0;

    for (uint32_t i = 0; i < count && scale != 1; i++)
        scale = common_divisor(column[i], scale);
    if (scale == 0)
        return 1; /* all zeros */
    for (uint32_t i = 0; scale > 1 && i < count; i++)
        column[i] /= scale;
    return scale;
}

/* As differences from the smallest, divided. */
static void pack_values(struct packer *to, const struct batch *b,
                        uint32_t count)
{
    int64_t base = INT64_MAX;

    for (uint32_t i = 0; i < count; i++)
        if ((int64_t)b->column[i] < base)
            base = (int64_t)b->column[i];
    for (uint32_t i = 0; i < count; i++)
        b->column[i] -= (uint64_t)base;
    pack_int(to, base);
    pack_uint(to, column_scale(b->column, count));
    pack_numbers(to, b, count);
}

/* As differences from the one before, divided; then zigzag (0, -1, 1, -2, 2
 * become 0, 1, 2, 3, 4). Times are between 0 and year 9999: nothing wraps. */
static void pack_times(struct packer *to, const struct batch *b, uint32_t count)
{
    int64_t before = (int64_t)b->column[0];
    uint64_t scale = 0;

    pack_int(to, before);
    for (uint32_t i = 0; i < count; i++) {
        int64_t value = (int64_t)b->column[i];
        int64_t step = value - before;

        if (scale != 1)
            scale = common_divisor((uint64_t)(step < 0 ? -step : step), scale);
        b->column[i] = (uint64_t)step;
        before = value;
    }
    if (scale == 0)
        scale = 1;
    for (uint32_t i = 0; i < count; i++) {
        int64_t step = (int64_t)b->column[i] / (int64_t)scale;

        b->column[i] =
            step < 0 ? (uint64_t)(-step) * 2 - 1 : (uint64_t)step * 2;
    }
    pack_uint(to, scale);
    pack_numbers(to, b, count);
}

/* How many bits of word are below bit; mostly all. */
static unsigned bits_below(uint64_t word, unsigned bit)
{
    uint64_t below = (UINT64_C(1) << bit) - 1;

    return (word & below) == below
               ? bit
               : (unsigned)__builtin_popcountll(word & below);
}

/* Field number field of all events of the type into b->column, and who has
 * one into b->bytes; returns how many do. */
static uint32_t gather(const struct batch *b, const struct type_list *type,
                       unsigned field)
{
    uint32_t row = 0, count = 0;

    memset(b->bytes, 0, (type->count + 7) / 8);
    for (uint32_t i = type->first; i != NOBODY; row++) {
        const struct record *r = &b->records[i];

        if (r->present >> field & 1) {
            b->bytes[row / 8] |= (uint8_t)(1u << (row % 8));
            b->column[count++] =
                b->cells[r->first_cell + bits_below(r->present, field)];
        }
        i = r->next;
    }
    return count;
}

static void pack_column(struct packer *to, const struct batch *b,
                        const struct type_list *type,
                        const struct policy_field *f, unsigned field)
{
    uint32_t count = gather(b, type, field);
    size_t presence = count == type->count ? 0 : (type->count + 7) / 8;

    if (count == 0) {
        pack_nil(to);
        return;
    }
    pack_array(to, column_refs(f) ? BATCH_COLUMN_REFS : BATCH_COLUMN);
    pack_bin(to, span_of(b->bytes, presence));
    if (column_refs(f))
        pack_numbers(to, b, count);
    else if (f->type == TYPE_TIME)
        pack_times(to, b, count);
    else
        pack_values(to, b, count);
}

static void pack_counters(struct packer *to, const struct counters *c)
{
    pack_array(to, BATCH_COUNTERS);
    pack_uint(to, c->produced);
    pack_uint(to, c->accepted);
    pack_uint(to, c->fields_emptied);
    pack_array(to, c->drop_count);
    for (uint32_t i = 0; i < c->drop_count; i++) {
        pack_array(to, 2);
        pack_text(to, span_text(c->drops[i].name));
        pack_uint(to, c->drops[i].count);
    }
}

static void pack_order_and_consent(struct packer *to, const struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        b->bytes[i] = b->records[i].index;
    pack_bin(to, span_of(b->bytes, b->count));
    pack_array(to, b->sets.count);
    for (uint32_t i = 0; i < b->sets.count; i++) {
        uint32_t set;

        memcpy(&set, dict_key(&b->sets, i).data, sizeof(set));
        pack_uint(to, set);
    }
    for (uint32_t i = 0; i < b->count; i++)
        b->column[i] = b->records[i].set;
    pack_numbers(to, b, b->count);
}

enum sotto_err batch_encode(const struct batch *b, const struct counters *c,
                            struct buf *out)
{
    struct packer to;
    uint32_t types = 0;

    for (unsigned t = 0; t < POLICY_EVENTS_MAX; t++)
        types += b->types[t].count > 0;
    pack_init(&to, out);
    pack_array(&to, BATCH_FORM);
    pack_uint(&to, BATCH_VERSION);
    pack_counters(&to, c);
    pack_bin(&to, span_of(b->ids.bytes.data, b->ids.bytes.size));
    pack_array(&to, b->texts.count);
    for (uint32_t i = 0; i < b->texts.count; i++)
        pack_text(&to, dict_key(&b->texts, i));
    pack_order_and_consent(&to, b);
    pack_array(&to, types);
    for (unsigned t = 0; t < POLICY_EVENTS_MAX; t++) {
        const struct policy_event *event;

        if (b->types[t].count == 0)
            continue;
        event = &b->policy->events[t];
        pack_array(&to, event->field_count);
        for (unsigned f = 0; f < event->field_count; f++)
            pack_column(&to, b, &b->types[t], &event->fields[f], f);
    }
    return to.err;
}
