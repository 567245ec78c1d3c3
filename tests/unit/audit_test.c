/* The audit log: what is recorded stands, and whatever is done to the file is
 * found: a byte, a cut, another history. The same looks pass on a log that
 * nobody touched, so that a check that always fails is no guard. */
#include "aggregator/audit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../support/shop.h"
#include "base/log.h"

#define ENTRIES 6 /* with the first, "log begun" */

struct bench {
    struct shop shop;
    struct keys *keys;
    struct audit *audit;
    char file[400];
};

/* ---- a disk that is full on demand ---- */

static bool full;

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at);

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    ssize_t half;

    if (!full)
        return __real_pwrite(fd, bytes, size, at);
    half = size > 1 ? __real_pwrite(fd, bytes, size / 2, at) : -1;
    errno = ENOSPC;
    return half < (ssize_t)(size / 2) || size < 20 ? -1 : half;
}

/* Nothing here is about power: what would be synced is counted. */
static unsigned syncs;
static bool sync_fails;

int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
    (void)fd;
    syncs++;
    errno = EIO;
    return sync_fails ? -1 : 0;
}

/* ---- the bench ---- */

static void open_audit(struct bench *b)
{
    struct why why;

    assert_int_equal(
        audit_open(&b->audit, b->file, b->keys, b->shop.store, &why), SOTTO_OK);
}

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    full = sync_fails = false;
    shop_open(&b.shop);
    assert_int_equal(sqlite3_exec(b.shop.store->db, "PRAGMA synchronous=OFF",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(keys_make(&b.keys), SOTTO_OK);
    snprintf(b.file, sizeof b.file, "%.300s.audit", b.shop.dir);
    open_audit(&b);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    audit_close(b->audit);
    keys_free(b->keys);
    unlink(b->file);
    shop_close(&b->shop);
    return 0;
}

static enum sotto_err add(struct bench *b, enum audit_kind kind, unsigned n)
{
    struct why why;

    return audit_append(b->audit, kind, 1000, json_pack("{s:i}", "n", (int)n),
                        &why);
}

/* Up to ENTRIES, of both sorts of kinds, the last one that is remembered. */
static void fill(struct bench *b)
{
    for (unsigned n = (unsigned)audit_size(b->audit); n < ENTRIES; n++)
        assert_int_equal(
            add(b, n % 2 ? AUDIT_TOKEN_MADE : AUDIT_PROFILE_READ, n), SOTTO_OK);
}

static void read_file(const struct bench *b, struct buf *out)
{
    buf_init(out, 1 << 20);
    assert_int_equal(buf_read_file(out, b->file), SOTTO_OK);
}

static void write_file(const struct bench *b, struct span bytes)
{
    assert_int_equal(file_replace(b->file, bytes.data, bytes.size, 0600),
                     SOTTO_OK);
}

struct verdict {
    enum sotto_err err;
    uint32_t count;
    struct audit_head head;
    struct audit_fault fault;
    struct why why;
};

/* As `audit verify` does, with a head that was kept, or without. */
static struct verdict verify(const struct bench *b, struct span bytes,
                             const struct audit_head *kept)
{
    struct verdict v = {0};
    struct audit_log l;

    assert_int_equal(audit_log_parse(&l, bytes), SOTTO_OK);
    v.err = audit_log_check(&l, b->keys->sign_pk, true, &v.fault, &v.why);
    if (!v.err && (l.torn > 0 || l.count == 0)) {
        v.err = SOTTO_ECRYPTO;
        v.fault.entry = (uint64_t)l.count + 1;
    }
    if (!v.err && kept)
        v.err = audit_log_follows(&l, kept, &v.fault, &v.why);
    v.count = l.count;
    v.head = l.head;
    audit_log_fini(&l);
    return v;
}

static struct span span(const struct buf *b)
{
    return span_of(b->data, b->size);
}

/* The number of the line that byte at is in, from 1. */
static uint64_t line_of(const struct buf *b, size_t at)
{
    uint64_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += b->data[i] == '\n';
    return line;
}

static size_t line_start(const struct buf *b, uint64_t number)
{
    size_t at = 0;

    while (line_of(b, at) < number)
        at++;
    return at;
}

static bool says(const struct bench *b, const char *text)
{
    struct buf bytes;
    bool found;

    read_file(b, &bytes);
    assert_int_equal(buf_append(&bytes, "", 1), SOTTO_OK);
    found = strstr((const char *)bytes.data, text) != NULL;
    buf_fini(&bytes);
    return found;
}

/* ---- what is done to the file ---- */

static void an_untouched_log_holds(void **state)
{
    struct bench *b = *state;
    struct verdict v, again;
    struct buf bytes;
    struct stat st;

    fill(b);
    read_file(b, &bytes);
    v = verify(b, span(&bytes), NULL);
    assert_int_equal(v.err, SOTTO_OK);
    assert_int_equal(v.count, ENTRIES);
    again = verify(b, span(&bytes), &v.head);
    assert_int_equal(again.err, SOTTO_OK);
    assert_int_equal(stat(b->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(says(b, "\"actor\":\"uid 1000\""));
    assert_true(says(b, "\"kind\":\"profile read\""));
    buf_fini(&bytes);
}

static void every_flipped_byte_is_found(void **state)
{
    /* One bit, the case of a letter, all bits. */
    static const uint8_t flips[] = {0x01, 0x20, 0xff};
    struct bench *b = *state;
    struct buf bytes;

    fill(b);
    read_file(b, &bytes);
    for (size_t at = 0; at < bytes.size; at++) {
        uint64_t line = line_of(&bytes, at);

        for (size_t f = 0; f < sizeof flips; f++) {
            struct verdict v;

            bytes.data[at] ^= flips[f];
            v = verify(b, span(&bytes), NULL);
            bytes.data[at] ^= flips[f];
            assert_int_equal(v.err, SOTTO_ECRYPTO);
            assert_int_equal(v.fault.entry, line);
        }
    }
    assert_int_equal(verify(b, span(&bytes), NULL).err, SOTTO_OK);
    buf_fini(&bytes);
}

static void every_cut_is_found(void **state)
{
    struct bench *b = *state;
    struct verdict whole;
    struct buf bytes;

    fill(b);
    read_file(b, &bytes);
    whole = verify(b, span(&bytes), NULL);
    assert_int_equal(whole.err, SOTTO_OK);
    for (size_t size = 0; size < bytes.size; size++) {
        struct span cut = span_of(bytes.data, size);
        bool at_an_end = size > 0 && bytes.data[size - 1] == '\n';
        struct verdict alone = verify(b, cut, NULL),
                       kept = verify(b, cut, &whole.head);

        /* The head is what finds the cut that leaves whole lines. */
        assert_int_equal(alone.err, at_an_end ? SOTTO_OK : SOTTO_ECRYPTO);
        assert_int_equal(kept.err, SOTTO_ECRYPTO);
        assert_int_equal(kept.fault.entry, line_of(&bytes, size));
        if (at_an_end) {
            assert_int_equal(kept.fault.offset, size);
            assert_non_null(strstr(kept.why.text, "it was cut"));
        }
    }
    buf_fini(&bytes);
}

/* Lines from..to of bytes, appended. */
static void take(struct buf *out, const struct buf *bytes, uint64_t from,
                 uint64_t to)
{
    size_t start = line_start(bytes, from), end = line_start(bytes, to + 1);

    assert_int_equal(buf_append(out, bytes->data + start, end - start),
                     SOTTO_OK);
}

static void lines_that_go_come_or_move_are_found(void **state)
{
    static const uint64_t orders[][4] = {
        /* lines a..b, then c..d */
        {1, 2, 4, ENTRIES}, /* 3 is gone */
        {2, ENTRIES, 0, 0}, /* the first is gone */
        {1, 3, 3, ENTRIES}, /* 3 is there twice */
        {1, ENTRIES, 1, 1}, {4, ENTRIES, 1, 3},
    };
    static const uint64_t first_wrong[] = {3, 1, 4, ENTRIES + 1, 1};
    struct bench *b = *state;
    struct buf bytes;

    fill(b);
    read_file(b, &bytes);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct verdict v;
        struct buf moved;

        buf_init(&moved, 1 << 20);
        take(&moved, &bytes, orders[i][0], orders[i][1]);
        if (orders[i][2])
            take(&moved, &bytes, orders[i][2], orders[i][3]);
        v = verify(b, span(&moved), NULL);
        assert_int_equal(v.err, SOTTO_ECRYPTO);
        assert_int_equal(v.fault.entry, first_wrong[i]);
        buf_fini(&moved);
    }
    buf_fini(&bytes);
}

static void a_signature_of_another_key_is_found(void **state)
{
    struct bench *b = *state;
    struct keys *mine = b->keys;
    struct verdict v;
    struct buf bytes;

    fill(b);
    read_file(b, &bytes);
    assert_int_equal(keys_make(&b->keys), SOTTO_OK);
    v = verify(b, span(&bytes), NULL);
    keys_free(b->keys);
    b->keys = mine;
    assert_int_equal(v.err, SOTTO_ECRYPTO);
    assert_int_equal(v.fault.entry, 1);
    buf_fini(&bytes);
}

static void store_remembers(struct bench *b, const struct buf *bytes,
                            uint64_t number)
{
    size_t start = line_start(bytes, number),
           end = line_start(bytes, number + 1);

    assert_int_equal(store_put(b->shop.store, "audit",
                               span_of(bytes->data + start, end - start - 1)),
                     SOTTO_OK);
}

/* Whoever has the identity key can write a second history; two heads, or a
 * head and the other log, tell. */
static void a_fork_is_found(void **state)
{
    struct bench *b = *state;
    struct verdict early, one, two;
    struct buf before, first, second;

    read_file(b, &before);
    early = verify(b, span(&before), NULL);
    fill(b);
    read_file(b, &first);
    audit_close(b->audit);
    write_file(b, span(&before));
    store_remembers(b, &before, 1);
    open_audit(b);
    for (unsigned n = 1; n <= ENTRIES; n++)
        assert_int_equal(add(b, AUDIT_TOKEN_MADE, 100 + n), SOTTO_OK);
    read_file(b, &second);

    one = verify(b, span(&first), NULL); /* each looks good by itself */
    two = verify(b, span(&second), NULL);
    assert_int_equal(one.err, SOTTO_OK);
    assert_int_equal(two.err, SOTTO_OK);
    assert_int_equal(verify(b, span(&first), &early.head).err, SOTTO_OK);
    assert_int_equal(verify(b, span(&second), &early.head).err, SOTTO_OK);
    two = verify(b, span(&second), &one.head);
    assert_int_equal(two.err, SOTTO_ECRYPTO);
    assert_non_null(strstr(two.why.text, "forked"));
    buf_fini(&before);
    buf_fini(&first);
    buf_fini(&second);
}

static void no_member_of_a_head_can_change(void **state)
{
    static const char *const members[] = {"root", "signature", "key"};
    struct bench *b = *state;
    struct audit_head head;
    uint8_t pk[PK_SIZE];
    struct buf bytes;
    json_t *json;

    fill(b);
    read_file(b, &bytes);
    head = verify(b, span(&bytes), NULL).head;
    json = audit_head_json(&head, b->keys->sign_pk);
    assert_int_equal(audit_head_read(&head, pk, json), SOTTO_OK);
    assert_memory_equal(pk, b->keys->sign_pk, PK_SIZE);
    assert_true(audit_head_good(&head, pk));
    head.size++;
    assert_false(audit_head_good(&head, pk));
    head.size--;
    head.time_ms++;
    assert_false(audit_head_good(&head, pk));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *spoilt = json_deep_copy(json);
        char text[2 * AUDIT_SIGNATURE_SIZE + 1];

        snprintf(text, sizeof text, "%s",
                 json_string_value(json_object_get(json, members[i])));
        text[5] = text[5] == '0' ? '1' : '0';
        json_object_set_new(spoilt, members[i], json_string(text));
        assert_int_equal(audit_head_read(&head, pk, spoilt), SOTTO_OK);
        assert_false(audit_head_good(&head, pk));
        text[5] = 'g';
        json_object_set_new(spoilt, members[i], json_string(text));
        assert_int_equal(audit_head_read(&head, pk, spoilt), SOTTO_EDECODE);
        json_decref(spoilt);
    }
    json_decref(json);
    buf_fini(&bytes);
}

/* ---- what the owner does at its start ---- */

static enum sotto_err reopen(struct bench *b, struct why *why)
{
    audit_close(b->audit);
    b->audit = NULL;
    return audit_open(&b->audit, b->file, b->keys, b->shop.store, why);
}

static void goes_on_after_a_restart(void **state)
{
    struct bench *b = *state;
    struct buf bytes;
    struct why why;

    fill(b);
    assert_int_equal(reopen(b, &why), SOTTO_OK);
    assert_int_equal(audit_size(b->audit), ENTRIES);
    assert_int_equal(add(b, AUDIT_ERASED, 7), SOTTO_OK);
    read_file(b, &bytes);
    assert_int_equal(verify(b, span(&bytes), NULL).err, SOTTO_OK);
    buf_fini(&bytes);
}

static void what_a_crash_kept_from_the_file_is_written_again(void **state)
{
    struct bench *b = *state;
    struct buf before, after;
    struct why why;

    fill(b);
    read_file(b, &before);
    for (size_t size = line_start(&before, ENTRIES); size < before.size;
         size += 37) {
        bool torn = size > line_start(&before, ENTRIES);

        audit_close(b->audit);
        b->audit = NULL;
        store_remembers(b, &before, ENTRIES);
        write_file(b, span_of(before.data, size));
        assert_int_equal(reopen(b, &why), SOTTO_OK);
        assert_int_equal(audit_size(b->audit), ENTRIES + (torn ? 1 : 0));
        read_file(b, &after);
        assert_memory_equal(after.data, before.data, before.size);
        assert_int_equal(verify(b, span(&after), NULL).err, SOTTO_OK);
        assert_int_equal(says(b, "torn end removed"), torn);
        buf_fini(&after);
    }
    buf_fini(&before);
}

static void a_log_that_was_cut_or_replaced_is_not_gone_on_with(void **state)
{
    struct bench *b = *state;
    struct buf bytes;
    struct why why;

    fill(b);
    read_file(b, &bytes);
    write_file(b, span_of(bytes.data, line_start(&bytes, ENTRIES - 1)));
    assert_int_equal(reopen(b, &why), SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "was cut"));
    assert_int_equal(unlink(b->file), 0);
    assert_int_equal(reopen(b, &why), SOTTO_ECRYPTO);
    bytes.data[line_start(&bytes, 3) + 230] ^= 1;
    write_file(b, span(&bytes));
    assert_int_equal(reopen(b, &why), SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "entry 3"));
    bytes.data[line_start(&bytes, 3) + 230] ^= 1;
    write_file(b, span(&bytes));
    assert_int_equal(reopen(b, &why), SOTTO_OK);
    buf_fini(&bytes);
}

