/* An application of the library, for tests that use its public header only:
 * opens homes of a fixture, tracks, counts. */
#ifndef SOTTO_TESTS_APP_H
#define SOTTO_TESTS_APP_H

#include "sotto/sotto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

#define NOWHERE "tcp://127.0.0.1:9" /* discard; nobody listens */
#define SMALL "ring_size: 1MiB\n"

static inline struct sotto *open_home(const struct fixture *f, const char *home)
{
    struct sotto_options o = {.size = sizeof o,
                              .dir = home,
                              .token_file = f->token_file,
                              .bundle_file = f->bundle_file,
                              .bundle_code = f->code};
    struct sotto_why why;
    struct sotto *s = NULL;

    if (sotto_open(&s, &o, &why) != SOTTO_OK)
        fail_msg("%s", why.text);
    assert_non_null(s);
    return s;
}

static inline enum sotto_status track(struct sotto *s, const char *name)
{
    struct sotto_property p[] = {
        sotto_text("product_id", "85123A"),
        sotto_text("category", "Lights"),
        sotto_money("price", 2550000),
        sotto_int("quantity", 1),
    };
    struct sotto_event e = {
        .size = sizeof e, .name = name, .properties = p, .property_count = 4};

    return sotto_track(s, &e);
}

static inline struct sotto_counts counts(struct sotto *s)
{
    struct sotto_counts c = {.size = sizeof c};

    assert_int_equal(sotto_stats(s, &c), SOTTO_OK);
    return c;
}

static inline void assert_balanced(const struct sotto_counts *c)
{
    uint64_t dropped = 0;

    for (int i = 0; i < SOTTO_DROPS_MAX; i++)
        dropped += c->dropped_by[i];
    assert_int_equal(c->dropped, dropped);
    assert_int_equal(c->produced, c->accepted + c->dropped);
    assert_int_equal(c->accepted, c->in_ring + c->spooled + c->acknowledged +
                                      c->given_up + c->refused);
}

static inline uint64_t close_all(struct sotto *s)
{
    uint64_t left = 0;

    sotto_close(s, 0, &left);
    return left;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    fixture_make(f, NULL, NOWHERE, SMALL);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture_free(*state);
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
