/* A crowd: many agents in one process, against one aggregator.
 *
 *   sotto-crowd AGENTS TOKEN-FILE POLICY-FILE EVENTS
 *
 * Each agent has keys of its own, enrols with the token, and has a connection
 * of its own through the product's uplink (agent/uplink.c), with its window,
 * its poll and its pauses; only the spool is memory (crowd_spool.c). A batch
 * holds EVENTS events under the policy, anonymized, sealed and signed as an
 * agent does it; it names the agent's one visitor. POLICY-FILE is what
 * `sotto-policy build` wrote for packaging/conf/bench.policy.yaml.
 *
 * Commands come on standard input, a line each, and each is answered with a
 * line of JSON:
 *
 *   rate N   every agent makes N batches a minute from now on, each agent at
 *            moments of its own; 0: none
 *   load N   every agent has N more batches at once
 *   reset    forgets the times measured so far
 *   status   answers only
 *
 * The time of a batch runs from its making to its acknowledgement, so what
 * waits behind others counts. The end of the input ends the process at once,
 * as a power cut ends agents. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

#include "agent/uplink.h"
#include "base/clock.h"
#include "base/log.h"
#include "crowd_spool.h"
#include "policy/anonymize.h"
#include "policy/batch.h"

#define AGENTS_MAX 60000
#define EVENTS_MAX 1000
#define LOAD_MAX 10000
#define BATCH_BYTES (1 << 20)
#define TICK_MS 10
#define ITEMS 1000
#define DESCRIPTORS_SPARE 64
#define FILE_MAX (1 << 20)

struct crowd;

struct member { /* an agent */
    struct crowd *crowd;
    struct uplink *uplink;
    struct spool spool;
    struct home home;
    struct sessions sessions;
    struct counters counters;
    uint64_t applied;  /* documents */
    int64_t due_us;    /* its next batch, when there is a rate */
    bool connected;    /* as last seen */
    uint64_t connects; /* times it came to be */
};

struct crowd {
    uv_loop_t loop;
    uv_timer_t tick;
    uv_pipe_t commands;
    struct buf line;
    struct member *members;
    uint32_t count, events;
    int64_t period_us; /* between an agent's batches; 0: none */
    struct policy *policy;
    struct pseudonym_keys *keys;
    struct batch *batch;
    struct buf body;
    struct token token;
    uint64_t batches, acknowledged;
    int64_t *times_us; /* of batches acknowledged since `reset` */
    size_t time_count, time_capacity;
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "sotto-crowd: %s failed\n", what);
        _exit(1);
    }
}

static int64_t now_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

/* ---- batches ---- */

static struct raw_field text_field(const char *path, const char *text)
{
    struct raw_field f = {
        .path = span_text(path), .kind = RAW_TEXT, .text = span_text(text)};
    return f;
}

static void add_event(struct member *m, const struct anonymizer *a)
{
    static const char *const categories[] = {"Mugs", "Lamps", "Bags", "Toys"};
    struct crowd *c = m->crowd;
    const uint32_t item = randombytes_uniform(ITEMS);
    char product[16], visitor[40];
    struct raw_field fields[5];
    struct raw_event raw = {.name = span_text("Product Viewed"),
                            .time_ms = WHEN_NONE,
                            .fields = fields,
                            .field_count = 5};
    struct event ev;
    uint32_t emptied = 0;

    snprintf(product, sizeof product, "P%u", (unsigned)item);
    sodium_bin2hex(visitor, sizeof visitor, m->home.keys->sign_id, KEY_ID_SIZE);
    fields[0] = text_field("anonymousId", visitor);
    fields[1] = text_field("properties.product_id", product);
    fields[2] = text_field("properties.category", categories[item % 4]);
    fields[3] = (struct raw_field){.path = span_text("properties.price"),
                                   .kind = RAW_MONEY,
                                   .number = (item % 200 + 1) * 500000};
    fields[4] = (struct raw_field){.path = span_text("properties.position"),
                                   .kind = RAW_INT,
                                   .number = item % 20};
    must(anonymize(a, &raw, &ev, &emptied) == DROP_NOT && emptied == 0,
         "anonymize: this needs the policy of the benchmark; it");
    must(!batch_add(c->batch, &ev), "batch_add");
}

