/* Tests of the crossing from raw to anonymous. */
#include "policy/anonymize.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_event.h"

#define NOW INT64_C(1800000000123)

struct raw {
    struct raw_field fields[RAW_FIELDS_MAX];
    size_t count;
};

static struct raw_field *give(struct raw *r, const char *path,
                              enum raw_kind kind)
{
    struct raw_field *f = &r->fields[r->count++];

    memset(f, 0, sizeof(*f));
    f->path = span_text(path);
    f->kind = (uint8_t)kind;
    return f;
}

static void give_text(struct raw *r, const char *path, const char *text)
{
    give(r, path, RAW_TEXT)->text = span_text(text);
}

static void give_number(struct raw *r, const char *path, enum raw_kind kind,
                        int64_t number)
{
    give(r, path, kind)->number = number;
}

struct bench { /* what a test stands on */
    struct policy *policy;
    struct pseudonym_keys *keys;
    struct sessions sessions;
    struct chance_source chance;
    struct anonymizer a;
    struct raw raw;
    struct event ev;
    uint32_t emptied;
};

static void key_add(struct pseudonym_keys *k, const char *name, int byte)
{
    sample_copy(k->names[k->count], NAME_MAX_SIZE, name);
    memset(k->secrets[k->count++], byte, 32);
}

static int setup(void **state)
{
    static const uint8_t table_key[16] = {1};
    static struct bench b;

    memset(&b, 0, sizeof(b));
    b.policy = sample_policy();
    b.keys = pseudonym_keys_make();
    key_add(b.keys, "day", 0x22);
    key_add(b.keys, "visitor", 0x11);
    chance_source_init(&b.chance);
    b.sessions.memory = raw_memory_make(table_key);
    b.a = (struct anonymizer){.policy = b.policy,
                              .keys = b.keys,
                              .granted = 1u << SAMPLE_MEASURE |
                                         1u << SAMPLE_PERSONALISE,
                              .sessions = &b.sessions,
                              .chance = &b.chance,
                              .now_ms = NOW};
    give_text(&b.raw, "userId", "u-1");
    give_text(&b.raw, "anonymousId", "a-1");
    give_text(&b.raw, "context.session", "s-1");
    give_text(&b.raw, "properties.product_id", "SKU 1");
    give_text(&b.raw, "properties.category",
              "b\xc3\xbc"
              "cher");
    give(&b.raw, "properties.price", RAW_REAL)->real = 12.99;
    give_number(&b.raw, "properties.quantity", RAW_INT, 2);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    raw_memory_free(b->sessions.memory);
    pseudonym_keys_free(b->keys);
    policy_free(b->policy);
    return 0;
}

static enum drop_reason take_at(struct bench *b, const char *name,
                                int64_t time_ms)
{
    struct raw_event raw = {.name = span_text(name),
                            .time_ms = time_ms,
                            .fields = b->raw.fields,
                            .field_count = b->raw.count};

    b->emptied = 0;
    return anonymize(&b->a, &raw, &b->ev, &b->emptied);
}

static enum drop_reason take(struct bench *b)
{
    return take_at(b, "Product Viewed", NOW);
}

static struct raw_field *raw_of(struct bench *b, const char *path)
{
    for (size_t i = 0; i < b->raw.count; i++)
        if (span_equal(b->raw.fields[i].path, span_text(path)))
            return &b->raw.fields[i];
    fail();
    return NULL;
}

static void makes_each_field_by_its_action(void **state)
{
    struct bench *b = *state;
    const struct event_value *v = b->ev.values;
    uint8_t id[16];

    assert_int_equal(take(b), DROP_NOT);
    assert_int_equal(b->emptied, 0);
    assert_int_equal(b->ev.index, 0);
    assert_int_equal(b->ev.consent, 3);
    for (unsigned i = 0; i < 9; i++)
        assert_true(v[i].present);
    assert_true(v[0].number <= NOW && NOW - v[0].number < 900000);
    assert_int_equal(v[0].number % 900000, 0);
    assert_int_equal(
        pseudonym_make(id, b->policy, b->keys, 0, span_text("u-1")), SOTTO_OK);
    assert_memory_equal(v[1].id, id, 16);
    assert_int_equal(
        pseudonym_make(id, b->policy, b->keys, 1, span_text("a-1")), SOTTO_OK);
    assert_memory_equal(v[2].id, id, 8);
    memset(id, 0, sizeof(id));
    assert_memory_equal(v[2].id + 8, id, 8);
    assert_int_equal(v[3].number, 1);
    assert_true(span_equal(v[4].text, span_text("SKU 1")));
    assert_int_equal(v[6].number, 12990000);
    assert_int_equal(v[7].number, 10 * MONEY_ONE);
    assert_int_equal(v[8].number, 2);
}

