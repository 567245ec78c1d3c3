/* See fixture.h. */
#include "fixture.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lists.h"
#include "policy/bundle.h"
#include "sample_policy.h"

#define FILE_MAX (1024 * 1024)

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "fixture: %s failed\n", what);
        abort();
    }
}

static void write_text(const char *path, const void *bytes, size_t size)
{
    must(!file_replace(path, bytes, size, 0600), path);
}

/* ---- the policy ---- */

enum { MEASURE, PERSONALISE, CAMPAIGN };
enum { KEY_VISITOR, KEY_ORDER };

static void add_event(struct policy *p, const char *name, unsigned purpose)
{
    struct policy_event *e = sample_event(p, name, purpose);
    struct policy_field *f;

    sample_field(e, "at", "", ROLE_TIME, ACTION_TIME, purpose)->round_ms =
        60000;
    sample_field(e, "visitor", "userId", ROLE_SUBJECT, ACTION_PSEUDONYM,
                 PERSONALISE);
    sample_field(e, "visit", "", ROLE_SESSION, ACTION_SESSION, purpose);
    f = sample_field(e, "order", "properties.order_id", ROLE_ORDER,
                     ACTION_PSEUDONYM, purpose);
    f->key = KEY_ORDER;
    f->bits = 64;
    f = sample_field(e, "item", "properties.product_id", ROLE_ITEM, ACTION_KEEP,
                     purpose);
    sample_text(f, 32, "[A-Za-z0-9 ._-]{1,32}");
    f->required = true;
    f = sample_field(e, "name", "properties.name", ROLE_NAME, ACTION_KEEP,
                     purpose);
    sample_text(f, 60, "");
    f = sample_field(e, "category", "properties.category", ROLE_CATEGORY,
                     ACTION_KEEP, purpose);
    sample_text(f, 40, "");
    f = sample_field(e, "price", "properties.price", ROLE_VALUE, ACTION_KEEP,
                     purpose);
    f->type = TYPE_MONEY;
    f = sample_field(e, "quantity", "properties.quantity", ROLE_QUANTITY,
                     ACTION_KEEP, purpose);
    f->type = TYPE_INT;
}

static struct policy *make_policy(const struct minisign_pk *officer)
{
    struct policy *p = sample_head("shop");

    p->version = 1;
    p->session_timeout_ms = 30 * 60000;
    memcpy(p->signers[0].key_id, officer->key_id, sizeof officer->key_id);
    memcpy(p->signers[0].pk, officer->pk, sizeof officer->pk);
    sample_key(p, "visitor");
    sample_key(p, "order");
    sample_purpose(p, "measure", false, 395 * DAY_MS);
    sample_purpose(p, "personalise", true, 180 * DAY_MS);
    sample_purpose(p, "campaign", true, 30 * DAY_MS);
    add_event(p, "Product Viewed", MEASURE);
    add_event(p, "Product Added", MEASURE);
    add_event(p, "Order Completed", MEASURE);
    add_event(p, "Banner Clicked", CAMPAIGN);
    return sample_finish(p);
}

static void sign_policy(const struct fixture *f, struct buf *out)
{
    struct span compiled =
        span_of(f->policy->compiled.data, f->policy->compiled.size);
    struct signed_policy s = {.compiled = compiled, .signature_count = 1};
    struct buf signature;

    buf_init(&signature, FILE_MAX);
    must(!minisign_sign(&signature, f->officer, compiled, "fixture"), "sign");
    s.signatures[0] = span_of(signature.data, signature.size);
    must(!signed_policy_encode(out, &s), "signed policy");
    buf_fini(&signature);
}

/* ---- token and bundle ---- */

static void write_token(const struct fixture *f, const char *address)
{
    struct token t = {.address = span_text(address),
                      .name = span_text("fixture"),
                      .expires_ms = INT64_C(1900000000000)};
    struct buf text;

    memcpy(t.sign_pk, f->aggregator->sign_pk, PK_SIZE);
    memcpy(t.box_pk, f->aggregator->box_pk, PK_SIZE);
    randombytes_buf(t.secret, sizeof t.secret);
    buf_init(&text, FILE_MAX);
    must(!token_write(&text, &t), "token");
    write_text(f->token_file, text.data, text.size);
    buf_wipe(&text);
}

static void write_bundle(struct fixture *f)
{
    struct bundle b = {.minimum_version = 1, .keys = f->pseudonyms};
    struct buf file;

    sample_copy(b.tenant, sizeof b.tenant, f->policy->tenant);
    signers_of(&b.signers, f->policy);
    buf_init(&b.policy, FILE_MAX);
    buf_init(&file, FILE_MAX);
    sign_policy(f, &b.policy);
    bundle_code_make(f->code);
    must(!bundle_seal(&file, &b, f->code), "bundle");
    write_text(f->bundle_file, file.data, file.size);
    write_text(f->code_file, f->code, strlen(f->code));
    buf_fini(&file);
    buf_fini(&b.policy);
}

