/* What decoders take in memory for bytes from outside: counted, for every input
 * of the fuzz corpora, for each of them with a byte changed, and for bombs of
 * claims, depth and width.
 *
 * A claim alone takes nothing: what the structural check (wire/check.h) refuses
 * is refused before anything is allocated. What it lets through takes at most
 * twice the input, beside a small constant, but in three decoders: msgpack-c
 * has 24 bytes, and a third of slack, for a value that may take one on the
 * wire, so a tree with as many values as a policy, a batch's dictionary or a
 * shard of item rows may have is up to 32 times as large as its bytes. The
 * limits on bytes and values bound it; a policy and item rows come signed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <malloc.h>

#include <cmocka.h>

#include "../support/sample_policy.h"
#include "agent/item_rows.h"
#include "policy/batch.h"
#include "policy/bundle.h"
#include "policy/signed.h"
#include "wire/check.h"
#include "wire/document.h"
#include "wire/message.h"

/* ---- counting ---- */

static struct {
    bool counting;
    uint64_t calls;
    size_t live, peak;
} memory;

static void took(void *p, size_t size)
{
    if (!memory.counting || !p)
        return;
    memory.calls++;
    memory.live += size;
    memory.peak = memory.live > memory.peak ? memory.live : memory.peak;
}

/* What was taken before the counting began may be given back in it. */
static void gave(size_t size)
{
    if (memory.counting)
        memory.live -= size < memory.live ? size : memory.live;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#ifdef SANITIZED /* they have malloc for themselves, and tell of it */
/* sanitizer/allocator_interface.h, which gcc does not bring everywhere */
int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void *, size_t),
    void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *p);

static void on_malloc(const volatile void *p, size_t size)
{
    took((void *)(uintptr_t)p, size);
}

static void on_free(const volatile void *p)
{
    if (p)
        gave(__sanitizer_get_allocated_size(p));
}

static void counting_install(void)
{
    assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free));
}
#else /* ours stands before glibc's, for the libraries as well */
#define PUBLIC __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *p);

PUBLIC void *malloc(size_t size)
{
    void *p = __libc_malloc(size);

    took(p, p ? malloc_usable_size(p) : 0);
    return p;
}

PUBLIC void *calloc(size_t count, size_t size)
{
    void *p = __libc_calloc(count, size);

    took(p, p ? malloc_usable_size(p) : 0);
    return p;
}

/* Both may be there for a moment. */
PUBLIC void *realloc(void *old, size_t size)
{
    size_t before = old ? malloc_usable_size(old) : 0;
    void *p = __libc_realloc(old, size);

    took(p, p ? malloc_usable_size(p) : 0);
    if (p)
        gave(before);
    return p;
}

PUBLIC void free(void *p)
{
    if (p)
        gave(malloc_usable_size(p));
    __libc_free(p);
}

static void counting_install(void)
{
}
#endif

/* ---- the decoders ---- */

static struct policy *policy;

static void read_envelope(struct span bytes)
{
    struct envelope e;

    (void)envelope_parse(&e, bytes);
}

static void read_messages(struct span bytes)
{
    union {
        struct reply reply;
        struct poll poll;
        struct enrol enrol;
        struct enrolled enrolled;
        struct void_body stood;
        struct documents_head head;
        struct token token;
        uint8_t room[4096];
    } record;

    for (int type = 0; type < MESSAGE_COUNT; type++)
        (void)message_decode(&record, (enum message_type)type, bytes);
}

static enum sotto_err document_seen(void *context, const struct document *d)
{
    (void)context;
    (void)d;
    return SOTTO_OK;
}

static void read_documents(struct span bytes)
{
    struct documents_head head;

    (void)documents_decode(&head, bytes, document_seen, NULL);
}

static void read_list(struct span bytes)
{
    static struct list list;

    (void)list_decode(&list, bytes);
}

static void read_rows(struct span bytes)
{
    struct item_rows *rows = NULL;

    if (!item_rows_check(bytes, 0) && !item_rows_begin(&rows, bytes))
        item_rows_free(rows);
}

static void read_batch(struct span bytes)
{
    struct batch_view *view;

    if (!batch_decode(&view, bytes, policy))
        batch_view_free(view);
}

static void read_policy(struct span bytes)
{
    struct policy *p;

    if (!policy_load(&p, bytes))
        policy_free(p);
}

static void read_signed(struct span bytes)
{
    struct signed_policy s;

    (void)signed_policy_decode(&s, bytes);
}

static void read_bundle(struct span bytes)
{
    struct bundle b;

    if (!bundle_decode(&b, bytes))
        bundle_fini(&b);
}