static void keeps_the_order_of_the_checks(void **state)
{
    struct bench *b = *state;
    struct policy *p = b->policy;

    b->a.policy = NULL;
    assert_int_equal(take(b), DROP_NO_POLICY);
    b->a.policy = p;
    b->a.now_ms = p->effective_ms - 1;
    assert_int_equal(take(b), DROP_NO_POLICY);
    b->a.now_ms = p->expires_ms - 1;
    assert_int_equal(take_at(b, "Product Viewed", p->expires_ms - 1), DROP_NOT);
    b->a.now_ms = p->expires_ms;
    assert_int_equal(take(b), DROP_EXPIRED);
    b->a.sure_ms = p->expires_ms - 1; /* the clock may have jumped */
    assert_int_equal(take_at(b, "Product Viewed", p->expires_ms), DROP_NOT);
    b->a.sure_ms = p->expires_ms;
    assert_int_equal(take(b), DROP_EXPIRED);
    b->a.sure_ms = 0;
    b->a.now_ms = NOW;
    assert_int_equal(take_at(b, "Product Clicked", NOW), DROP_UNKNOWN_EVENT);
    assert_int_equal(take_at(b, "Product Viewed", -1), DROP_BAD_TIME);
    assert_int_equal(take_at(b, "Product Viewed", TIME_MAX_MS + 1),
                     DROP_BAD_TIME);
    assert_int_equal(take_at(b, "Product Viewed", INT64_MAX), DROP_BAD_TIME);
    assert_int_equal(take_at(b, "Product Viewed", WHEN_NONE), DROP_NOT);
}

static void consent_decides_event_and_field(void **state)
{
    struct bench *b = *state;

    b->a.granted = 1u << SAMPLE_PERSONALISE;
    assert_int_equal(take(b), DROP_NO_CONSENT);
    b->a.granted = 0;
    assert_int_equal(take(b), DROP_NO_CONSENT);
    b->a.granted = 1u << SAMPLE_MEASURE;
    assert_int_equal(take(b), DROP_NOT);
    assert_false(b->ev.values[1].present); /* the stable id */
    assert_true(b->ev.values[2].present);
    assert_int_equal(b->emptied, 0); /* not given is not misfit */
    b->a.granted = UINT32_MAX;       /* of purposes there are three */
    assert_int_equal(take(b), DROP_NOT);
    assert_int_equal(b->ev.consent, 7);
    b->policy->events[0].fields[1].required = true;
    b->a.granted = 1u << SAMPLE_MEASURE;
    assert_int_equal(take(b), DROP_NO_CONSENT);
}

static void retention_counts_the_time_of_the_event(void **state)
{
    struct bench *b = *state;

    assert_int_equal(take_at(b, "Product Viewed", NOW - 395 * DAY_MS),
                     DROP_NOT);
    assert_int_equal(take_at(b, "Product Viewed", NOW - 395 * DAY_MS - 1),
                     DROP_TOO_OLD);
    /* the purpose of one field ends earlier */
    assert_int_equal(take_at(b, "Product Viewed", NOW - 180 * DAY_MS),
                     DROP_NOT);
    assert_true(b->ev.values[1].present);
    assert_int_equal(take_at(b, "Product Viewed", NOW - 180 * DAY_MS - 1),
                     DROP_NOT);
    assert_false(b->ev.values[1].present);
    assert_int_equal(take_at(b, "Product Viewed", NOW + 400 * DAY_MS),
                     DROP_NOT);
}