static void another_history_is_not_gone_on_with(void **state)
{
    struct bench *b = *state;
    struct buf before, first;
    struct why why;

    read_file(b, &before);
    fill(b);
    read_file(b, &first);
    audit_close(b->audit);
    write_file(b, span(&before));
    store_remembers(b, &before, 1);
    open_audit(b);
    for (unsigned n = 1; n < ENTRIES; n++)
        assert_int_equal(add(b, AUDIT_TOKEN_MADE, 100 + n), SOTTO_OK);
    store_remembers(b, &first, ENTRIES);
    assert_int_equal(reopen(b, &why), SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "is another one"));
    buf_fini(&before);
    buf_fini(&first);
}

static void a_restored_store_is_noticed(void **state)
{
    struct bench *b = *state;
    struct buf bytes;
    struct why why;

    fill(b);
    read_file(b, &bytes);
    assert_int_equal(reopen(b, &why), SOTTO_OK);
    assert_false(says(b, "restore noticed"));
    store_remembers(b, &bytes, 2);
    assert_int_equal(reopen(b, &why), SOTTO_OK);
    assert_true(says(b, "restore noticed"));
    assert_int_equal(audit_size(b->audit), ENTRIES + 1);
    assert_int_equal(reopen(b, &why), SOTTO_OK); /* once */
    assert_int_equal(audit_size(b->audit), ENTRIES + 1);
    buf_fini(&bytes);
}