static void read_token(struct span bytes)
{
    struct buf scratch;
    struct token t;

    buf_init(&scratch, 1 << 16);
    (void)token_read(&t, bytes, &scratch);
    buf_wipe(&scratch);
}

#define SMALL ((size_t)64 * 1024) /* beside what grows with the input */
#define VALUE 33 /* a value of a byte in msgpack-c's tree, and its slack */
#define LIST_VALUES (4096 * VALUE) /* the most that a list has */
#define ITEMS_CLAIMED ((size_t)12 * ITEM_ROWS_ITEMS_MAX)

static const struct decoder {
    const char *name, *corpus;
    unsigned skip; /* bytes of the corpus before what is decoded */
    void (*read)(struct span bytes);
    unsigned factor;
    size_t constant;
    bool msgpack; /* one value, checked as a whole before it is read */
} decoders[] = {
    {"envelope", "envelope", 1, read_envelope, 2, SMALL, true},
    {"message", "message", 1, read_messages, 2, SMALL, true},
    {"documents", "document", 1, read_documents, 2, SMALL, false},
    {"token", "token", 0, read_token, 2, SMALL, false},
    {"bundle", "bundle", 0, read_bundle, 2, SMALL, true},
    {"signed policy", "signed", 0, read_signed, 2, SMALL, true},
    /* The model's first shard says how many items there will be. */
    {"item rows", "rows", 2, read_rows, VALUE, SMALL + ITEMS_CLAIMED, false},
    {"list", "document", 1, read_list, 2, SMALL + LIST_VALUES, true},
    {"policy", "policy", 0, read_policy, VALUE, SMALL, true},
    {"batch", "batch", 0, read_batch, VALUE, SMALL, true},
};
#define DECODERS (sizeof decoders / sizeof *decoders)

static const struct check_limits anything = {64 << 20, CHECK_DEPTH_MAX,
                                             UINT64_MAX};

struct found {
    uint64_t inputs, refused;
    double worst; /* of peak to input, over the constant */
};

static void offer(const struct decoder *d, struct span bytes, struct found *f)
{
    bool refused = check_msgpack(bytes, &anything) != SOTTO_OK;
    size_t over;

    memset(&memory, 0, sizeof memory);
    memory.counting = true;
    d->read(bytes);
    memory.counting = false;
    f->inputs++;
    if (d->msgpack && refused) {
        f->refused++;
        if (memory.calls)
            fail_msg("%s: %llu allocations before it was refused", d->name,
                     (unsigned long long)memory.calls);
    }
    over = memory.peak > d->constant ? memory.peak - d->constant : 0;
    if (over > d->factor * bytes.size)
        fail_msg("%s: %zu bytes of memory for %zu", d->name, memory.peak,
                 bytes.size);
    if (bytes.size && (double)over / (double)bytes.size > f->worst)
        f->worst = (double)over / (double)bytes.size;
}

/* ---- inputs ---- */

#define BOMB_MAX ((size_t)256 * 1024)

/* Heads of four gigabytes, alone and behind an array's head. */
static void offer_claims(const struct decoder *d, struct found *f)
{
    static const uint8_t heads[] = {0xdd, 0xdf, 0xdb, 0xc6, 0xc9};
    uint8_t bytes[64];

    for (size_t i = 0; i < sizeof heads; i++)
        for (unsigned behind = 0; behind < 16; behind++) {
            memset(bytes, 0, sizeof bytes);
            bytes[0] = (uint8_t)(0x90 | behind);
            memset(bytes + (behind ? 1 : 0), heads[i], 1);
            memset(bytes + (behind ? 2 : 1), 0xff, 4);
            offer(d, span_of(bytes, sizeof bytes), f);
            offer(d, span_of(bytes, behind ? 6 : 5), f);
        }
}

/* Arrays in arrays, maps in maps; values of one byte each, as many as fit. */
static void offer_bomb(const struct decoder *d, uint8_t *bytes, size_t size,
                       struct found *f)
{
    static const uint8_t fill[] = {0x91, 0x81, 0x90, 0xc0, 0x00, 0xa0, 0xff};

    for (size_t i = 0; i < sizeof fill; i++) {
        memset(bytes, fill[i], size);
        offer(d, span_of(bytes, size), f);
        bytes[0] = 0xdd; /* an array of the rest */
        bytes[1] = 0;
        bytes[2] = (uint8_t)((size - 5) >> 16);
        bytes[3] = (uint8_t)((size - 5) >> 8);
        bytes[4] = (uint8_t)(size - 5);
        offer(d, span_of(bytes, size), f);
    }
}

static void offer_bombs(const struct decoder *d, struct found *f)
{
    uint8_t *bytes = calloc(1, BOMB_MAX);

    assert_non_null(bytes);
    for (size_t size = 64; size <= BOMB_MAX; size *= 2)
        offer_bomb(d, bytes, size, f);
    free(bytes);
}

