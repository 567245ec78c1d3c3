/* The agents' machines; see site.h. */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core.h"
#include "disk.h"
#include "fixture.h"
#include "ledger.h"
#include "net.h"
#include "support/parts.h"

#define CLONE (AGENTS_MAX - 1)
#define POLICIES_MAX 64

struct agent {
    struct core *core; /* NULL: down */
    char ring[200];
    struct backup *backups[2]; /* the newest first */
    struct ledger_book *books[2];
    bool touched;
};

static struct agent agents[AGENTS_MAX];
static unsigned agent_count;
static bool cloned;
static struct parts office; /* of it the fixture: policy and officer */
static struct buf policies[POLICIES_MAX];
static unsigned policy_count;
static bool policy_pending; /* the next was offered, and an error came back */
static struct keys *forger;

static struct node *machine(unsigned i)
{
    return &world.nodes[i];
}

/* ---- making ---- */

static void write_file(const char *dir, const char *name, struct span bytes)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    sim_must(!file_replace(path, bytes.data, bytes.size, 0600), path);
}

/* Small limits, so that each is met within hours. */
static void write_settings(unsigned i)
{
    char text[400];

    snprintf(agents[i].ring, sizeof agents[i].ring, "%s/ring-%u", world.dir, i);
    sim_must(!mkdir(agents[i].ring, 0700), agents[i].ring);
    snprintf(text, sizeof text,
             "ring_dir: %s\nring_size: 64KiB\nbatch_bytes: 16KiB\n"
             "batch_events: 40\nbatch_age: PT20S\nspool_size: 1MiB\n"
             "spool_age: %s\nreplay: PT4H\n",
             agents[i].ring, i == 1 ? "PT40M" : "P2D");
    write_file(machine(i)->dir, "agent.yaml", span_text(text));
}

static void agent_make(unsigned i)
{
    const struct keys *k = aggregator_keys();
    struct token t = {.address = span_text("tcp://127.0.0.1:1"),
                      .name = span_text(machine(i)->name),
                      .expires_ms = INT64_C(1900000000000)};
    struct buf text, bundle;
    struct why why = {.text = ""};

    memcpy(t.sign_pk, k->sign_pk, PK_SIZE);
    memcpy(t.box_pk, k->box_pk, PK_SIZE);
    sim_must(aggregator_token(machine(i)->name, t.secret), "a token");
    buf_init(&text, 1 << 16);
    sim_must(!token_write(&text, &t), "a token's text");
    sim_must(!home_make(machine(i)->dir, span_of(text.data, text.size),
                        parts_read(&bundle, office.fixture.bundle_file),
                        office.fixture.code, &why),
             why.text);
    buf_wipe(&text);
    buf_wipe(&bundle);
    write_settings(i);
}

static void load(void *context, uint64_t argument);
static struct span forge(struct node *n, struct span frame);

void agents_make(unsigned count)
{
    struct why why = {.text = ""};
    struct home *h;

    fixture_make(&office.fixture, world.dir, "tcp://127.0.0.1:1", NULL);
    sim_must(!keys_make(&forger), "keys");
    agent_count = count;
    for (unsigned i = 0; i < count; i++)
        agent_make(i);
    sim_must(!home_load(&h, machine(0)->dir, &why), why.text);
    buf_init(&policies[0], SIGNED_POLICY_MAX);
    sim_must(!buf_append(&policies[0], h->officer.policy.data,
                         h->officer.policy.size) &&
                 aggregator_policy(span_of(policies[0].data, policies[0].size),
                                   NULL),
             "the first policy");
    policy_count = 1;
    home_free(h);
    net_watch(ledger_sent);
    net_forger(forge);
    for (unsigned i = 0; i < count; i++) {
        site_up(machine(i), (int64_t)chance_below(SECOND));
        world_at(MINUTE, NULL, load, &agents[i], i, NULL);
    }
}

void agents_fini(void)
{
    for (unsigned i = 0; i < AGENTS_MAX; i++)
        for (int k = 0; k < 2; k++) {
            backup_free(agents[i].backups[k]);
            ledger_book_free(agents[i].books[k]);
        }
    for (unsigned i = 0; i < POLICIES_MAX; i++)
        buf_fini(&policies[i]);
    keys_free(forger);
    fixture_free(&office.fixture);
    fixture_remove(world.dir);
}

unsigned agents_count(void)
{
    return cloned ? AGENTS_MAX : agent_count;
}