static void required_fields_must_be_there_and_fit(void **state)
{
    struct bench *b = *state;
    struct raw_field *item = raw_of(b, "properties.product_id");

    item->text = span_text("a@b");
    assert_int_equal(take(b), DROP_MISSING_FIELD);
    assert_int_equal(b->emptied, 1);
    assert_int_equal(take_at(b, "Order Completed", NOW), DROP_NOT);
    assert_false(b->ev.values[4].present);
    assert_int_equal(b->emptied, 1);
    item->path = span_text("properties.other");
    assert_int_equal(take(b), DROP_MISSING_FIELD);
    assert_int_equal(b->emptied, 0);
}

struct conversion {
    const char *path;
    unsigned field;
    enum raw_kind kind;
    const char *text;
    double real;
    int64_t number;
    bool fits;
    int64_t expected;
};

static void converts_by_the_type_of_the_field(void **state)
{
    static const char price[] = "properties.price";
    static const char quantity[] = "properties.quantity";
    const struct conversion rows[] = {
        {price, 6, RAW_TEXT, "-2.55", 0, 0, true, -2550000},
        {price, 6, RAW_TEXT, "2,55", 0, 0, false, 0},
        {price, 6, RAW_INT, "", 0, 3, true, 3000000},
        {price, 6, RAW_INT, "", 0, INT64_MAX / MONEY_ONE + 1, false, 0},
        {price, 6, RAW_MONEY, "", 0, 5, true, 5},
        {price, 6, RAW_REAL, "", 0.1 + 0.2, 0, true, 300000},
        {price, 6, RAW_REAL, "", -19.99, 0, true, -19990000},
        {price, 6, RAW_REAL, "", 1.0 / 3, 0, false, 0},
        {price, 6, RAW_REAL, "", 1e13, 0, false, 0},
        {price, 6, RAW_REAL, "", NAN, 0, false, 0},
        {price, 6, RAW_REAL, "", -INFINITY, 0, false, 0},
        {price, 6, RAW_BOOL, "", 0, 1, false, 0},
        {price, 7, RAW_REAL, "", 249.999999, 0, true, 50 * MONEY_ONE},
        {price, 7, RAW_INT, "", 0, 250, true, 250 * MONEY_ONE},
        {price, 7, RAW_INT, "", 0, -5, true, 0},
        {quantity, 8, RAW_TEXT, "-12", 0, 0, true, -12},
        {quantity, 8, RAW_TEXT, "12.0", 0, 0, false, 0},
        {quantity, 8, RAW_REAL, "", 12.0, 0, true, 12},
        {quantity, 8, RAW_REAL, "", 12.5, 0, false, 0},
        {quantity, 8, RAW_REAL, "", 1e300, 0, false, 0},
        {quantity, 8, RAW_REAL, "", NAN, 0, false, 0},
        {quantity, 8, RAW_MONEY, "", 0, 12, false, 0},
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct conversion *row = &rows[i];
        struct raw_field *f = raw_of(b, row->path);

        f->kind = (uint8_t)row->kind;
        f->text = span_text(row->text);
        f->real = row->real;
        f->number = row->number;
        assert_int_equal(take(b), DROP_NOT);
        if (b->ev.values[row->field].present != row->fits ||
            (row->fits && b->ev.values[row->field].number != row->expected))
            fail_msg("row %zu", i);
    }
}

static void whole_numbers_become_kept_text_and_ids(void **state)
{
    struct bench *b = *state;
    uint8_t id[16];

    give_number(&b->raw, "x", RAW_INT, 0);
    *raw_of(b, "properties.product_id") =
        (struct raw_field){.path = span_text("properties.product_id"),
                           .kind = RAW_INT,
                           .number = 123};
    *raw_of(b, "userId") = (struct raw_field){
        .path = span_text("userId"), .kind = RAW_INT, .number = -7};
    *raw_of(b, "properties.category") =
        (struct raw_field){.path = span_text("properties.category"),
                           .kind = RAW_INT,
                           .number = INT64_MIN};
    assert_int_equal(take(b), DROP_NOT);
    assert_true(span_equal(b->ev.values[4].text, span_text("123")));
    assert_true(
        span_equal(b->ev.values[5].text, span_text("-9223372036854775808")));
    pseudonym_make(id, b->policy, b->keys, 0, span_text("-7"));
    assert_memory_equal(b->ev.values[1].id, id, 16);
}