static void what_cannot_be_written_is_refused(void **state)
{
    static const enum audit_kind tried[] = {AUDIT_PROFILE_READ,
                                            AUDIT_TOKEN_MADE};
    struct bench *b = *state;
    struct buf before, after;
    struct why why;

    for (int i = 0; i < 2; i++) {
        uint64_t size = audit_size(b->audit);

        read_file(b, &before);
        full = true;
        assert_int_equal(audit_append(b->audit, tried[i], 1, NULL, &why),
                         SOTTO_EFULL);
        assert_non_null(strstr(why.text, "cannot be recorded"));
        full = false;
        read_file(b, &after);
        assert_true(span_equal(span(&before), span(&after)));
        assert_int_equal(audit_size(b->audit), size);
        assert_int_equal(add(b, AUDIT_PROFILE_READ, 1), SOTTO_OK);
        /* What the store was told of came first. */
        assert_int_equal(audit_size(b->audit), size + (i == 0 ? 1 : 2));
        buf_fini(&before);
        buf_fini(&after);
    }
    read_file(b, &after);
    assert_int_equal(verify(b, span(&after), NULL).err, SOTTO_OK);
    assert_int_equal(reopen(b, &why), SOTTO_OK);
    assert_false(says(b, "restore noticed"));
    buf_fini(&after);
}