/* Makes the agent's next batch and puts it in its spool. */
static void make_batch(struct member *m)
{
    struct crowd *c = m->crowd;
    const struct anonymizer a = {.policy = c->policy,
                                 .keys = c->keys,
                                 .granted = policy_granted_always(c->policy),
                                 .sessions = &m->sessions,
                                 .now_ms = clock_wall_ms(&clock_system)};
    struct crowd_row row = {.events = c->events, .due_us = now_us()};
    struct envelope head = {.kind = KIND_BATCH,
                            .stream = m->spool.state.stream,
                            .sequence = m->spool.state.next_sequence};

    memcpy(head.chain, m->spool.state.chain, HASH_SIZE);
    memcpy(head.policy, c->policy->hash, HASH_SIZE);
    batch_begin(c->batch, c->policy);
    for (uint32_t i = 0; i < c->events; i++)
        add_event(m, &a);
    m->counters.produced = m->counters.accepted += c->events;
    buf_clear(&c->body);
    buf_init(&row.envelope, FRAME_MAX);
    must(!batch_encode(c->batch, &m->counters, &c->body) &&
             !envelope_write(&row.envelope, &head,
                             span_of(c->body.data, c->body.size), m->home.keys,
                             &m->home.aggregator) &&
             !crowd_spool_put(&m->spool, &row, head.chain),
         "a batch");
    c->batches++;
}

static void batch_acked(void *owner, const struct crowd_row *row)
{
    struct crowd *c = ((struct member *)owner)->crowd;

    if (c->time_count == c->time_capacity) {
        c->time_capacity = c->time_capacity ? 2 * c->time_capacity : 4096;
        c->times_us =
            realloc(c->times_us, c->time_capacity * sizeof *c->times_us);
        must(c->times_us, "memory");
    }
    c->times_us[c->time_count++] = now_us() - row->due_us;
    c->acknowledged++;
}

/* ---- an agent ---- */

/* agent/home.h: the certificate is not kept. */
enum sotto_err home_enrolled(struct home *h, struct span certificate)
{
    (void)certificate;
    h->enrolled = true;
    return SOTTO_OK;
}

static enum sotto_err note_document(void *context, const struct document *d)
{
    ((struct member *)context)->applied = d->number;
    return SOTTO_OK;
}

static enum sotto_err documents_came(void *owner, struct span payload)
{
    struct documents_head head;

    return documents_decode(&head, payload, note_document, owner);
}

static uint64_t documents_applied(void *owner)
{
    return ((struct member *)owner)->applied;
}

static void time_came(void *owner, int64_t aggregator_ms)
{
    (void)owner;
    (void)aggregator_ms;
}

static int64_t time_now(void *owner)
{
    (void)owner;
    return clock_wall_ms(&clock_system);
}

static void uplink_changed(void *owner)
{
    (void)owner;
}

/* Not keys_make: sodium_malloc guards each secret with pages of its own, and
 * ten thousand agents would have more mappings than Linux allows. Nothing of
 * theirs is worth a guard. */
static struct keys *make_keys(void)
{
    struct keys *k = calloc(1, sizeof *k);

    must(k, "memory");
    k->sign_sk = malloc(crypto_sign_SECRETKEYBYTES);
    k->box_sk = malloc(crypto_box_SECRETKEYBYTES);
    must(k->sign_sk && k->box_sk, "memory");
    crypto_sign_keypair(k->sign_pk, k->sign_sk);
    crypto_box_keypair(k->box_pk, k->box_sk);
    key_id(k->sign_id, k->sign_pk);
    key_id(k->box_id, k->box_pk);
    return k;
}

static void member_open(struct crowd *c, struct member *m, const char *address)
{
    const struct uplink_parts parts = {
        .loop = &c->loop,
        .address = address,
        .home = &m->home,
        .spool = &m->spool,
        .documents = documents_came,
        .applied = documents_applied,
        .time = time_came,
        .now = time_now,
        .changed = uplink_changed,
        .owner = m,
    };
    struct why why = {.text = ""};
    uint64_t stream;

    do
        randombytes_buf(&stream, sizeof stream);
    while (stream == 0);
    m->crowd = c;
    m->home.keys = make_keys();
    m->home.secret = c->token.secret;
    peer_init(&m->home.aggregator, c->token.sign_pk, c->token.box_pk);
    m->sessions.current = 1;
    crowd_spool_init(&m->spool, stream, batch_acked, m);
    must(!uplink_open(&m->uplink, &parts, &why), why.text);
}

/* ---- time ---- */