static void normalizes_before_it_hashes(void **state)
{
    struct bench *b = *state;
    uint8_t plain[16], other[16];
    char long_id[RAW_ID_MAX + 2];

    pseudonym_make(plain, b->policy, b->keys, 0, span_text("u-1"));
    pseudonym_make(other, b->policy, b->keys, 0, span_text(" \tu-1\r\n"));
    assert_memory_equal(plain, other, 16);
    pseudonym_make(other, b->policy, b->keys, 0, span_text("U-1"));
    assert_memory_not_equal(plain, other, 16);
    b->policy->ids[0].normalize = NORMALIZE_LOWER;
    pseudonym_make(other, b->policy, b->keys, 0, span_text(" U-1"));
    assert_memory_equal(plain, other, 16);
    b->policy->ids[0].normalize = NORMALIZE_NONE;
    pseudonym_make(other, b->policy, b->keys, 0, span_text(" u-1"));
    assert_memory_not_equal(plain, other, 16);
    b->policy->ids[0].normalize = NORMALIZE_TRIM;
    assert_int_equal(
        pseudonym_make(other, b->policy, b->keys, 0, span_text(" \n")),
        SOTTO_EINVAL);
    memset(long_id, 'a', sizeof(long_id));
    assert_int_equal(pseudonym_make(other, b->policy, b->keys, 0,
                                    span_of(long_id, RAW_ID_MAX)),
                     SOTTO_OK);
    assert_int_equal(pseudonym_make(other, b->policy, b->keys, 0,
                                    span_of(long_id, RAW_ID_MAX + 1)),
                     SOTTO_EINVAL);
    b->keys->count = 1; /* "visitor" is gone */
    assert_int_equal(
        pseudonym_make(other, b->policy, b->keys, 0, span_text("u-1")),
        SOTTO_ENOTFOUND);
}

/* Python: hashlib.blake2b(b"acme-retail\0userId\0" + bytes(8) + b"u-1",
 * digest_size=16, key=b"\x11" * 32).hexdigest() */
static void pseudonyms_are_frozen(void **state)
{
    struct bench *b = *state;
    uint8_t id[16], expected[16];

    assert_int_equal(sample_hex(expected, "f2fbb95432c0bd5999b0dacfd082364b"),
                     16);
    pseudonym_make(id, b->policy, b->keys, 0, span_text("u-1"));
    assert_memory_equal(id, expected, 16);
}

static void ids_do_not_link_across_tenants_keys_and_paths(void **state)
{
    struct bench *b = *state;
    uint8_t ids[4][16];

    pseudonym_make(ids[0], b->policy, b->keys, 0, span_text("u-1"));
    b->policy->tenant[0] = 'b';
    pseudonym_make(ids[1], b->policy, b->keys, 0, span_text("u-1"));
    b->policy->tenant[0] = 'a';
    b->policy->ids[0].key = 1;
    pseudonym_make(ids[2], b->policy, b->keys, 0, span_text("u-1"));
    b->policy->ids[0].key = 0;
    sample_copy(b->policy->ids[0].from, PATH_MAX_SIZE, "email");
    pseudonym_make(ids[3], b->policy, b->keys, 0, span_text("u-1"));
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < i; j++)
            assert_memory_not_equal(ids[i], ids[j], 8);
    /* the end of one part is not the beginning of the next */
    sample_copy(b->policy->ids[0].from, PATH_MAX_SIZE, "ab");
    pseudonym_make(ids[0], b->policy, b->keys, 0, span_text("c"));
    sample_copy(b->policy->ids[0].from, PATH_MAX_SIZE, "a");
    pseudonym_make(ids[1], b->policy, b->keys, 0, span_text("bc"));
    assert_memory_not_equal(ids[0], ids[1], 8);
}

