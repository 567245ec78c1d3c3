/* Tests of batches: what was added comes back, and only what fits. */
#include "policy/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_event.h"

static struct span bytes_of(const struct buf *b)
{
    return span_of(b->data, b->size);
}

static void random_batch_comes_back(uint64_t *rng)
{
    enum { EVENTS = 60 };
    static struct sample_texts texts[EVENTS];
    static struct event events[EVENTS];
    struct policy *p = sample_random_policy(rng);
    struct counters c = {.produced = sample_random(rng), .accepted = 9};
    struct batch *b;
    struct batch_view *v;
    struct buf body;
    struct event ev;
    uint32_t count = sample_below(rng, EVENTS + 1);

    counters_add(&c, "no_consent", 3);
    counters_add(&c, "x-y", UINT64_MAX);
    buf_init(&body, BATCH_BYTES_MAX);
    assert_int_equal(batch_open(&b, 4 * EVENTS, 1 << 20), SOTTO_OK);
    batch_begin(b, p);
    for (uint32_t i = 0; i < count; i++) {
        sample_random_event(&events[i], p, &texts[i], rng);
        assert_int_equal(batch_add(b, &events[i]), SOTTO_OK);
    }
    assert_int_equal(batch_encode(b, &c, &body), SOTTO_OK);
    assert_int_equal(batch_decode(&v, bytes_of(&body), p), SOTTO_OK);
    assert_int_equal(batch_view_count(v), count);
    assert_memory_equal(batch_view_counters(v), &c, sizeof(c));
    assert_int_equal(batch_view_identities(v).size % 16, 0);
    for (uint32_t i = count; i-- > 0;) {
        batch_view_event(v, i, &ev);
        assert_true(sample_same(p, &events[i], &ev));
    }
    batch_view_free(v);
    batch_close(b);
    buf_fini(&body);
    policy_free(p);
}

static void random_batches_come_back(void **state)
{
    uint64_t rng = 21;

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        random_batch_comes_back(&rng);
}

/* n events of the shop, the same each time. */
static void fill(struct batch *b, const struct policy *p, unsigned n)
{
    uint64_t rng = 5;

    batch_begin(b, p);
    for (unsigned i = 0; i < n; i++) {
        struct sample_texts texts;
        struct event ev;

        sample_random_event(&ev, p, &texts, &rng);
        assert_int_equal(batch_add(b, &ev), SOTTO_OK);
    }
}

static void an_emptied_batch_is_like_a_new_one(void **state)
{
    struct policy *p = sample_policy();
    struct counters c = {0};
    struct batch *used, *fresh;
    struct buf x, y;

    (void)state;
    buf_init(&x, BATCH_BYTES_MAX);
    buf_init(&y, BATCH_BYTES_MAX);
    assert_int_equal(batch_open(&used, 100, 1 << 16), SOTTO_OK);
    assert_int_equal(batch_open(&fresh, 100, 1 << 16), SOTTO_OK);
    fill(used, p, 70);
    assert_int_equal(batch_encode(used, &c, &x), SOTTO_OK);
    buf_clear(&x);
    fill(used, p, 40);
    fill(fresh, p, 40);
    assert_int_equal(batch_encode(used, &c, &x), SOTTO_OK);
    assert_int_equal(batch_encode(fresh, &c, &y), SOTTO_OK);
    assert_true(span_equal(bytes_of(&x), bytes_of(&y)));
    batch_close(used);
    batch_close(fresh);
    buf_fini(&x);
    buf_fini(&y);
    policy_free(p);
}

static void refuses_when_full_and_keeps_nothing_of_the_event(void **state)
{
    struct policy *p = sample_policy();
    struct counters c = {0};
    struct sample_texts texts;
    struct event ev;
    struct batch *b;
    struct buf before, after;
    uint64_t rng = 8;
    unsigned added = 0;

    (void)state;
    buf_init(&before, BATCH_BYTES_MAX);
    buf_init(&after, BATCH_BYTES_MAX);
    assert_int_equal(batch_open(&b, 5000, 0), SOTTO_OK); /* room for little */
    batch_begin(b, p);
    for (;; added++) {
        sample_random_event(&ev, p, &texts, &rng);
        ev.fits = added % 2 ? p : NULL; /* it does, so it makes no difference */
        buf_clear(&before);
        assert_int_equal(batch_encode(b, &c, &before), SOTTO_OK);
        if (batch_add(b, &ev))
            break;
    }
    assert_in_range(added, 50, 4999);
    assert_int_equal(batch_add(b, &ev), SOTTO_EFULL);
    assert_int_equal(batch_encode(b, &c, &after), SOTTO_OK);
    assert_true(span_equal(bytes_of(&before), bytes_of(&after)));
    batch_begin(b, p);
    assert_int_equal(batch_add(b, &ev), SOTTO_OK);
    batch_close(b);

    assert_int_equal(batch_open(&b, 3, 1 << 16), SOTTO_OK);
    fill(b, p, 3);
    assert_int_equal(batch_add(b, &ev), SOTTO_EFULL);
    assert_int_equal(batch_count(b), 3);
    batch_close(b);
    buf_fini(&before);
    buf_fini(&after);
    policy_free(p);
}

