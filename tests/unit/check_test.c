/* check: hostile inputs are refused before anything is reserved, and what it
 * accepts is what msgpack-c accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/wire.h"
#include "wire/pack.h"

static const struct check_limits wide = {1 << 20, 32, 1 << 20};

static enum sotto_err check_hex(const char *hex,
                                const struct check_limits *limits)
{
    struct buf b;
    enum sotto_err err;

    buf_init(&b, 4096);
    hex_append(&b, hex);
    err = check_msgpack(span_of(b.data, b.size), limits);
    buf_fini(&b);
    return err;
}

static void refuses_hostile_inputs(void **state)
{
    static const struct {
        const char *hex;
        enum sotto_err want;
    } rows[] = {
        {"", SOTTO_EDECODE},           /* nothing */
        {"c1", SOTTO_EDECODE},         /* never used */
        {"ddffffffff", SOTTO_EDECODE}, /* array of 4 Gi */
        {"dfffffffff", SOTTO_EDECODE}, /* map of 4 Gi */
        {"dbffffffff", SOTTO_EDECODE}, /* text of 4 GiB */
        {"c6ffffffff", SOTTO_EDECODE}, /* bin of 4 GiB */
        {"df80000000", SOTTO_EDECODE}, /* twice this wraps 32 bits */
        {"9f01", SOTTO_EDECODE},       /* 15 values, one there */
        {"8101", SOTTO_EDECODE},       /* a key without a value */
        {"a3ff", SOTTO_EDECODE},       /* a text cut short */
        {"d9", SOTTO_EDECODE},         /* a length cut off */
        {"cf000000", SOTTO_EDECODE},   /* a number cut short */
        {"0101", SOTTO_EDECODE},       /* trailing */
        {"90c0", SOTTO_EDECODE},       /* trailing after a container */
        {"d40101", SOTTO_EDECODE},     /* extensions */
        {"d5010000", SOTTO_EDECODE},
        {"c7000100", SOTTO_EDECODE},
        {"c7010100", SOTTO_EDECODE},
        {"91d40101", SOTTO_EDECODE},
        {"c0", SOTTO_OK},
        {"e0", SOTTO_OK},
        {"7f", SOTTO_OK},
        {"80", SOTTO_OK},
        {"dc000101", SOTTO_OK},
        {"de000101c3", SOTTO_OK},
        {"cb3ff0000000000000", SOTTO_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (check_hex(rows[i].hex, &wide) != rows[i].want)
            fail_msg("%s", rows[i].hex);
}

static void refuses_over_a_limit(void **state)
{
    struct check_limits limits = {4, 2, 3};
    struct check_limits shallow = {100, 2, 100};
    uint8_t deep[40];

    (void)state;
    assert_int_equal(check_hex("9181a0c0", &shallow), SOTTO_OK);
    assert_int_equal(check_hex("9181a090", &shallow), SOTTO_ETOOBIG);
    assert_int_equal(check_hex("c0c0c0c0", &limits), SOTTO_EDECODE);
    assert_int_equal(check_hex("c0c0c0c0c0", &limits), SOTTO_ETOOBIG);
    assert_int_equal(check_hex("9101", &limits), SOTTO_OK);
    assert_int_equal(check_hex("919101", &limits), SOTTO_OK);
    assert_int_equal(check_hex("91919101", &limits), SOTTO_ETOOBIG);
    assert_int_equal(check_hex("9191c0c0", &limits), SOTTO_EDECODE);
    assert_int_equal(check_hex("93010203", &limits), SOTTO_ETOOBIG);
    assert_int_equal(check_hex("a4010203ff", &limits), SOTTO_ETOOBIG);
    memset(deep, 0x91, sizeof deep);
    deep[32] = 0x01;
    assert_int_equal(check_msgpack(span_of(deep, 33), &wide), SOTTO_OK);
    deep[32] = 0x91;
    deep[33] = 0x01;
    assert_int_equal(check_msgpack(span_of(deep, 34), &wide), SOTTO_ETOOBIG);
}

static void first_tells_where_the_next_begins(void **state)
{
    static const uint8_t bytes[] = {0x92, 0x01, 0xa1, 0x78, 0xc0, 0xc1};
    struct check_limits limits = {4, 2, 3};
    size_t size = 0;

    (void)state;
    assert_int_equal(check_first(span_of(bytes, 6), &limits, &size), SOTTO_OK);
    assert_int_equal(size, 4);
    assert_int_equal(check_first(span_of(bytes + 4, 2), &limits, &size),
                     SOTTO_OK);
    assert_int_equal(size, 1);
    limits.bytes_max = 3;
    assert_int_equal(check_first(span_of(bytes, 6), &limits, &size),
                     SOTTO_ETOOBIG);
}