/* ---- life and death ---- */

void agent_boot(unsigned i)
{
    struct node *n = machine(i);
    struct why why = {.text = ""};
    enum sotto_err err;

    if (n->up)
        return;
    n->booted_ms = world.now_ms;
    err = core_open(&agents[i].core, &n->loop, n->dir, true, &why);
    if (err) {
        trace("boot failed: %s", err_text(err));
        agents[i].core = NULL;
        if (err != SOTTO_EIO && err != SOTTO_EFULL)
            violated("the agent does not open: %s", why.text);
        n->epoch++;
        site_up(n, 10 * SECOND);
        return;
    }
    core_produce_begin(agents[i].core); /* the app */
    n->up = true;
    trace("up");
    agents[i].touched = true;
}

static void stopped(void *owner)
{
    agents[world.running->number].core = NULL;
    *(bool *)owner = true;
}

void aggregator_down(bool *done);

void site_stop(struct node *n, bool *done)
{
    if (n->number == AGGREGATOR)
        aggregator_down(done);
    else
        core_stop(agents[n->number].core, stopped, done);
}

void site_gone(struct node *n)
{
    if (n->number == AGGREGATOR)
        return;
    fixture_remove(agents[n->number].ring);
    sim_must(!mkdir(agents[n->number].ring, 0700), "a ring's folder");
    ledger_power(n);
}

void agent_backup(unsigned i)
{
    struct agent *a = &agents[i];
    struct ledger_book *book = ledger_backup(machine(i));

    if (!book)
        return;
    backup_free(a->backups[1]);
    ledger_book_free(a->books[1]);
    a->backups[1] = a->backups[0];
    a->books[1] = a->books[0];
    a->backups[0] = disk_backup(machine(i));
    a->books[0] = book;
    trace("backup of agent %u", i);
}

void agent_restore(unsigned i, bool older)
{
    struct agent *a = &agents[i];
    int k = older ? 1 : 0;

    if (!a->backups[k])
        return;
    site_down(machine(i), true, false);
    disk_restore(machine(i), a->backups[k]);
    ledger_restore(machine(i), a->books[k], false);
    trace("restored agent %u", i);
    site_counts.agent_restores++;
    site_up(machine(i), chance_exponential(20 * SECOND));
}

static void copy_file(const char *from, const char *to, const char *name)
{
    char path[400];
    struct buf bytes;

    snprintf(path, sizeof path, "%s/%s", from, name);
    write_file(to, name, parts_read(&bytes, path));
    buf_wipe(&bytes);
}

/* An image of a running machine, started a second time elsewhere. */
void agent_clone(unsigned i)
{
    static const char *const names[] = {"agent.keys", "token", "officer",
                                        "agent.cert"};
    struct backup *image;
    struct ledger_book *book;

    if (cloned || i == CLONE || !agents[i].core ||
        !agents[i].core->home->enrolled || !(book = ledger_backup(machine(i))))
        return;
    cloned = true;
    sim_must(!mkdir(machine(CLONE)->dir, 0700), "a clone's folder");
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        copy_file(machine(i)->dir, machine(CLONE)->dir, names[k]);
    write_settings(CLONE);
    image = disk_backup(machine(i));
    disk_restore(machine(CLONE), image);
    ledger_restore(machine(CLONE), book, true);
    backup_free(image);
    ledger_book_free(book);
    trace("cloned agent %u", i);
    site_counts.clones++;
    site_up(machine(CLONE), SECOND);
    world_at(world.now_ms + MINUTE, NULL, load, &agents[CLONE], CLONE, NULL);
}

/* ---- what happens at a device ---- */

static void track(unsigned i)
{
    static const char *const categories[] = {"shoes", "books", "garden"};
    uint32_t number = ledger_next();
    char item[32];
    const struct raw_field fields[] = {
        {.path = span_text("properties.product_id"),
         .kind = RAW_TEXT,
         .text =
             (snprintf(item, sizeof item, "e-%u", number), span_text(item))},
        {.path = span_text("properties.category"),
         .kind = RAW_TEXT,
         .text = span_text(categories[number % 3])},
        {.path = span_text("properties.quantity"),
         .kind = RAW_INT,
         .number = number % 5},
    };
    const struct raw_event raw = {.name = span_text("Product Viewed"),
                                  .time_ms = WHEN_NONE,
                                  .fields = fields,
                                  .field_count = 3};

    if (take_event(&agents[i].core->take, &raw) == DROP_NOT)
        ledger_taken(machine(i), number);
    agents[i].touched = true;
}