/* A body as big as they get, all of numbers that take a byte each. */
static void offer_batch(const struct decoder *d, struct found *f)
{
    struct counters counters = {.produced = BATCH_EVENTS_MAX,
                                .accepted = BATCH_EVENTS_MAX};
    struct event ev = {.index = 0};
    struct batch *batch;
    struct buf body;

    assert_int_equal(batch_open(&batch, BATCH_EVENTS_MAX, 16 * 1024 * 1024),
                     SOTTO_OK);
    batch_begin(batch, policy);
    memset(ev.values, 0, sizeof ev.values);
    for (unsigned i = 0; i < BATCH_EVENTS_MAX; i++)
        assert_int_equal(batch_add(batch, &ev), SOTTO_OK);
    buf_init(&body, BATCH_BYTES_MAX);
    assert_int_equal(batch_encode(batch, &counters, &body), SOTTO_OK);
    offer(d, span_of(body.data, body.size), f);
    buf_fini(&body);
    batch_close(batch);
}

/* As it is, and with each byte (of some hundred) made a claim. */
static void offer_file(const struct decoder *d, const char *path,
                       struct found *f)
{
    static const uint8_t changes[] = {0xff, 0xdd, 0xdf, 0xc6, 0x00};
    size_t step;
    struct buf b;

    buf_init(&b, 1 << 20);
    assert_int_equal(buf_read_file(&b, path), SOTTO_OK);
    if (b.size > d->skip) {
        struct span bytes = span_of(b.data + d->skip, b.size - d->skip);

        offer(d, bytes, f);
        step = bytes.size / 400 + 1;
        for (size_t at = d->skip; at < b.size; at += step)
            for (size_t i = 0; i < sizeof changes; i++) {
                uint8_t was = b.data[at];

                b.data[at] = changes[i];
                offer(d, bytes, f);
                b.data[at] = was;
            }
    }
    buf_fini(&b);
}

static void offer_corpus(const struct decoder *d, struct found *f)
{
    char folder[512], path[1024];
    const struct dirent *e;
    DIR *dir;

    snprintf(folder, sizeof folder, "%s/%s", SOTTO_CORPUS_DIR, d->corpus);
    dir = opendir(folder);
    assert_non_null(dir);
    while ((e = readdir(dir)))
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            offer_file(d, path, f);
        }
    closedir(dir);
}

/* ---- the tests ---- */

static void decoders_keep_within_their_factor(void **state)
{
    (void)state;
    policy = sample_policy();
    for (size_t i = 0; i < DECODERS; i++) {
        struct found f = {0, 0, 0};

        offer_claims(&decoders[i], &f);
        offer_bombs(&decoders[i], &f);
        offer_corpus(&decoders[i], &f);
        if (decoders[i].read == read_batch)
            offer_batch(&decoders[i], &f);
        print_message("%s: %llu inputs, %llu refused without an allocation, "
                      "at most %.1f times the input\n",
                      decoders[i].name, (unsigned long long)f.inputs,
                      (unsigned long long)f.refused, f.worst);
        assert_true(f.refused || !decoders[i].msgpack);
    }
    policy_free(policy);
}

/* A frame that says more than the limit takes nothing; one that says less, but
 * has more, or nothing, takes what it said. */
static void a_zipped_bomb_takes_no_more_than_the_limit(void **state)
{
    static uint8_t zeros[1 << 20];
    struct buf zipped, out;

    (void)state;
    buf_init(&zipped, FRAME_MAX);
    buf_init(&out, PAYLOAD_MAX);
    assert_int_equal(payload_zip(&zipped, span_of(zeros, sizeof zeros)),
                     SOTTO_OK);
    assert_true(zipped.size < 1024);
    memset(&memory, 0, sizeof memory);
    memory.counting = true;
    assert_int_equal(payload_unzip(&out, span_of(zipped.data, zipped.size),
                                   sizeof zeros - 1),
                     SOTTO_ETOOBIG);
    assert_int_equal(memory.calls, 0);
    for (size_t size = 0; size < zipped.size; size++)
        assert_int_not_equal(
            payload_unzip(&out, span_of(zipped.data, size), sizeof zeros),
            SOTTO_OK);
    assert_int_equal(
        payload_unzip(&out, span_of(zipped.data, zipped.size), sizeof zeros),
        SOTTO_OK);
    memory.counting = false;
    assert_int_equal(out.size, sizeof zeros);
    assert_true(memory.peak <= 2 * sizeof zeros);
    buf_fini(&zipped);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_keep_within_their_factor),
        cmocka_unit_test(a_zipped_bomb_takes_no_more_than_the_limit),
    };

    counting_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
