/* The registry: versions are kept with their state, and the live model comes
 * back as it was. */
#include "aggregator/registry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define ITEMS 5

struct bench {
    struct shop shop;
    struct registry *registry;
    char states[8][16];
    uint64_t count;
};

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    shop_open(&b.shop);
    assert_int_equal(registry_open(&b.registry, b.shop.store), SOTTO_OK);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    registry_close(b->registry);
    shop_close(&b->shop);
    return 0;
}

/* Item i speaks for i + 1 with weight i + mark. */
static struct live_model *model(unsigned mark, bool ridge)
{
    struct live_model *m = live_model_new();
    struct columns c;
    struct weights w;

    assert_non_null(m);
    snprintf(m->name, sizeof m->name, "%s",
             ridge ? "localridge" : "popularity");
    m->name_of = calloc(ITEMS, sizeof *m->name_of);
    m->popularity = calloc(ITEMS, sizeof *m->popularity);
    assert_true(m->name_of && m->popularity);
    for (uint32_t i = 0; i < ITEMS; i++) {
        char text[32];
        uint32_t number;

        snprintf(text, sizeof text, "item-%u-%u", mark, i);
        assert_int_equal(dict_intern(&m->items, span_text(text), &number),
                         SOTTO_OK);
        snprintf(text, sizeof text, "name %u", i % 2);
        assert_int_equal(
            dict_intern(&m->names, span_text(text), &m->name_of[i]), SOTTO_OK);
        m->popularity[i] = (float)(i + mark) / 7;
    }
    if (!ridge)
        return m;
    assert_int_equal(columns_init(&c, ITEMS, 1), SOTTO_OK);
    for (uint32_t j = 1; j < ITEMS; j++) {
        c.sizes[j] = 1;
        c.sources[j] = j - 1;
        c.values[j] = (float)(j + mark);
    }
    assert_int_equal(weights_from_columns(&w, &c), SOTTO_OK);
    assert_int_equal(weights8_from(&m->rows8, &w), SOTTO_OK);
    assert_int_equal(weights_from_8(&m->rows, &m->rows8), SOTTO_OK);
    weights_fini(&w);
    columns_fini(&c);
    return m;
}

static void add(struct bench *b, struct live_model *m, bool live)
{
    json_t *meta = json_pack("{s:s}", "about", m->name);

    assert_int_equal(registry_add(b->registry, b->shop.store, m, meta, live),
                     SOTTO_OK);
    json_decref(meta);
}

static void keep_state(void *context, uint64_t version, const char *state,
                       const json_t *meta)
{
    struct bench *b = context;

    assert_true(version < 8);
    assert_non_null(json_object_get(meta, "about"));
    snprintf(b->states[version], sizeof b->states[version], "%s", state);
    b->count++;
}

static void assert_same(const struct live_model *a, const struct live_model *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->items.count, b->items.count);
    for (uint32_t i = 0; i < a->items.count; i++) {
        assert_true(span_equal(live_model_item(a, i), live_model_item(b, i)));
        assert_true(span_equal(live_model_name(a, i), live_model_name(b, i)));
        assert_true(a->popularity[i] == b->popularity[i]);
    }
    assert_int_equal(a->rows.items, b->rows.items);
    for (uint32_t i = 0; i < a->rows.items; i++) {
        assert_int_equal(a->rows.starts[i + 1], b->rows.starts[i + 1]);
        for (uint64_t n = a->rows.starts[i]; n < a->rows.starts[i + 1]; n++) {
            assert_int_equal(a->rows.targets[n], b->rows.targets[n]);
            assert_true(a->rows.values[n] == b->rows.values[n]);
        }
    }
}

static void the_live_model_comes_back(void **state)
{
    struct bench *b = *state;

    assert_null(registry_live(b->registry));
    for (unsigned i = 0; i < 2; i++) {
        struct live_model *made = model(i + 1, i == 0), *live;

        add(b, made, true);
        registry_close(b->registry);
        assert_int_equal(registry_open(&b->registry, b->shop.store), SOTTO_OK);
        live = registry_live(b->registry);
        assert_non_null(live);
        assert_int_equal(live->version, i + 1);
        assert_same(live, made);
        live_model_release(live);
        live_model_release(made);
    }
}

static void versions_keep_their_state(void **state)
{
    static const bool live[] = {true, false, true, false};
    static const char *const states[] = {"", "earlier", "rejected", "live",
                                         "rejected"};
    struct bench *b = *state;
    struct live_model *now;

    for (unsigned i = 0; i < 4; i++) {
        struct live_model *m = model(i, true);

        add(b, m, live[i]);
        assert_int_equal(m->version, i + 1);
        live_model_release(m);
    }
    assert_int_equal(registry_each(b->shop.store, keep_state, b), SOTTO_OK);
    assert_int_equal(b->count, 4);
    for (unsigned i = 1; i <= 4; i++)
        assert_string_equal(b->states[i], states[i]);
    now = registry_live(b->registry);
    assert_int_equal(now->version, 3);
    live_model_release(now);
}

/* Who looks something up keeps what he holds. */
static void a_held_model_outlives_its_successor(void **state)
{
    struct bench *b = *state;
    struct live_model *first = model(1, true), *held, *second = model(2, true);

    add(b, first, true);
    live_model_release(first);
    held = registry_live(b->registry);
    add(b, second, true);
    live_model_release(second);
    assert_int_equal(held->version, 1);
    assert_true(span_equal(live_model_item(held, 0), span_text("item-1-0")));
    live_model_release(held);
    live_model_release(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_live_model_comes_back),
        TEST(versions_keep_their_state),
        TEST(a_held_model_outlives_its_successor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