static void identify_caches_and_a_raw_id_goes_before(void **state)
{
    struct bench *b = *state;
    struct person person = {0};
    uint8_t u2[16];

    b->a.person = &person;
    assert_int_equal(person_identify(&person, b->policy, b->keys,
                                     span_text("userId"), span_text("u-2"),
                                     NOW),
                     SOTTO_OK);
    assert_int_equal(person.known, 1);
    pseudonym_make(u2, b->policy, b->keys, 0, span_text("u-2"));
    assert_int_equal(take(b), DROP_NOT); /* raw u-1 */
    assert_memory_not_equal(b->ev.values[1].id, u2, 16);
    raw_of(b, "userId")->path = span_text("x");
    raw_of(b, "anonymousId")->path = span_text("y");
    assert_int_equal(take(b), DROP_NOT);
    assert_memory_equal(b->ev.values[1].id, u2, 16);
    assert_false(b->ev.values[2].present); /* never identified */
    assert_int_equal(person_identify(&person, b->policy, b->keys,
                                     span_text("userId"), span_text(" "), NOW),
                     SOTTO_EINVAL);
    assert_int_equal(person.known, 0); /* nobody, not the one before */
    assert_int_equal(take(b), DROP_NOT);
    assert_false(b->ev.values[1].present);
    assert_int_equal(person_identify(&person, b->policy, b->keys,
                                     span_text("email"), span_text("e"), NOW),
                     SOTTO_OK);
    assert_int_equal(person.known, 0);
}

/* The event's two pseudonyms of two raw ids, by their fields and made anew. */
static void assert_pseudonyms(struct bench *b, const char *user,
                              const char *visitor)
{
    const char *raw_ids[] = {user, visitor};

    raw_of(b, "userId")->text = span_text(user);
    raw_of(b, "anonymousId")->text = span_text(visitor);
    assert_int_equal(take(b), DROP_NOT);
    for (unsigned i = 0; i < 2; i++) {
        const struct policy_field *f =
            &b->policy->events[b->ev.index].fields[1 + i];
        uint8_t id[16];

        pseudonym_make(id, b->policy, b->keys, f->id, span_text(raw_ids[i]));
        memset(id + f->bits / 8, 0, sizeof(id) - f->bits / 8);
        assert_memory_equal(b->ev.values[1 + i].id, id, 16);
    }
}

static void what_is_remembered_changes_no_pseudonym(void **state)
{
    struct bench *b = *state;

    for (unsigned i = 0; i < 20000; i++) { /* more than are remembered */
        char user[16], visitor[16];

        snprintf(user, sizeof(user), "n%u", i * 7919 % 6000);
        snprintf(visitor, sizeof(visitor), "n%u", i % 3 ? i / 10 : i);
        assert_pseudonyms(b, user, visitor);
    }
    assert_pseudonyms(b, "same", "same"); /* of two paths: not the same */
    assert_pseudonyms(b, "same", "same");
    b->policy->tenant[0] = 'b'; /* another policy */
    b->policy->hash[0] ^= 1;
    assert_pseudonyms(b, "same", "same");
}

static int64_t session_of(struct bench *b, const char *raw_id)
{
    raw_of(b, "context.session")->text = span_text(raw_id);
    assert_int_equal(take(b), DROP_NOT);
    return b->ev.values[3].present ? b->ev.values[3].number : 0;
}

static void sessions_are_small_numbers(void **state)
{
    struct bench *b = *state;
    struct raw_memory *memory = b->sessions.memory;

    assert_int_equal(session_of(b, "s-1"), 1);
    assert_int_equal(session_of(b, "s-2"), 2);
    assert_int_equal(session_of(b, "s-1"), 1);
    assert_int_equal(session_of(b, ""), 0); /* not somebody else's */
    for (unsigned i = 0; i < 100000; i++) {
        char raw_id[16];

        snprintf(raw_id, sizeof(raw_id), "n%u", i);
        assert_int_equal(session_of(b, raw_id), 3 + i);
        if (i % 50 == 0)
            assert_int_equal(session_of(b, "s-1"), 1); /* seen: stays */
    }
    assert_int_equal(session_of(b, "s-2"), 100003); /* replaced long ago */

    b->sessions.memory = NULL;
    b->sessions.current = 5;
    assert_int_equal(session_of(b, "s-1"), 5);
    b->sessions.current = 0;
    assert_int_equal(session_of(b, "s-1"), 0);
    b->a.sessions = NULL;
    assert_int_equal(session_of(b, "s-1"), 0);
    b->sessions.memory = memory;
}

static size_t row_of(struct bench *b, uint8_t row[EVENT_ROW_MAX])
{
    size_t size;

    assert_ptr_equal(b->ev.fits, b->policy);
    b->ev.fits = NULL; /* so that it is looked at again */
    assert_int_equal(event_encode(b->policy, &b->ev, row, EVENT_ROW_MAX, &size),
                     SOTTO_OK);
    return size;
}