static void look_at(struct member *m, int64_t now)
{
    const struct crowd *c = m->crowd;
    struct uplink_stats s;

    uplink_stats(m->uplink, &s);
    m->connects += s.connected && !m->connected;
    m->connected = s.connected;
    if (c->period_us == 0 || now < m->due_us)
        return;
    make_batch(m);
    m->due_us += c->period_us;
    uplink_kick(m->uplink);
}

static void tick_on_loop(uv_timer_t *tick)
{
    struct crowd *c = tick->data;
    int64_t now = now_us();

    for (uint32_t i = 0; i < c->count; i++)
        look_at(&c->members[i], now);
}

static void set_rate(struct crowd *c, unsigned long per_minute)
{
    int64_t now = now_us();

    c->period_us = per_minute ? INT64_C(60000000) / (int64_t)per_minute : 0;
    for (uint32_t i = 0; i < c->count && per_minute; i++)
        c->members[i].due_us =
            now + (int64_t)randombytes_uniform((uint32_t)c->period_us);
}

static void load(struct crowd *c, unsigned long batches)
{
    for (uint32_t i = 0; i < c->count; i++) {
        for (unsigned long n = 0; n < batches; n++)
            make_batch(&c->members[i]);
        uplink_kick(c->members[i].uplink);
    }
}

/* ---- commands ---- */

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double time_ms(const struct crowd *c, double quantile)
{
    if (c->time_count == 0)
        return 0;
    return (double)
               c->times_us[(size_t)(quantile * (double)(c->time_count - 1))] /
           1000;
}

static void answer(struct crowd *c)
{
    struct uplink_stats sum = {0};
    uint64_t enrolled = 0, connected = 0, reconnects = 0, lost_history = 0,
             refused = 0, turned_away = 0, events = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        struct uplink_stats s;

        uplink_stats(m->uplink, &s);
        enrolled += m->home.enrolled;
        turned_away += s.state == UPLINK_REFUSED;
        connected += s.connected;
        reconnects += m->connects > 1 ? m->connects - 1 : 0;
        lost_history += m->spool.lost_history;
        refused += m->spool.refused;
        events += m->spool.state.acked_events;
        sum.sent += s.sent;
        sum.retries += s.retries;
        sum.forged += s.forged;
    }
    if (c->time_count > 0)
        qsort(c->times_us, c->time_count, sizeof *c->times_us, by_size);
    printf("{\"agents\": %u, \"enrolled\": %llu, \"turned_away\": %llu, "
           "\"connected\": %llu, \"reconnects\": %llu, \"batches\": %llu, "
           "\"acknowledged\": %llu, \"events_acknowledged\": %llu, "
           "\"sent\": %llu, \"retries\": %llu, \"forged\": %llu, "
           "\"lost_history\": %llu, \"refused\": %llu, \"timed\": %zu, "
           "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           (unsigned)c->count, (unsigned long long)enrolled,
           (unsigned long long)turned_away, (unsigned long long)connected,
           (unsigned long long)reconnects, (unsigned long long)c->batches,
           (unsigned long long)c->acknowledged, (unsigned long long)events,
           (unsigned long long)sum.sent, (unsigned long long)sum.retries,
           (unsigned long long)sum.forged, (unsigned long long)lost_history,
           (unsigned long long)refused, c->time_count, time_ms(c, 0.5),
           time_ms(c, 0.99), time_ms(c, 1));
    fflush(stdout);
}

static void obey(struct crowd *c, const char *line)
{
    unsigned long number = 0;
    char word[8] = "";
    int got = sscanf(line, "%7s %lu", word, &number);

    if (got == 2 && strcmp(word, "rate") == 0 && number <= LOAD_MAX)
        set_rate(c, number);
    else if (got == 2 && strcmp(word, "load") == 0 && number <= LOAD_MAX)
        load(c, number);
    else if (got == 1 && strcmp(word, "reset") == 0)
        c->time_count = 0;
    else
        must(got == 1 && strcmp(word, "status") == 0, line);
    answer(c);
}

static void read_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
    struct crowd *c = handle->data;

    (void)hint;
    must(!buf_reserve(&c->line, 256), "a line that long");
    *out = uv_buf_init((char *)c->line.data + c->line.size, 255);
}

static void read_on_loop(uv_stream_t *stream, ssize_t got, const uv_buf_t *in)
{
    struct crowd *c = stream->data;
    uint8_t *end;

    (void)in;
    if (got < 0)
        _exit(got == UV_EOF ? 0 : 1);
    c->line.size += (size_t)got;
    while ((end = memchr(c->line.data, '\n', c->line.size)) != NULL) {
        size_t size = (size_t)(end - c->line.data) + 1;
        *end = 0;
        obey(c, (const char *)c->line.data);
        c->line.size -= size;
        memmove(c->line.data, c->line.data + size, c->line.size);
    }
}