static void make_pseudonyms(struct fixture *f)
{
    struct pseudonym_keys *k = pseudonym_keys_make();

    must(k, "pseudonym keys");
    k->count = 2;
    sample_copy(k->names[KEY_VISITOR], sizeof k->names[0], "visitor");
    sample_copy(k->names[KEY_ORDER], sizeof k->names[0], "order");
    randombytes_buf(k->secrets[KEY_VISITOR], 32);
    randombytes_buf(k->secrets[KEY_ORDER], 32);
    f->pseudonyms = k;
}

/* ---- the directory ---- */

static void join(char *out, size_t out_size, const char *dir, const char *name)
{
    int n = snprintf(out, out_size, "%s/%s", dir, name);

    must(n > 0 && (size_t)n < out_size, "path");
}

void fixture_home(const struct fixture *f, const char *name,
                  const char *settings, char *out, size_t out_size)
{
    char file[256], ring[200], text[1024];
    int n;

    join(out, out_size, f->dir, name);
    join(ring, sizeof ring, f->dir, "ring");
    join(file, sizeof file, out, "agent.yaml");
    must(!mkdir(out, 0700), "mkdir");
    n = snprintf(text, sizeof text, "ring_dir: %s\n%s", ring,
                 settings ? settings : "");
    must(n > 0 && (size_t)n < sizeof text, "settings");
    write_text(file, text, (size_t)n);
}

void fixture_make(struct fixture *f, const char *dir, const char *address,
                  const char *settings)
{
    const char *tmp = getenv("TMPDIR");
    struct minisign_pk officer;
    char ring[200];

    memset(f, 0, sizeof *f);
    must(sodium_init() >= 0, "libsodium");
    if (dir) {
        must(snprintf(f->dir, sizeof f->dir, "%s", dir) < (int)sizeof f->dir,
             "path");
    } else {
        join(f->dir, sizeof f->dir, tmp ? tmp : "/tmp", "sotto-XXXXXX");
        must(mkdtemp(f->dir), "mkdtemp");
        f->dir_made = 1;
    }
    join(ring, sizeof ring, f->dir, "ring");
    must(!mkdir(ring, 0700), "mkdir");
    join(f->token_file, sizeof f->token_file, f->dir, "token");
    join(f->bundle_file, sizeof f->bundle_file, f->dir, "bundle");
    join(f->code_file, sizeof f->code_file, f->dir, "code");
    must(!keys_make(&f->aggregator), "keys");
    must(!minisign_make(&f->officer, &officer), "officer");
    f->policy = make_policy(&officer);
    make_pseudonyms(f);
    write_token(f, address);
    write_bundle(f);
    fixture_home(f, "home", settings, f->home, sizeof f->home);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void fixture_remove(const char *dir)
{
    must(!nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), "rm -r");
}

void fixture_free(struct fixture *f)
{
    keys_free(f->aggregator);
    minisign_free(f->officer);
    policy_free(f->policy);
    pseudonym_keys_free(f->pseudonyms);
    if (f->dir_made)
        fixture_remove(f->dir);
    memset(f, 0, sizeof *f);
}

static void encode_list(struct buf *out, const char *prefix, unsigned count)
{
    struct list *l = calloc(1, sizeof *l);
    char names[LIST_ITEMS_MAX][32];

    must(l && count <= LIST_ITEMS_MAX, "list");
    l->model = span_text("model-1");
    l->count = count;
    for (unsigned i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%.16s-%u", prefix, i + 1);
        l->items[i].item = span_text(names[i]);
        l->items[i].score = (float)(count - i);
        l->items[i].reason = REASON_POPULAR;
    }
    must(!list_encode(out, l), "list_encode");
    free(l);
}

void fixture_list(const struct fixture *f, const char *home, const char *user,
                  const char *prefix, unsigned count)
{
    struct document d = {.kind = DOCUMENT_POPULAR, .expires_ms = WHEN_NONE};
    struct lists *lists;
    struct why why;
    struct buf body;
    uint8_t subject[16];
    char path[256];

    if (user) {
        must(!pseudonym_make(subject, f->policy, f->pseudonyms,
                             policy_subject_id(f->policy), span_text(user)),
             "pseudonym");
        d.kind = DOCUMENT_LIST;
        d.key = span_of(subject, sizeof subject);
    }
    buf_init(&body, DOCUMENT_BODY_MAX);
    encode_list(&body, prefix, count);
    join(path, sizeof path, home, "lists.db");
    must(!lists_open(&lists, path, &why), "lists_open");
    d.number = lists_applied(lists) + 1;
    d.body = span_of(body.data, body.size);
    must(!lists_begin(lists) && !lists_apply(lists, &d) &&
             !lists_end(lists, d.number),
         "lists_apply");
    lists_close(lists);
    buf_fini(&body);
}