static void every_entry_is_synced_before_it_counts(void **state)
{
    static const enum audit_kind some[] = {AUDIT_PROFILE_READ,
                                           AUDIT_TOKEN_MADE};
    struct bench *b = *state;
    struct buf bytes;
    struct why why;

    for (int i = 0; i < 2; i++) {
        unsigned before = syncs;

        assert_int_equal(add(b, some[i], 1), SOTTO_OK);
        assert_int_equal(syncs, before + 1);
    }
    /* What a sync failed for is not there; the next one goes in its place. */
    sync_fails = true;
    assert_int_equal(add(b, AUDIT_PROFILE_READ, 2), SOTTO_EIO);
    sync_fails = false;
    assert_int_equal(add(b, AUDIT_ERASED, 3), SOTTO_OK);
    assert_int_equal(reopen(b, &why), SOTTO_OK);
    assert_int_equal(add(b, AUDIT_ERASED, 4), SOTTO_OK);
    read_file(b, &bytes);
    assert_int_equal(verify(b, span(&bytes), NULL).err, SOTTO_OK);
    buf_fini(&bytes);
}

static void too_much_to_say_is_refused(void **state)
{
    struct bench *b = *state;
    char text[AUDIT_LINE_MAX];
    struct why why;

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(audit_append(b->audit, AUDIT_ERASED, 1,
                                  json_pack("{s:s}", "why", text), &why),
                     SOTTO_ETOOBIG);
    assert_int_equal(audit_size(b->audit), 1);
    assert_int_equal(add(b, AUDIT_ERASED, 1), SOTTO_OK);
}