/* The last field changes places with another. */
static void field_swap(struct raw *r, size_t other)
{
    struct raw_field last = r->fields[r->count - 1];

    r->fields[r->count - 1] = r->fields[other];
    r->fields[other] = last;
}

/* Fields the policy does not list, and values it drops, leave no trace,
 * wherever they stand. */
static void unlisted_fields_do_not_interfere(void **state)
{
    struct bench *b = *state;
    uint8_t first[EVENT_ROW_MAX], second[EVENT_ROW_MAX];
    const struct raw listed = b->raw;
    uint64_t rng = 17;
    size_t size;

    b->a.granted = 1u << SAMPLE_MEASURE;
    assert_int_equal(take(b), DROP_NOT);
    size = row_of(b, first);
    for (unsigned i = 0; i < 500; i++) {
        static const char *const paths[] = {
            "userId " /* not quite */, "context.ip",
            "properties.email",        "properties.product_i",
            "properties.product_idx",  ""};
        char text[20];

        b->raw = listed;
        for (unsigned n = sample_below(&rng, 10); n > 0; n--) {
            snprintf(text, sizeof(text), "%u", sample_below(&rng, 1000));
            give_text(&b->raw, paths[sample_below(&rng, 6)], text);
            b->raw.fields[b->raw.count - 1].text = span_text("canary");
            field_swap(&b->raw, sample_below(&rng, (unsigned)b->raw.count));
        }
        snprintf(text, sizeof(text), "u-%u", i);
        raw_of(b, "userId")->text = span_text(text); /* no consent for it */
        assert_int_equal(take(b), DROP_NOT);
        assert_int_equal(row_of(b, second), size);
        assert_memory_equal(first, second, size);
    }
}

static void random_field(struct raw *r, uint64_t *rng, char text[8])
{
    static const char *const paths[] = {
        "properties.p0", "properties.p1", "properties.p2", "properties.p3",
        "properties.p4", "properties.p5", "secret",        "userId"};
    struct raw_field *f = give(r, paths[sample_below(rng, 8)], RAW_TEXT);
    static const double reals[] = {0.5, 7, -1e300, 1e18, 0.000001};
    unsigned size = sample_below(rng, 8);

    for (unsigned i = 0; i < size; i++)
        text[i] = "a1\xc3\xa4\0m-9"[sample_below(rng, 8)];
    f->kind = (uint8_t)sample_below(rng, RAW_BOOL + 2); /* one is none */
    f->text = span_of(text, size);
    f->number = sample_below(rng, 2) ? (int64_t)sample_random(rng)
                                     : (int64_t)sample_below(rng, 3);
    f->real = reals[sample_below(rng, 5)];
}

/* Actions that make another value ------------------------------------- */

/* The shop's policy with one more field on the first event. */
static struct policy_field *more_begin(struct policy **draft, const char *from,
                                       enum action action)
{
    *draft = sample_draft("acme-retail");
    return sample_field(&(*draft)->events[0], "more", from, ROLE_NONE, action,
                        SAMPLE_MEASURE);
}

static void more_end(struct bench *b, struct policy *draft)
{
    policy_free(b->policy);
    b->a.policy = b->policy = sample_finish(draft);
}

#define MORE 9 /* its number */

static void cuts_addresses_agents_and_urls(void **state)
{
    static const struct {
        const char *raw, *made[3]; /* NULL: emptied */
    } rows[] = {
        {"203.0.113.7", {"203.0.0.0/16", "other", NULL}},
        {"Mozilla (X11; Linux) Firefox/1", {NULL, "firefox/linux", NULL}},
        {"https://a:b@H.example/p?q=a@b", {NULL, "other", "h.example/p"}},
        {"", {NULL, NULL, NULL}},
    };
    static const enum action actions[] = {ACTION_IP, ACTION_UA_FAMILY,
                                          ACTION_URL};
    struct bench *b = *state;

    give_text(&b->raw, "properties.more", "");
    for (unsigned i = 0; i < 3; i++) {
        struct policy *draft;
        struct policy_field *f =
            more_begin(&draft, "properties.more", actions[i]);

        f->v4 = 16;
        f->v6 = 32;
        f->parts = URL_HOST | URL_PATH;
        f->max = 64;
        more_end(b, draft);
        for (unsigned r = 0; r < 4; r++) {
            const struct event_value *v = &b->ev.values[MORE];

            raw_of(b, "properties.more")->text = span_text(rows[r].raw);
            assert_int_equal(take(b), DROP_NOT);
            assert_int_equal(v->present, rows[r].made[i] != NULL);
            assert_int_equal(b->emptied, rows[r].made[i] == NULL);
            if (v->present)
                assert_true(span_equal(v->text, span_text(rows[r].made[i])));
        }
    }
}

