/* An import's cursor survives its byte form; nothing else decodes. */
#include "agent/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_policy.h"

static struct import_cursor sample(unsigned reasons)
{
    struct import_cursor c = {.row = UINT64_MAX - 3, .done = 1};

    memset(c.source, 0xa1, sizeof c.source);
    memset(c.running, 0xb2, sizeof c.running);
    c.reason_count = (uint8_t)reasons;
    for (unsigned i = 0; i < reasons; i++) {
        memset(c.reasons[i].name, 'a' + (int)i % 26,
               i == 0 ? COUNTER_NAME_MAX : 1 + i % COUNTER_NAME_MAX);
        c.reasons[i].count = UINT64_C(1) << (2 * i);
    }
    return c;
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    for (unsigned reasons = 0; reasons <= CURSOR_REASONS_MAX; reasons++) {
        struct import_cursor c = sample(reasons), back;
        uint8_t bytes[CURSOR_BYTES_MAX];
        size_t size = cursor_encode(&c, bytes);

        assert_true(size <= CURSOR_BYTES_MAX);
        assert_int_equal(cursor_decode(&back, span_of(bytes, size)), SOTTO_OK);
        assert_memory_equal(&back, &c, sizeof c);
    }
}

static void every_cut_and_every_tail_is_refused(void **state)
{
    struct import_cursor c = sample(3), back;
    uint8_t bytes[CURSOR_BYTES_MAX + 1];
    size_t size = cursor_encode(&c, bytes);

    (void)state;
    bytes[size] = 0;
    for (size_t cut = 0; cut <= size + 1; cut++)
        assert_int_equal(cursor_decode(&back, span_of(bytes, cut)),
                         cut == size ? SOTTO_OK : SOTTO_EDECODE);
}

static void more_reasons_than_there_may_be_are_refused(void **state)
{
    struct import_cursor c = sample(CURSOR_REASONS_MAX), back;
    uint8_t bytes[CURSOR_BYTES_MAX];
    size_t size = cursor_encode(&c, bytes);

    (void)state;
    bytes[41] = CURSOR_REASONS_MAX + 1;
    assert_int_equal(cursor_decode(&back, span_of(bytes, size)), SOTTO_EDECODE);
}

/* Whatever the bytes are: refused, or a cursor that encodes to them again. */
static void random_bytes_are_refused_or_mean_something(void **state)
{
    uint64_t rng = 4711;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct import_cursor c = sample(sample_below(&rng, 4)), back;
        uint8_t bytes[CURSOR_BYTES_MAX], again[CURSOR_BYTES_MAX];
        size_t size = cursor_encode(&c, bytes);

        for (unsigned k = sample_below(&rng, 4); k > 0; k--)
            bytes[sample_below(&rng, (unsigned)size)] =
                (uint8_t)sample_below(&rng, 256);
        if (cursor_decode(&back, span_of(bytes, size)))
            continue;
        for (uint32_t k = 0; k < back.reason_count; k++)
            assert_true(counter_name_ok(span_text(back.reasons[k].name)));
        assert_int_equal(cursor_encode(&back, again), size);
        assert_memory_equal(again, bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(every_cut_and_every_tail_is_refused),
        cmocka_unit_test(more_reasons_than_there_may_be_are_refused),
        cmocka_unit_test(random_bytes_are_refused_or_mean_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