/* The first text of the last event would fit, the second does not. */
static void keeps_no_text_of_an_event_that_found_no_room(void **state)
{
    struct policy *p = sample_policy();
    struct counters c = {0};
    struct event ev = {.index = 0};
    struct batch *b;
    struct buf before, after;
    enum sotto_err err;
    unsigned added = 0;

    (void)state;
    buf_init(&before, BATCH_BYTES_MAX);
    buf_init(&after, BATCH_BYTES_MAX);
    assert_int_equal(batch_open(&b, 5000, 0), SOTTO_OK);
    batch_begin(b, p);
    do {
        char item[16], category[65];

        snprintf(item, sizeof(item), "%u", added);
        snprintf(category, sizeof(category), "%064u", added);
        ev.values[4].present = true;
        ev.values[4].text = span_text(item);
        ev.values[5].present = true;
        ev.values[5].text = span_text(category);
        ev.fits = p;
        buf_clear(&before);
        assert_int_equal(batch_encode(b, &c, &before), SOTTO_OK);
        err = batch_add(b, &ev);
        added += err == SOTTO_OK;
    } while (!err);
    assert_int_equal(err, SOTTO_EFULL);
    assert_in_range(added, 100, 250);
    assert_int_equal(batch_encode(b, &c, &after), SOTTO_OK);
    assert_true(span_equal(bytes_of(&before), bytes_of(&after)));
    batch_close(b);
    buf_fini(&before);
    buf_fini(&after);
    policy_free(p);
}

static void refuses_what_does_not_fit_the_policy(void **state)
{
    struct policy *p = sample_policy();
    struct event ev = {.index = 0};
    struct batch *b;

    (void)state;
    assert_int_equal(batch_open(&b, 0, 1), SOTTO_EINVAL);
    assert_int_equal(batch_open(&b, BATCH_EVENTS_MAX + 1, 1), SOTTO_EINVAL);
    assert_int_equal(batch_open(&b, 10, 1 << 16), SOTTO_OK);
    batch_begin(b, p);
    assert_int_equal(batch_add(b, &ev), SOTTO_OK);
    ev.index = p->event_count;
    assert_int_equal(batch_add(b, &ev), SOTTO_EINVAL);
    ev.index = 0;
    ev.consent = 8; /* a fourth purpose */
    assert_int_equal(batch_add(b, &ev), SOTTO_EINVAL);
    ev.consent = 0;
    ev.values[0].present = true;
    ev.values[0].number = 1; /* a time that is not rounded */
    assert_int_equal(batch_add(b, &ev), SOTTO_EINVAL);
    assert_int_equal(batch_count(b), 1);
    batch_close(b);
    policy_free(p);
}

/* Any byte changed or cut off: refused, or events that fit the policy. */
static void survives_damage(void **state)
{
    struct policy *p = sample_policy();
    struct counters c = {.produced = 5};
    struct batch *b;
    struct buf body;
    uint64_t rng = 13;
    unsigned taken = 0, refused = 0;

    (void)state;
    counters_add(&c, "too_old", 1);
    buf_init(&body, BATCH_BYTES_MAX);
    assert_int_equal(batch_open(&b, 100, 1 << 16), SOTTO_OK);
    fill(b, p, 30);
    assert_int_equal(batch_encode(b, &c, &body), SOTTO_OK);
    for (size_t i = 0; i < 4 * body.size; i++) {
        size_t at = i % body.size;
        uint8_t kept = body.data[at];
        struct batch_view *v;
        struct event ev;

        assert_int_not_equal(batch_decode(&v, span_of(body.data, at), p),
                             SOTTO_OK);
        body.data[at] ^= (uint8_t)(1 + sample_below(&rng, 255));
        if (batch_decode(&v, bytes_of(&body), p)) {
            refused++;
        } else {
            batch_begin(b, p);
            for (uint32_t e = 0; e < batch_view_count(v); e++) {
                batch_view_event(v, e, &ev);
                assert_int_equal(batch_add(b, &ev), SOTTO_OK);
            }
            batch_view_free(v);
            taken++;
        }
        body.data[at] = kept;
    }
    assert_true(taken > 100 && refused > 100);
    batch_close(b);
    buf_fini(&body);
    policy_free(p);
}

