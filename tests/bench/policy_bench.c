/* What a policy costs: an event of 20 fields made anonymous, with every action
 * and the person's pseudonyms cached, and a signed policy of 8 KiB loaded and
 * verified. bench.py runs it; it prints "name value" lines, in nanoseconds. */
#include "policy/anonymize.h"
#include "policy/signed.h"

#include <stdio.h>
#include <time.h>

#include "../support/sample_policy.h"

#define EVENTS 200000
#define LOADS 400
#define POLICY_SIZE 8192
#define NOW INT64_C(1800000000123)

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "policy_bench: %s failed\n", what);
        exit(1);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void print(const char *name, uint64_t *ns, size_t count)
{
    qsort(ns, count, sizeof(*ns), by_size);
    printf("%s_p50 %llu\n%s_p99 %llu\n", name,
           (unsigned long long)ns[count / 2], name,
           (unsigned long long)ns[count * 99 / 100]);
}

/* Twenty fields: the sample's nine, and eleven that make something else. */
static void more_fields(struct policy_event *e)
{
    static const enum action actions[] = {ACTION_IP, ACTION_UA_FAMILY,
                                          ACTION_URL, ACTION_TOKENIZE};
    static const char *const from[] = {"context.ip", "context.userAgent",
                                       "context.page.url",
                                       "properties.order_id"};
    struct policy_field *f;

    for (int i = 0; i < 4; i++) {
        f = sample_field(e, from[i], from[i], ROLE_NONE, actions[i],
                         SAMPLE_MEASURE);
        f->v4 = 16;
        f->v6 = 32;
        f->parts = URL_HOST | URL_PATH;
        f->max = 128;
    }
    for (int i = 0; i < 7; i++) {
        char path[32];

        snprintf(path, sizeof(path), "properties.p%d", i);
        f = sample_field(e, path, path, ROLE_NONE,
                         i == 0 ? ACTION_RANDOMIZE : ACTION_KEEP,
                         SAMPLE_MEASURE);
        if (i == 0) {
            sample_values(f, 6);
            f->memoize = true;
        } else {
            sample_text(f, 40, "[A-Za-z0-9 _-]{1,40}");
        }
    }
    must(e->field_count == 20, "an event of 20 fields");
}

static struct raw_field text(const char *path, const char *value)
{
    struct raw_field f = {
        .path = span_text(path), .kind = RAW_TEXT, .text = span_text(value)};
    return f;
}

static void bench_anonymize(void)
{
    static uint64_t ns[EVENTS];
    struct raw_field fields[] = {
        text("properties.product_id", "SKU 100"),
        text("properties.category", "Mugs"),
        text("properties.price", "12.90"),
        text("properties.quantity", "2"),
        text("context.ip", "203.0.113.7"),
        text("context.userAgent",
             "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
             "(KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"),
        text("context.page.url", "https://shop.example/mugs/red?utm=17"),
        text("properties.order_id", "1007"),
        text("properties.p0", "a2"),
        text("properties.p1", "one"),
        text("properties.p2", "two words"),
        text("properties.p3", "three"),
        text("properties.p4", "four"),
        text("properties.p5", "five"),
        text("properties.p6", "six"),
    };
    struct policy *draft = sample_draft("acme-retail"), *p;
    struct pseudonym_keys *keys = pseudonym_keys_make();
    struct sessions sessions = {.current = 1};
    struct chance_source chance;
    struct person person = {0};
    struct anonymizer a = {.person = &person,
                           .granted = UINT32_MAX,
                           .sessions = &sessions,
                           .chance = &chance,
                           .now_ms = NOW};
    struct raw_event raw = {.name = span_text("Product Viewed"),
                            .time_ms = NOW,
                            .fields = fields,
                            .field_count = sizeof(fields) / sizeof(*fields)};
    static struct event ev;
    uint32_t emptied = 0;

    must(keys != NULL, "memory");
    more_fields(&draft->events[0]);
    a.policy = p = sample_finish(draft);
    a.keys = keys;
    sample_copy(keys->names[keys->count++], NAME_MAX_SIZE, "visitor");
    sample_copy(keys->names[keys->count++], NAME_MAX_SIZE, "day");
    chance_source_init(&chance);
    must(!person_identify(&person, p, keys, span_text("userId"),
                          span_text("u-17"), NOW) &&
             !person_identify(&person, p, keys, span_text("anonymousId"),
                              span_text("a-17"), NOW),
         "identify");
    for (size_t i = 0; i < EVENTS; i++) {
        uint64_t start = now_ns();

        must(anonymize(&a, &raw, &ev, &emptied) == DROP_NOT, "anonymize");
        ns[i] = now_ns() - start;
    }
    must(emptied == 0, "all values");
    print("anonymize", ns, EVENTS);
    pseudonym_keys_free(keys);
    policy_free(p);
}

/* Events with a few kept texts, until it is big enough. */
static void fill_up(struct policy *draft, struct buf *bytes)
{
    for (unsigned i = 0;; i++) {
        char name[32];
        struct policy_event *e;

        buf_clear(bytes);
        must(!policy_encode(bytes, draft), "encode");
        if (bytes->size >= POLICY_SIZE)
            return;
        snprintf(name, sizeof(name), "Event %u", i);
        e = sample_event(draft, name, SAMPLE_MEASURE);
        for (unsigned f = 0; f < 8; f++) {
            snprintf(name, sizeof(name), "properties.text_%u", f);
            sample_text(sample_field(e, name, name, ROLE_NONE, ACTION_KEEP,
                                     SAMPLE_MEASURE),
                        40, "[A-Za-z0-9 _-]{1,40}");
        }
    }
}

static void bench_load(void)
{
    static uint64_t ns[LOADS];
    struct policy *draft = sample_draft("acme-retail"), *p;
    struct signed_policy parts = {.signature_count = 1};
    struct buf compiled, signature, container;
    struct minisign_sk *sk;
    struct minisign_pk pk;
    struct signers trusted;
    struct why why;

    buf_init(&compiled, POLICY_BYTES_MAX);
    buf_init(&signature, 4096);
    buf_init(&container, SIGNED_POLICY_MAX);
    must(!minisign_make(&sk, &pk), "a key");
    memcpy(draft->signers[0].pk, pk.pk, sizeof(pk.pk));
    memcpy(draft->signers[0].key_id, pk.key_id, sizeof(pk.key_id));
    more_fields(&draft->events[0]);
    fill_up(draft, &compiled);
    parts.compiled = span_of(compiled.data, compiled.size);
    must(!minisign_sign(&signature, sk, parts.compiled, "bench"), "sign");
    parts.signatures[0] = span_of(signature.data, signature.size);
    must(!signed_policy_encode(&container, &parts), "container");
    signers_of(&trusted, draft);
    for (size_t i = 0; i < LOADS; i++) {
        uint64_t start = now_ns();

        must(!signed_policy_load(&p, span_of(container.data, container.size),
                                 &trusted, &why),
             "load");
        ns[i] = now_ns() - start;
        policy_free(p);
    }
    printf("policy_bytes %zu\n", compiled.size);
    print("load", ns, LOADS);
    minisign_free(sk);
    buf_fini(&compiled);
    buf_fini(&signature);
    buf_fini(&container);
    policy_free(draft);
}

int main(void)
{
    must(sodium_init() >= 0, "libsodium");
    bench_anonymize();
    bench_load();
    return 0;
}