static void takes_identifiers_out_of_text(void **state)
{
    static const struct {
        const char *raw, *made;
    } rows[] = {
        {"red cup ann@example.com", "red cup [email]"},
        {"13812345678", "[phone]"},
        {"red cup", "red cup"},
        {"a text that is too long, ann@example.com",
         "a text that is too long, "},
        {"not UTF-8 \xff", NULL},
        {"", NULL},
    };
    struct bench *b = *state;
    struct policy *draft;
    struct policy_field *f =
        more_begin(&draft, "properties.more", ACTION_REDACT);

    f->detect = DETECT_ALL;
    f->max = 30;
    more_end(b, draft);
    give_text(&b->raw, "properties.more", "");
    for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        const struct event_value *v = &b->ev.values[MORE];

        raw_of(b, "properties.more")->text = span_text(rows[r].raw);
        assert_int_equal(take(b), DROP_NOT);
        assert_int_equal(v->present, rows[r].made != NULL);
        if (v->present)
            assert_true(span_equal(v->text, span_text(rows[r].made)));
    }
}

static void a_token_is_never_the_same(void **state)
{
    struct bench *b = *state;
    uint8_t before[16];
    struct policy *draft;

    more_begin(&draft, "userId", ACTION_TOKENIZE);
    more_end(b, draft);
    assert_int_equal(take(b), DROP_NOT);
    assert_true(b->ev.values[MORE].present);
    memcpy(before, b->ev.values[MORE].id, 16);
    assert_int_equal(take(b), DROP_NOT);
    assert_memory_not_equal(before, b->ev.values[MORE].id, 8);
    assert_true(event_value_fits(&b->policy->events[0].fields[MORE],
                                 &b->ev.values[MORE]));
    b->a.chance = NULL;
    assert_int_equal(take(b), DROP_NOT);
    assert_false(b->ev.values[MORE].present);
}

/* The answer to properties.more, one of a0 to a5. */
static unsigned answer(struct bench *b)
{
    const struct event_value *v = &b->ev.values[MORE];

    assert_int_equal(take(b), DROP_NOT);
    assert_true(v->present);
    return event_value_number(&b->policy->events[0].fields[MORE], v->text);
}

static void answers_begin(struct bench *b, bool memoize)
{
    struct policy *draft;
    struct policy_field *f =
        more_begin(&draft, "properties.more", ACTION_RANDOMIZE);

    sample_values(f, 6);
    f->memoize = memoize;
    more_end(b, draft);
    give_text(&b->raw, "properties.more", "a2");
}

static void a_memoized_answer_stays_the_persons(void **state)
{
    struct bench *b = *state;
    unsigned seen = 0, changed = 0;
    char id[8];

    answers_begin(b, true);
    b->a.chance = NULL; /* not asked */
    for (unsigned i = 0; i < 100; i++) {
        unsigned first;

        snprintf(id, sizeof(id), "u-%u", i);
        raw_of(b, "userId")->text = span_text(id);
        raw_of(b, "properties.more")->text = span_text("a2");
        first = answer(b);
        seen |= 1u << first;
        for (unsigned again = 0; again < 5; again++)
            assert_int_equal(answer(b), first);
        raw_of(b, "properties.more")->text = span_text("a4");
        changed += answer(b) != first;
    }
    assert_int_equal(seen, 0x3f); /* people differ, */
    assert_true(changed > 20);    /* and so does another truth */
    raw_of(b, "userId")->path = span_text("nobody");
    assert_int_equal(take(b), DROP_NOT);
    assert_false(b->ev.values[MORE].present); /* nobody's: not fresh instead */
    assert_int_equal(b->emptied, 1);
}