static void a_subject_is_named_by_a_keyed_hash(void **state)
{
    static const uint8_t subject[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t other[16] = {1, 2, 3, 4, 5, 6, 7, 9};
    struct bench *b = *state;
    json_t *one = audit_subject(b->audit, span_of(subject, 16)),
           *two = audit_subject(b->audit, span_of(subject, 16)),
           *three = audit_subject(b->audit, span_of(other, 16));
    const char *text = json_string_value(json_object_get(one, "subject"));
    uint8_t plain[16];

    assert_true(json_equal(one, two));
    assert_false(json_equal(one, three));
    assert_int_equal(strlen(text), 2 * STORE_BLIND_SIZE);
    assert_null(strstr(text, "0102030405060708"));
    crypto_generichash(plain, sizeof plain, subject, 16, NULL, 0);
    char unkeyed[33];
    sodium_bin2hex(unkeyed, sizeof unkeyed, plain, sizeof plain);
    assert_string_not_equal(text, unkeyed);
    json_decref(one);
    json_decref(two);
    json_decref(three);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_untouched_log_holds),
        TEST(every_flipped_byte_is_found),
        TEST(every_cut_is_found),
        TEST(lines_that_go_come_or_move_are_found),
        TEST(a_signature_of_another_key_is_found),
        TEST(a_fork_is_found),
        TEST(no_member_of_a_head_can_change),
        TEST(goes_on_after_a_restart),
        TEST(what_a_crash_kept_from_the_file_is_written_again),
        TEST(a_log_that_was_cut_or_replaced_is_not_gone_on_with),
        TEST(another_history_is_not_gone_on_with),
        TEST(a_restored_store_is_noticed),
        TEST(what_cannot_be_written_is_refused),
        TEST(every_entry_is_synced_before_it_counts),
        TEST(too_much_to_say_is_refused),
        TEST(a_subject_is_named_by_a_keyed_hash),
    };

    log_set_level(LOG_ERROR); /* every torn end is warned of */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
