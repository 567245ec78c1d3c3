/* pack: what is packed is read back, everything else is refused, and the
 * buffer's limit holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "../support/wire.h"
#include "wire/pack.h"

static const struct check_limits wide = {1 << 20, 32, 1 << 20};

struct fixture {
    struct buf b;
    struct packer p;
    struct unpacked u;
};

static void fixture_init(struct fixture *f)
{
    buf_init(&f->b, 1 << 20);
    pack_init(&f->p, &f->b);
}

static const msgpack_object *fixture_read(struct fixture *f)
{
    assert_int_equal(f->p.err, SOTTO_OK);
    assert_int_equal(unpack_open(&f->u, span_of(f->b.data, f->b.size), &wide),
                     SOTTO_OK);
    return &f->u.root;
}

static void fixture_fini(struct fixture *f)
{
    unpack_close(&f->u);
    buf_fini(&f->b);
}

static void integers_survive(void **state)
{
    static const int64_t values[] = {0,     1,         -1,        127,
                                     -33,   -129,      INT16_MIN, INT32_MIN,
                                     65536, INT64_MAX, INT64_MIN, 1LL << 32};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct fixture f;
        const msgpack_object *o;
        int64_t got;
        uint64_t unsigned_got;

        fixture_init(&f);
        pack_int(&f.p, values[i]);
        o = fixture_read(&f);
        assert_int_equal(get_int(o, &got), SOTTO_OK);
        assert_true(got == values[i]);
        assert_int_equal(get_uint(o, UINT64_MAX, &unsigned_got),
                         values[i] < 0 ? SOTTO_EDECODE : SOTTO_OK);
        fixture_fini(&f);
    }
}

static void unsigned_limits_hold(void **state)
{
    struct fixture f;
    uint64_t got;
    int64_t signed_got;

    (void)state;
    fixture_init(&f);
    pack_uint(&f.p, UINT64_MAX);
    fixture_read(&f);
    assert_int_equal(get_uint(&f.u.root, UINT64_MAX, &got), SOTTO_OK);
    assert_true(got == UINT64_MAX);
    assert_int_equal(get_uint(&f.u.root, UINT64_MAX - 1, &got), SOTTO_EDECODE);
    assert_int_equal(get_int(&f.u.root, &signed_got), SOTTO_EDECODE);
    fixture_fini(&f);
}

static void reals_survive_in_the_shorter_form(void **state)
{
    static const struct {
        double value;
        size_t size;
    } rows[] = {
        {0.5, 5}, {-3.0, 5}, {0.1, 9}, {1e300, 9}, {(double)INFINITY, 9}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        double got;

        fixture_init(&f);
        pack_real(&f.p, rows[i].value);
        assert_int_equal(f.b.size, rows[i].size);
        assert_int_equal(get_real(fixture_read(&f), &got), SOTTO_OK);
        assert_true(got == rows[i].value);
        fixture_fini(&f);
    }
}

static void bytes_and_texts_are_different(void **state)
{
    struct fixture f;
    const msgpack_object *o;
    struct span got;
    uint32_t count;
    uint8_t fixed[3];
    bool flag = false;

    (void)state;
    fixture_init(&f);
    pack_array(&f.p, 6);
    pack_bin(&f.p, span_of("a\0c", 3));
    pack_text(&f.p, span_text("abc"));
    pack_text(&f.p, span_of("a\0c", 3));
    pack_bin(&f.p, span_of(NULL, 0));
    pack_text(&f.p, span_of(NULL, 0));
    pack_bool(&f.p, true);
    assert_int_equal(get_array(fixture_read(&f), 6, 6, &o, &count), SOTTO_OK);
    assert_int_equal(get_bin(&o[0], 3, &got), SOTTO_OK);
    assert_true(span_equal(got, span_of("a\0c", 3)));
    assert_int_equal(get_bin(&o[0], 2, &got), SOTTO_EDECODE);
    assert_int_equal(get_fixed(&o[0], fixed, 3), SOTTO_OK);
    assert_memory_equal(fixed, "a\0c", 3);
    assert_int_equal(get_fixed(&o[0], fixed, 2), SOTTO_EDECODE);
    assert_int_equal(get_fixed(&o[0], fixed, 4), SOTTO_EDECODE);
    assert_int_equal(get_text(&o[0], 3, &got), SOTTO_EDECODE);
    assert_int_equal(get_text(&o[1], 3, &got), SOTTO_OK);
    assert_int_equal(get_text(&o[1], 2, &got), SOTTO_EDECODE);
    assert_int_equal(get_bin(&o[1], 3, &got), SOTTO_EDECODE);
    assert_int_equal(get_text(&o[2], 3, &got), SOTTO_EDECODE);
    assert_int_equal(get_bin(&o[3], 0, &got), SOTTO_OK);
    assert_int_equal(got.size, 0);
    assert_int_equal(get_text(&o[4], 0, &got), SOTTO_OK);
    assert_int_equal(get_bool(&o[5], &flag), SOTTO_OK);
    assert_true(flag);
    assert_int_equal(get_bool(&o[4], &flag), SOTTO_EDECODE);
    fixture_fini(&f);
}

static void arrays_take_a_range_of_counts(void **state)
{
    struct fixture f;
    const msgpack_object *o;
    uint32_t count;
    double real;

    (void)state;
    fixture_init(&f);
    pack_array(&f.p, 2);
    pack_nil(&f.p);
    pack_map(&f.p, 0);
    fixture_read(&f);
    assert_int_equal(get_array(&f.u.root, 1, 2, &o, &count), SOTTO_OK);
    assert_int_equal(count, 2);
    assert_int_equal(get_array(&f.u.root, 3, 9, &o, &count), SOTTO_EDECODE);
    assert_int_equal(get_array(&f.u.root, 0, 1, &o, &count), SOTTO_EDECODE);
    assert_int_equal(get_array(&o[1], 0, 9, &o, &count), SOTTO_EDECODE);
    assert_int_equal(get_real(&o[0], &real), SOTTO_EDECODE);
    fixture_fini(&f);
}

static void keeps_the_first_error(void **state)
{
    struct buf b;
    struct packer p;

    (void)state;
    buf_init(&b, 4);
    pack_init(&p, &b);
    pack_uint(&p, 1);
    pack_text(&p, span_text("too long"));
    assert_int_equal(p.err, SOTTO_ETOOBIG);
    pack_uint(&p, 1);
    assert_int_equal(p.err, SOTTO_ETOOBIG);
    assert_true(b.size <= 4);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_survive),
        cmocka_unit_test(unsigned_limits_hold),
        cmocka_unit_test(reals_survive_in_the_shorter_form),
        cmocka_unit_test(bytes_and_texts_are_different),
        cmocka_unit_test(arrays_take_a_range_of_counts),
        cmocka_unit_test(keeps_the_first_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