void agent_burst(unsigned i, unsigned events)
{
    struct node *before = world.running;

    world.running = machine(i);
    for (unsigned k = 0; k < events && agents[i].core; k++)
        track(i);
    world.running = before;
}

static void identify(unsigned i)
{
    char id[32];

    snprintf(id, sizeof id, "u-%u", (unsigned)chance_below(50));
    take_identify(&agents[i].core->take, span_text("userId"), span_text(id));
    core_consent(agents[i].core, "personalise", true);
}

void agent_forget(unsigned i)
{
    struct node *before = world.running;

    if (!agents[i].core)
        return;
    world.running = machine(i);
    identify(i);
    track(i);
    if (core_consent(agents[i].core, "personalise", false) == SOTTO_OK)
        site_counts.forgets++;
    world.running = before;
}

/* People come in groups of a few events, with pauses. */
static void load(void *context, uint64_t argument)
{
    unsigned i = (unsigned)argument;

    if (agents[i].core && !world.calm) {
        world.running = machine(i);
        if (chance_one_in(4))
            identify(i);
        world.running = NULL;
        agent_burst(i, 1 + (unsigned)chance_below(12));
    }
    world_at(world.now_ms + chance_exponential(40 * SECOND), NULL, load,
             context, argument, NULL);
}

/* ---- checks ---- */

void agent_touched(const struct node *n)
{
    agents[n->number].touched = true;
}

void agents_check(void)
{
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        struct agent *a = &agents[i];
        if (!a->touched)
            continue;
        a->touched = false;
        if (!a->core)
            continue;
        world.running = machine(i);
        ledger_balance(machine(i), a->core->spool, core_unsealed(a->core));
        world.running = NULL;
    }
}

const char *agents_waiting(void)
{
    static char text[64];

    for (unsigned i = 0; i < agents_count(); i++) {
        const struct core *c = agents[i].core;
        if (!c || spool_state(c->spool)->waiting_rows > 0 ||
            !batcher_idle(c->batcher)) {
            snprintf(text, sizeof text, "agent %u %s", i,
                     c ? "has not delivered" : "is down");
            return text;
        }
    }
    return "";
}

/* ---- policies ---- */

void agents_policy(void)
{
    struct buf *out = &policies[policy_count];

    if (policy_count == POLICIES_MAX)
        return;
    if (!policy_pending)
        parts_policy(&office, out, policy_count + 1, NULL);
    policy_pending = !aggregator_policy(span_of(out->data, out->size),
                                        office.fixture.policy->hash);
    if (policy_pending) /* it may be there all the same */
        return;
    policy_count++;
    site_counts.policies++;
    trace("policy %u", policy_count);
}

bool agents_old_policies(void)
{
    bool added = true;

    if (policy_pending)
        agents_policy();
    for (unsigned i = 0; i < policy_count; i++)
        added &= aggregator_policy(span_of(policies[i].data, policies[i].size),
                                   NULL);
    return added && !policy_pending;
}

/* ---- the forger ---- */

/* An acknowledgement of everything, in the aggregator's name, by another. */
static struct span forge(struct node *n, struct span frame)
{
    struct span none = {NULL, 0};
    struct keys mask = *forger;
    struct envelope e, head = {.kind = KIND_REPLY};
    struct reply r = {.verdict = VERDICT_ACK};
    struct buf body, out;
    struct peer to;

    if (frame.size < NONCE_SIZE ||
        envelope_parse(
            &e, span_of(frame.data + NONCE_SIZE, frame.size - NONCE_SIZE)) ||
        e.kind > KIND_FORGET || !agents[n->number].core)
        return none;
    memcpy(mask.sign_id, agents[n->number].core->home->aggregator.sign_id,
           KEY_ID_SIZE);
    keys_peer(agents[n->number].core->home->keys, &to);
    memcpy(r.nonce, frame.data, NONCE_SIZE);
    r.stream = e.stream;
    r.sequence = r.watermark = e.sequence;
    r.time_ms = INT64_C(1750000000000) + world.now_ms;
    buf_init(&body, 1024);
    buf_init(&out, 4096);
    sim_must(!message_encode(&body, MESSAGE_REPLY, &r) &&
                 !envelope_write(&out, &head, span_of(body.data, body.size),
                                 &mask, &to),
             "forging");
    buf_fini(&body);
    return span_of(out.data, out.size);
}