/* A random value at most depth deep; counts its nodes. */
static void random_value(struct packer *p, uint64_t *rng, uint32_t depth,
                         uint64_t *nodes)
{
    static const uint8_t bytes[70000];
    uint64_t r = random_next(rng);
    size_t size = r % 3 ? r % 40 : r % sizeof bytes;
    uint32_t count = (uint32_t)(random_next(rng) % 20);

    ++*nodes;
    switch (r >> 32 & 7) {
    case 0:
        pack_uint(p, r >> (r % 64));
        break;
    case 1:
        pack_int(p, -(int64_t)(r >> (1 + r % 63)));
        break;
    case 2:
        pack_real(p, (double)r / 3);
        break;
    case 3:
        pack_bin(p, span_of(bytes, size));
        break;
    case 4:
        pack_text(p, span_of(bytes, size));
        break;
    case 5:
        pack_bool(p, r & 1);
        break;
    default:
        if (!depth) {
            pack_nil(p);
            break;
        }
        if (r & 1)
            pack_array(p, 2 * count);
        else
            pack_map(p, count);
        for (uint32_t i = 0; i < 2 * count; i++)
            random_value(p, rng, depth - 1, nodes);
    }
}

static void truncations_are_refused(struct span bytes)
{
    size_t step = bytes.size > 2000 ? bytes.size / 500 : 1;

    for (size_t size = 0; size < bytes.size; size += step)
        assert_int_equal(check_msgpack(span_of(bytes.data, size), &wide),
                         SOTTO_EDECODE);
}

static void agrees_with_msgpack_c_on_valid_values(void **state)
{
    uint64_t rng = 7;

    (void)state;
    for (int i = 0; i < 400; i++) {
        struct check_limits limits = wide;
        struct unpacked u;
        struct packer p;
        struct buf b;
        uint64_t nodes = 0;

        buf_init(&b, 1 << 24);
        pack_init(&p, &b);
        random_value(&p, &rng, 3, &nodes);
        assert_int_equal(p.err, SOTTO_OK);
        limits.bytes_max = b.size;
        limits.nodes_max = nodes;
        assert_int_equal(unpack_open(&u, span_of(b.data, b.size), &limits),
                         SOTTO_OK);
        unpack_close(&u);
        limits.nodes_max = nodes - 1;
        assert_int_equal(check_msgpack(span_of(b.data, b.size), &limits),
                         SOTTO_ETOOBIG);
        if (b.size <= wide.bytes_max)
            truncations_are_refused(span_of(b.data, b.size));
        limits.bytes_max = b.size + 1;
        limits.nodes_max = nodes + 1;
        assert_int_equal(buf_append(&b, "\xc0", 1), SOTTO_OK);
        assert_int_equal(check_msgpack(span_of(b.data, b.size), &limits),
                         SOTTO_EDECODE);
        buf_fini(&b);
    }
}

/* msgpack-c's own word on bytes too short to claim much. */
static void agree_on(const uint8_t *bytes, size_t size)
{
    msgpack_zone *zone = msgpack_zone_new(256);
    msgpack_object root;
    size_t at = 0;
    bool theirs;

    theirs = msgpack_unpack((const char *)bytes, size, &at, zone, &root) ==
                 MSGPACK_UNPACK_SUCCESS &&
             at == size && root.type != MSGPACK_OBJECT_EXT;
    msgpack_zone_free(zone);
    if (theirs != (check_msgpack(span_of(bytes, size), &wide) == SOTTO_OK))
        fail_msg("%02x %02x %02x, size %zu", bytes[0], bytes[1], bytes[2],
                 size);
}

static void agrees_with_msgpack_c_on_short_inputs(void **state)
{
    uint64_t rng = 11;

    (void)state;
    for (uint32_t v = 0; v < 0x10000; v++) {
        uint8_t bytes[3] = {(uint8_t)(v >> 8), (uint8_t)v,
                            (uint8_t)random_next(&rng)};

        agree_on(bytes, 3);
        agree_on(bytes, 2);
        if ((v & 0xff) == 0)
            agree_on(bytes, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_hostile_inputs),
        cmocka_unit_test(refuses_over_a_limit),
        cmocka_unit_test(first_tells_where_the_next_begins),
        cmocka_unit_test(agrees_with_msgpack_c_on_valid_values),
        cmocka_unit_test(agrees_with_msgpack_c_on_short_inputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