/* ---- the start ---- */

static uint32_t number_arg(const char *text, uint32_t max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    must(*text && !*end && n > 0 && n <= max, "a number among the arguments");
    return (uint32_t)n;
}

/* A connection is a descriptor here and a port of this machine. */
static void check_limits(uint32_t agents)
{
    const char *file = "/proc/sys/net/ipv4/ip_local_port_range";
    unsigned low = 0, high = 65535, needed = agents + DESCRIPTORS_SPARE;
    struct rlimit files = {0, 0};
    FILE *range = fopen(file, "r");

    if (range) {
        must(fscanf(range, "%u %u", &low, &high) == 2, file);
        fclose(range);
    }
    if (agents > high - low) {
        fprintf(stderr,
                "sotto-crowd: %u agents need as many ports; %s has "
                "%u\n",
                agents, file, high - low);
        exit(2);
    }
    must(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
    if (files.rlim_max < needed) {
        fprintf(stderr,
                "sotto-crowd: %u agents need %u file descriptors; the "
                "hard limit is %llu (ulimit -Hn)\n",
                agents, needed, (unsigned long long)files.rlim_max);
        exit(2);
    }
    files.rlim_cur = files.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
}

static void read_files(struct crowd *c, const char *token, const char *policy,
                       struct buf *scratch)
{
    struct buf text, compiled;

    buf_init(&text, FILE_MAX);
    buf_init(&compiled, POLICY_BYTES_MAX);
    must(!buf_read_file(&text, token), token);
    must(!token_read(&c->token, span_of(text.data, text.size), scratch), token);
    must(!buf_read_file(&compiled, policy), policy);
    must(!policy_load(&c->policy, span_of(compiled.data, compiled.size)),
         policy);
    buf_wipe(&text);
    buf_fini(&compiled);
}

/* A crowd has one tenant, so one set of pseudonym keys. */
static void make_pseudonym_keys(struct crowd *c)
{
    c->keys = pseudonym_keys_make();
    must(c->keys, "memory");
    for (uint32_t i = 0; i < c->policy->key_count; i++) {
        snprintf(c->keys->names[i], sizeof c->keys->names[i], "%s",
                 c->policy->keys[i].name);
        randombytes_buf(c->keys->secrets[i], 32);
    }
    c->keys->count = c->policy->key_count;
}

static void crowd_open(struct crowd *c, char **argv)
{
    char address[128];
    struct buf scratch;

    c->count = number_arg(argv[1], AGENTS_MAX);
    c->events = number_arg(argv[4], EVENTS_MAX);
    check_limits(c->count);
    must(sodium_init() >= 0, "libsodium");
    buf_init(&scratch, FILE_MAX);
    read_files(c, argv[2], argv[3], &scratch);
    make_pseudonym_keys(c);
    must(c->token.address.size < sizeof address, "the token's address");
    snprintf(address, sizeof address, "%.*s", (int)c->token.address.size,
             (const char *)c->token.address.data);
    buf_init(&c->line, 4096);
    buf_init(&c->body, PAYLOAD_MAX);
    must(!batch_open(&c->batch, c->events, BATCH_BYTES), "batch_open");
    c->members = calloc(c->count, sizeof *c->members);
    must(c->members, "memory");
    uv_loop_init(&c->loop);
    uv_timer_init(&c->loop, &c->tick);
    uv_pipe_init(&c->loop, &c->commands, 0);
    c->tick.data = c->commands.data = c;
    for (uint32_t i = 0; i < c->count; i++)
        member_open(c, &c->members[i], address);
    buf_wipe(&scratch);
}

int main(int argc, char **argv)
{
    static struct crowd crowd;

    if (argc != 5) {
        fprintf(stderr, "usage: %s AGENTS TOKEN-FILE POLICY-FILE EVENTS\n",
                argv[0]);
        return 2;
    }
    log_set_level(LOG_ERROR);
    crowd_open(&crowd, argv);
    uv_timer_start(&crowd.tick, tick_on_loop, TICK_MS, TICK_MS);
    must(uv_pipe_open(&crowd.commands, 0) == 0 &&
             uv_read_start((uv_stream_t *)&crowd.commands, read_alloc,
                           read_on_loop) == 0,
         "standard input");
    uv_run(&crowd.loop, UV_RUN_DEFAULT);
    return 1;
}