static void a_fresh_answer_changes(void **state)
{
    struct bench *b = *state;
    unsigned counts[7] = {0};

    answers_begin(b, false);
    memset(b->chance.key, 9, sizeof(b->chance.key)); /* the same each run */
    for (unsigned i = 0; i < 600; i++)
        counts[answer(b)]++;
    for (unsigned i = 0; i < 6; i++) /* e/(e+5) of 600 are 211, else 78 */
        assert_in_range(counts[i], i == 2 ? 150 : 30, i == 2 ? 280 : 140);
    raw_of(b, "properties.more")->text = span_text("unheard of");
    memset(counts, 0, sizeof(counts));
    for (unsigned i = 0; i < 600; i++)
        counts[answer(b)]++;
    for (unsigned i = 0; i < 6; i++)
        assert_in_range(counts[i], 50, 160);
    assert_int_equal(b->emptied, 0); /* a count would tell */
}

static void noise_of_an_answer_is_frozen(void **state)
{
    static const uint8_t id[16] = {1, 2, 3};
    struct bench *b = *state;
    uint8_t seed[CHANCE_KEY];
    char hex[2 * CHANCE_KEY + 1];

    answers_begin(b, true);
    assert_int_equal(answer_seed(seed, b->policy, b->keys,
                                 &b->policy->events[0].fields[1], id,
                                 &b->policy->events[0].fields[MORE],
                                 span_text("a2"), NOW),
                     SOTTO_OK);
    sodium_bin2hex(hex, sizeof(hex), seed, sizeof(seed));
    assert_string_equal(
        hex,
        "19b74214796935a5ffcbdaeab7915ee76d4bd9c5fefa7b4d4198a9f9c2b9cc38");
}

/* Whatever is given: an event has only what the policy lists, of the type it
 * says, under a purpose that is granted. */
static void takes_nothing_by_default(void **state)
{
    struct bench *b = *state;
    uint64_t rng = 23;
    unsigned taken = 0, present = 0;

    for (unsigned i = 0; i < 6000; i++) {
        struct policy *p = sample_random_policy(&rng);
        char texts[20][8], name[16];

        b->a.policy = p;
        b->a.granted =
            (uint32_t)sample_random(&rng) | (uint32_t)sample_random(&rng);
        b->raw.count = 0;
        key_add(b->keys, "a", 1);
        for (unsigned n = sample_below(&rng, 20); n > 0; n--)
            random_field(&b->raw, &rng, texts[n]);
        snprintf(name, sizeof(name), "Event %u", sample_below(&rng, 7));
        memset(&b->ev, 0xaa, sizeof(b->ev));
        if (take_at(b, name, NOW) == DROP_NOT) {
            const struct policy_event *e = &p->events[b->ev.index];

            assert_true(b->a.granted >> e->purpose & 1);
            for (unsigned f = 0; f < e->field_count; f++) {
                const struct event_value *v = &b->ev.values[f];

                if (!v->present)
                    continue;
                assert_true(event_value_fits(&e->fields[f], v));
                assert_true(b->a.granted >> e->fields[f].purpose & 1);
                if (e->fields[f].pattern)
                    assert_true(pattern_match(e->fields[f].pattern, v->text));
                present++;
            }
            taken++;
        }
        b->keys->count = 2;
        policy_free(p);
    }
    assert_true(taken > 500 && present > 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(makes_each_field_by_its_action),
        TEST(keeps_the_order_of_the_checks),
        TEST(consent_decides_event_and_field),
        TEST(retention_counts_the_time_of_the_event),
        TEST(required_fields_must_be_there_and_fit),
        TEST(converts_by_the_type_of_the_field),
        TEST(whole_numbers_become_kept_text_and_ids),
        TEST(normalizes_before_it_hashes),
        TEST(pseudonyms_are_frozen),
        TEST(ids_do_not_link_across_tenants_keys_and_paths),
        TEST(identify_caches_and_a_raw_id_goes_before),
        TEST(what_is_remembered_changes_no_pseudonym),
        TEST(sessions_are_small_numbers),
        TEST(unlisted_fields_do_not_interfere),
        TEST(takes_nothing_by_default),
        TEST(cuts_addresses_agents_and_urls),
        TEST(takes_identifiers_out_of_text),
        TEST(a_token_is_never_the_same),
        TEST(a_memoized_answer_stays_the_persons),
        TEST(a_fresh_answer_changes),
        TEST(noise_of_an_answer_is_frozen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