/* Bodies of one purchase of product "x" to the sample policy, written out. */
static const char head[] = "9801"        /* body, version 1 */
                           "9401010090"; /* counters */

static enum sotto_err decode_after(const char *start, const char *hex)
{
    struct policy *p = sample_policy();
    struct batch_view *v = NULL;
    char text[600];
    uint8_t bytes[300];
    size_t size;
    enum sotto_err err;

    snprintf(text, sizeof(text), "%s%s", start, hex);
    size = sample_hex(bytes, text);
    err = batch_decode(&v, span_of(bytes, size), p);
    batch_view_free(v);
    policy_free(p);
    return err;
}

static enum sotto_err decode_hex(const char *hex)
{
    return decode_after(head, hex);
}

static void checks_the_counters(void **state)
{
    static const char empty[] = "c40090c40090c40090";

    (void)state;
    assert_int_equal(decode_after("980194010100"
                                  "90",
                                  empty),
                     SOTTO_OK);
    assert_int_equal(decode_after("980194010100"
                                  "9192a16101",
                                  empty),
                     SOTTO_OK);
    /* a capital, a name twice, a name of nothing, a count below zero */
    assert_int_equal(decode_after("980194010100"
                                  "9192a14101",
                                  empty),
                     SOTTO_EDECODE);
    assert_int_equal(decode_after("980194010100"
                                  "9292a1610192a16101",
                                  empty),
                     SOTTO_EDECODE);
    assert_int_equal(decode_after("980194010100"
                                  "9192a001",
                                  empty),
                     SOTTO_EDECODE);
    assert_int_equal(decode_after("9801940101ff"
                                  "90",
                                  empty),
                     SOTTO_EDECODE);
    assert_int_equal(decode_after("980294010100"
                                  "90",
                                  empty),
                     SOTTO_EVERSION);
    assert_int_equal(decode_after("990194010100"
                                  "90",
                                  "c40090c40090c4009000"),
                     SOTTO_EDECODE);
}

/* identities, texts, order, sets, set numbers, types: nine fields */
static void checks_every_number(void **state)
{
#define ID "c41001010101010101010101010101010101"
#define NILS5 "c0c0c0c0c0"
    (void)state;
    /* whole: text x, one event of type 2, set {0}, item is text 0 */
    assert_int_equal(decode_hex("c400"
                                "91a178"
                                "c40102"
                                "9101"
                                "c400"
                                "9199c0c0c0c092c400c400c0c0c0c0"),
                     SOTTO_OK);
    /* text 1 of one */
    assert_int_equal(decode_hex("c40091a178c401029101c400"
                                "9199c0c0c0c092c400c40101c0c0c0c0"),
                     SOTTO_EDECODE);
    /* event type 3 of three */
    assert_int_equal(decode_hex("c40091a178c401039101c400"
                                "9199c0c0c0c092c400c400c0c0c0c0"),
                     SOTTO_EDECODE);
    /* a purpose that is not there */
    assert_int_equal(decode_hex("c40091a178c401029108c400"
                                "9199c0c0c0c092c400c400c0c0c0c0"),
                     SOTTO_EDECODE);
    /* set 1 of one */
    assert_int_equal(decode_hex("c40091a178c401029101c40101"
                                "9199c0c0c0c092c400c400c0c0c0c0"),
                     SOTTO_EDECODE);
    /* a type too many, and one too few */
    assert_int_equal(decode_hex("c40091a178c401029101c400"
                                "9299c0c0c0c092c400c400c0c0c0c0"
                                "99" NILS5 "c0c0c0c0"),
                     SOTTO_EDECODE);
    assert_int_equal(decode_hex("c40091a178c401029101c40090"), SOTTO_EDECODE);
    /* a presence that says what an empty one says, and one that is too long */
    assert_int_equal(decode_hex("c40091a178c401029101c400"
                                "9199c0c0c0c092c40101c400c0c0c0c0"),
                     SOTTO_EDECODE);
    assert_int_equal(decode_hex("c40091a178c402020291"
                                "01c400"
                                "9199c0c0c0c092c4020100c400c0c0c0c0"),
                     SOTTO_EDECODE);
    /* subject: identity 0 of one; 1 of one; the day's has only 64 bits */
    assert_int_equal(decode_hex(ID "90c401029101c400"
                                   "9199c092c400c400c0c0c0c0c0c0c0"),
                     SOTTO_OK);
    assert_int_equal(decode_hex(ID "90c401029101c400"
                                   "9199c092c400c40101c0c0c0c0c0c0c0"),
                     SOTTO_EDECODE);
    assert_int_equal(decode_hex(ID "90c401029101c400"
                                   "9199c0c092c400c400c0c0c0c0c0c0"),
                     SOTTO_EDECODE);
    /* one pseudonym twice */
    assert_int_equal(decode_hex("c420"
                                "01010101010101010101010101010101"
                                "01010101010101010101010101010101"
                                "90c401029101c40091"
                                "99c092c400c400c0c0c0c0c0c0c0"),
                     SOTTO_EDECODE);
    /* bucket: edge 3 of four, and 4 */
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "9199c0c0c0c0c0c0c092c400c40103c0"),
                     SOTTO_OK);
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "9199c0c0c0c0c0c0c092c400c40104c0"),
                     SOTTO_EDECODE);
    /* time: 900000 is rounded, 900001 is not, -900000 is before 1970 */
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "919994c400ce000dbba001c400"
                                "c0c0c0c0c0c0c0c0"),
                     SOTTO_OK);
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "919994c400ce000dbba101c400"
                                "c0c0c0c0c0c0c0c0"),
                     SOTTO_EDECODE);
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "919994c400d2fff2446001c400"
                                "c0c0c0c0c0c0c0c0"),
                     SOTTO_EDECODE);
    /* quantity: 2^63-1 + 1 wraps; a scale of 0; numbers of half a byte */
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "9199c0c0c0c0c0c0c0c0"
                                "94c400cf7fffffffffffffff01c400"),
                     SOTTO_OK);
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "9199c0c0c0c0c0c0c0c0"
                                "94c400cf7fffffffffffffff01c40101"),
                     SOTTO_EDECODE);
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "9199c0c0c0c0c0c0c0c094c4000100c400"),
                     SOTTO_EDECODE);
    assert_int_equal(decode_hex("c40090c40202029101c400"
                                "9199c0c0c0c0c0c0c0c094c4000001c40101"),
                     SOTTO_EDECODE);
    /* session numbers begin at 1 */
    assert_int_equal(decode_hex("c40090c401029101c400"
                                "9199c0c0c094c4000001c400c0c0c0c0c0"),
                     SOTTO_EDECODE);
}

/* A text that its action cannot have made is refused, whoever sends it. */
static void a_text_that_no_action_made_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum sotto_err err;
    } rows[] = {{"203.0.0.0/16", SOTTO_OK}, {"203.0.113.7", SOTTO_EDECODE}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct policy *p = sample_policy();
        struct policy_field *f = &p->events[0].fields[5];
        struct counters c = {0};
        struct batch_view *v = NULL;
        struct event ev = {.index = 0};
        struct batch *b;
        struct buf body;

        ev.values[5].present = true;
        ev.values[5].text = span_text(rows[i].text);
        buf_init(&body, BATCH_BYTES_MAX);
        assert_int_equal(batch_open(&b, 10, 1 << 16), SOTTO_OK);
        batch_begin(b, p);
        assert_int_equal(batch_add(b, &ev), SOTTO_OK); /* as kept text */
        assert_int_equal(batch_encode(b, &c, &body), SOTTO_OK);
        f->action = ACTION_IP;
        f->v4 = 16;
        f->v6 = 32;
        assert_int_equal(batch_decode(&v, bytes_of(&body), p), rows[i].err);
        batch_view_free(v);
        batch_close(b);
        buf_fini(&body);
        policy_free(p);
    }
}

/* The form travels between versions: it may not change unnoticed. */
static void body_is_frozen(void **state)
{
    static const char frozen[] =
        "5797d2235d6c7dc4e0dfc59d706361af28fc0b08caca8678afebb3b747c54ef6";
    struct policy *p = sample_policy();
    struct counters c = {.produced = 41, .accepted = 40, .fields_emptied = 2};
    struct batch *b;
    struct buf body;
    uint8_t hash[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];

    (void)state;
    counters_add(&c, "no_consent", 1);
    buf_init(&body, BATCH_BYTES_MAX);
    assert_int_equal(batch_open(&b, 100, 1 << 16), SOTTO_OK);
    fill(b, p, 40);
    assert_int_equal(batch_encode(b, &c, &body), SOTTO_OK);
    hash_bytes(hash, bytes_of(&body), span_of("", 0));
    sodium_bin2hex(hex, sizeof(hex), hash, HASH_SIZE);
    assert_string_equal(hex, frozen);
    batch_close(b);
    buf_fini(&body);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_batches_come_back),
        cmocka_unit_test(an_emptied_batch_is_like_a_new_one),
        cmocka_unit_test(refuses_when_full_and_keeps_nothing_of_the_event),
        cmocka_unit_test(keeps_no_text_of_an_event_that_found_no_room),
        cmocka_unit_test(refuses_what_does_not_fit_the_policy),
        cmocka_unit_test(checks_the_counters),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(checks_every_number),
        cmocka_unit_test(a_text_that_no_action_made_is_refused),
        cmocka_unit_test(body_is_frozen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
