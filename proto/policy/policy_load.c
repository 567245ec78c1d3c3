/* Reading a compiled policy: nothing in it is believed.
 *
 * Each entry is read with its type and range; what links to something else
 * (purpose, key, role) is checked against what is there; names are unique;
 * and the result, encoded again, must give the bytes that were read. */
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/dict.h"
#include "policy/detect.h"
#include "policy/event.h"
#include "policy/network.h"
#include "policy/policy_form.h"
#include "policy/url.h"
#include "policy/useragent.h"
#include "wire/pack.h"

/* What is being read, with the first error: a loader is a list of reads and
 * one test. */
struct loader {
    struct policy *p;
    enum sotto_err err;
};

static void refuse(struct loader *l, enum sotto_err err)
{
    if (!l->err)
        l->err = err;
}

static void require(struct loader *l, bool holds)
{
    if (!holds)
        refuse(l, SOTTO_EDECODE);
}

/* Exactly count entries, or NULL. */
static const msgpack_object *load_array(struct loader *l,
                                        const msgpack_object *o, uint32_t min,
                                        uint32_t max, uint32_t *count)
{
    const msgpack_object *items = NULL;

    if (!l->err)
        refuse(l, get_array(o, min, max, &items, count));
    return l->err ? NULL : items;
}

static uint64_t load_uint(struct loader *l, const msgpack_object *o,
                          uint64_t max)
{
    uint64_t value = 0;

    refuse(l, get_uint(o, max, &value));
    return value;
}

static int64_t load_int(struct loader *l, const msgpack_object *o, int64_t min,
                        int64_t max)
{
    int64_t value = 0;

    refuse(l, get_int(o, &value));
    require(l, value >= min && value <= max);
    return value;
}

static bool load_bool(struct loader *l, const msgpack_object *o)
{
    bool value = false;

    refuse(l, get_bool(o, &value));
    return value;
}

/* Text of min..max bytes, with a final zero. Names are printed on people's
 * terminals, so no control characters. */
static void load_text(struct loader *l, const msgpack_object *o, char *out,
                      size_t min, size_t max)
{
    struct span text = {NULL, 0};
    enum sotto_err err = get_text(o, max, &text);

    refuse(l, err);
    require(l, text.size >= min);
    if (err || text.size == 0)
        return;
    for (size_t i = 0; i < text.size; i++)
        require(l, text.data[i] >= 0x20 && text.data[i] != 0x7f);
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

static void load_signer(struct loader *l, const msgpack_object *o, unsigned i)
{
    struct policy_signer *s = &l->p->signers[i];
    uint32_t count;
    const msgpack_object *at =
        load_array(l, o, FORM_SIGNER, FORM_SIGNER, &count);

    if (!at)
        return;
    load_text(l, &at[0], s->name, 1, NAME_MAX_SIZE);
    refuse(l, get_fixed(&at[1], s->key_id, sizeof(s->key_id)));
    refuse(l, get_fixed(&at[2], s->pk, sizeof(s->pk)));
    for (unsigned other = 0; other < i; other++) {
        const struct policy_signer *t = &l->p->signers[other];

        /* one key under two names would sign for two people */
        require(l, memcmp(t->pk, s->pk, sizeof(s->pk)) != 0 &&
                       memcmp(t->key_id, s->key_id, sizeof(s->key_id)) != 0 &&
                       strcmp(t->name, s->name) != 0);
    }
}

static void load_key(struct loader *l, const msgpack_object *o, unsigned i)
{
    struct policy_key *key = &l->p->keys[i];
    uint32_t count;
    const msgpack_object *at =
        load_array(l, o, FORM_KEY, FORM_KEY_EPOCH, &count);

    if (!at)
        return;
    load_text(l, &at[0], key->name, 1, NAME_MAX_SIZE);
    key->epoch_ms = load_int(l, &at[1], 0, POLICY_EPOCH_MAX);
    require(l, (count == FORM_KEY_EPOCH) == (key->epoch_ms != 0));
    if (!l->err && key->epoch_ms != 0) {
        require(l, key->epoch_ms >= POLICY_EPOCH_MIN);
        key->destroy_ms = load_int(l, &at[2], POLICY_EPOCH_MIN,
                                   key->epoch_ms * POLICY_WINDOW_MAX);
    }
    for (unsigned other = 0; other < i; other++)
        require(l, strcmp(l->p->keys[other].name, key->name) != 0);
}

static void load_purpose(struct loader *l, const msgpack_object *o, unsigned i)
{
    struct policy_purpose *purpose = &l->p->purposes[i];
    uint32_t count;
    const msgpack_object *at =
        load_array(l, o, FORM_PURPOSE, FORM_PURPOSE, &count);

    if (!at)
        return;
    load_text(l, &at[0], purpose->name, 1, NAME_MAX_SIZE);
    purpose->basis = (uint8_t)load_uint(l, &at[1], BASIS_COUNT - 1);
    purpose->needs_consent = load_bool(l, &at[2]);
    purpose->retention_ms = load_int(l, &at[3], 0, POLICY_SPAN_MAX);
    require(l, purpose->basis != BASIS_CONSENT || purpose->needs_consent);
    for (unsigned other = 0; other < i; other++)
        require(l, strcmp(l->p->purposes[other].name, purpose->name) != 0);
}

static void load_keep(struct loader *l, const msgpack_object *at,
                      struct policy_field *f)
{
    f->type = (uint8_t)load_uint(l, &at[0], TYPE_COUNT - 1);
    f->max = (uint16_t)load_uint(l, &at[1], TEXT_SIZE_MAX);
    load_text(l, &at[2], f->pattern_text, 0, NAME_MAX_SIZE);
    require(l, f->type != TYPE_ID && f->from[0]);
    if (f->type != TYPE_TEXT)
        require(l, f->max == 0 && !f->pattern_text[0]);
    else
        require(l, f->max >= 1);
    if (l->err || !f->pattern_text[0])
        return;
    f->pattern = malloc(sizeof(*f->pattern));
    if (!f->pattern)
        refuse(l, SOTTO_ENOMEM);
    else
        require(l,
                !pattern_compile(f->pattern, span_text(f->pattern_text), NULL));
}

/* The number of the (path, key, normalization) of f, added if it is new. */
static void derive_id(struct loader *l, struct policy_field *f)
{
    struct policy *p = l->p;
    struct policy_id *id = p->ids;

    for (; id < p->ids + p->id_count; id++)
        if (id->key == f->key && id->normalize == f->normalize &&
            strcmp(id->from, f->from) == 0)
            break;
    if (id == p->ids + POLICY_IDS_MAX) {
        refuse(l, SOTTO_ETOOBIG);
        return;
    }
    f->id = (uint8_t)(id - p->ids);
    if (f->id < p->id_count)
        return;
    memcpy(id->from, f->from, sizeof(id->from));
    id->key = f->key;
    id->normalize = f->normalize;
    p->id_count++;
}

static void load_pseudonym(struct loader *l, const msgpack_object *at,
                           struct policy_field *f)
{
    f->type = TYPE_ID;
    f->key = (uint8_t)load_uint(l, &at[0], POLICY_KEYS_MAX - 1);
    f->bits = (uint8_t)load_uint(l, &at[1], 128);
    f->normalize = (uint8_t)load_uint(l, &at[2], NORMALIZE_COUNT - 1);
    require(l, f->key < l->p->key_count && f->from[0]);
    require(l, f->bits == 64 || f->bits == 128);
    if (!l->err)
        derive_id(l, f);
}

static void load_bucket(struct loader *l, const msgpack_object *at,
                        struct policy_field *f)
{
    uint32_t count = 0;
    const msgpack_object *edges;

    f->type = (uint8_t)load_uint(l, &at[0], TYPE_COUNT - 1);
    require(l, f->type == TYPE_INT || f->type == TYPE_MONEY);
    require(l, f->from[0]);
    edges = load_array(l, &at[1], 1, POLICY_EDGES_MAX, &count);
    if (!edges)
        return;
    f->edges = calloc(count, sizeof(*f->edges));
    if (!f->edges) {
        refuse(l, SOTTO_ENOMEM);
        return;
    }
    f->edge_count = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        f->edges[i] = load_int(l, &edges[i], INT64_MIN, INT64_MAX);
        require(l, i == 0 || f->edges[i] > f->edges[i - 1]);
    }
}

static void load_ip(struct loader *l, const msgpack_object *at,
                    struct policy_field *f)
{
    f->max = NETWORK_TEXT_MAX;
    f->v4 = (uint8_t)load_uint(l, &at[0], NETWORK_V4_MAX);
    f->v6 = (uint8_t)load_uint(l, &at[1], NETWORK_V6_MAX);
    require(l, f->v4 > 0 && f->v6 > 0);
}

static void load_url(struct loader *l, const msgpack_object *at,
                     struct policy_field *f)
{
    f->parts = (uint8_t)load_uint(l, &at[0], URL_ALL);
    f->max = (uint16_t)load_uint(l, &at[1], TEXT_SIZE_MAX);
    require(l, url_parts_good(f->parts) && f->max > 0);
}

static void load_values(struct loader *l, const msgpack_object *o,
                        struct policy_field *f)
{
    uint32_t count = 0;
    const msgpack_object *items =
        load_array(l, o, 2, POLICY_VALUES_MAX, &count);

    if (!items)
        return;
    f->values = calloc(count, sizeof(*f->values));
    if (!f->values) {
        refuse(l, SOTTO_ENOMEM);
        return;
    }
    f->value_count = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        size_t size;

        load_text(l, &items[i], f->values[i], 1, NAME_MAX_SIZE);
        size = strlen(f->values[i]);
        require(l, event_text_fits(span_of(f->values[i], size)));
        if (size > f->max)
            f->max = (uint16_t)size;
        for (uint32_t other = 0; other < i; other++)
            require(l, strcmp(f->values[other], f->values[i]) != 0);
    }
}

static void load_randomize(struct loader *l, const msgpack_object *at,
                           struct policy_field *f)
{
    load_values(l, &at[0], f);
    f->epsilon = (uint32_t)load_uint(l, &at[1], POLICY_EPSILON_MAX);
    f->memoize = load_bool(l, &at[2]);
    require(l, f->epsilon >= POLICY_EPSILON_MIN);
}

static void load_redact(struct loader *l, const msgpack_object *at,
                        struct policy_field *f)
{
    f->detect = (uint16_t)load_uint(l, &at[0], DETECT_ALL);
    f->max = (uint16_t)load_uint(l, &at[1], TEXT_SIZE_MAX);
    require(l, f->detect > 0 && f->max > 0);
}

static void load_parameters(struct loader *l, const msgpack_object *at,
                            struct policy_field *f)
{
    switch (f->action) {
    case ACTION_KEEP:
        load_keep(l, at, f);
        break;
    case ACTION_PSEUDONYM:
        load_pseudonym(l, at, f);
        break;
    case ACTION_SESSION:
        f->type = TYPE_INT;
        break;
    case ACTION_TIME:
        f->type = TYPE_TIME;
        f->round_ms = load_int(l, &at[0], 1, POLICY_SPAN_MAX);
        require(l, !f->from[0]);
        break;
    case ACTION_BUCKET:
        load_bucket(l, at, f);
        break;
    case ACTION_IP:
        load_ip(l, at, f);
        break;
    case ACTION_UA_FAMILY:
        f->max = USERAGENT_TEXT_MAX;
        break;
    case ACTION_URL:
        load_url(l, at, f);
        break;
    case ACTION_TOKENIZE:
        f->type = TYPE_ID;
        f->bits = 64;
        break;
    case ACTION_RANDOMIZE:
        load_randomize(l, at, f);
        break;
    case ACTION_REDACT:
        load_redact(l, at, f);
        break;
    default:
        refuse(l, SOTTO_EDECODE); /* a dropped field is no column */
    }
}

static void load_field(struct loader *l, const msgpack_object *o,
                       struct policy_event *event, unsigned i)
{
    struct policy_field *f = &event->fields[i];
    uint32_t count = 0;
    const msgpack_object *at =
        load_array(l, o, FORM_FIELD, FORM_FIELD + 3, &count);

    if (!at)
        return;
    load_text(l, &at[0], f->name, 1, NAME_MAX_SIZE);
    load_text(l, &at[1], f->from, 0, PATH_MAX_SIZE);
    f->from_size = (uint8_t)strlen(f->from);
    f->role = (uint8_t)load_uint(l, &at[2], ROLE_COUNT - 1);
    f->action = (uint8_t)load_uint(l, &at[3], ACTION_COUNT - 1);
    f->purpose = (uint8_t)load_uint(l, &at[4], POLICY_PURPOSES_MAX - 1);
    f->required = load_bool(l, &at[5]);
    require(l, f->purpose < l->p->purpose_count);
    require(l, count == FORM_FIELD + form_parameters(f->action));
    if (l->err)
        return;
    load_parameters(l, at + FORM_FIELD, f);
    require(l, f->from[0] || f->action == ACTION_TIME ||
                   f->action == ACTION_SESSION);
    require(l, role_types(f->role) >> f->type & 1);
    /* a token is nobody, twice */
    require(l, (f->role != ROLE_SUBJECT && f->role != ROLE_DAY) ||
                   f->action == ACTION_PSEUDONYM);
    for (unsigned other = 0; other < i; other++)
        require(l, strcmp(event->fields[other].name, f->name) != 0);
    if (f->role == ROLE_NONE)
        return;
    require(l, event->by_role[f->role] == FIELD_NONE);
    event->by_role[f->role] = (uint8_t)i;
}

static void load_event(struct loader *l, const msgpack_object *o, unsigned i)
{
    struct policy_event *event = &l->p->events[i];
    uint32_t count = 0;
    const msgpack_object *at = load_array(l, o, FORM_EVENT, FORM_EVENT, &count);
    const msgpack_object *fields;
    struct span name;
    uint32_t slot;

    if (!at)
        return;
    memset(event->by_role, FIELD_NONE, sizeof(event->by_role));
    load_text(l, &at[0], event->name, 1, NAME_MAX_SIZE);
    event->role = (uint8_t)load_uint(l, &at[1], EVENT_ROLE_COUNT - 1);
    event->purpose = (uint8_t)load_uint(l, &at[2], POLICY_PURPOSES_MAX - 1);
    require(l, event->purpose < l->p->purpose_count);
    fields = load_array(l, &at[3], 0, POLICY_FIELDS_MAX, &count);
    if (!fields)
        return;
    if (count > 0) {
        event->fields = calloc(count, sizeof(*event->fields));
        if (!event->fields) {
            refuse(l, SOTTO_ENOMEM);
            return;
        }
    }
    event->field_count = (uint8_t)count;
    for (unsigned f = 0; f < count; f++)
        load_field(l, &fields[f], event, f);

    for (unsigned f = 0; f < count; f++)
        require(l, !event->fields[f].memoize || policy_memo_field(event));
    name = span_text(event->name);
    slot = policy_slot(l->p, name);
    require(l, l->p->slots[slot] == 0); /* or two events have one name */
    l->p->slots[slot] = (uint16_t)(i + 1);
}

static void load_head(struct loader *l, const msgpack_object *at)
{
    struct policy *p = l->p;

    load_text(l, &at[1], p->tenant, 1, NAME_MAX_SIZE);
    p->version = load_uint(l, &at[2], UINT64_MAX);
    refuse(l, get_fixed(&at[3], p->previous, sizeof(p->previous)));
    p->effective_ms = load_int(l, &at[4], 0, TIME_MAX_MS);
    p->expires_ms = load_int(l, &at[5], INT64_MIN, TIME_MAX_MS);
    require(l, p->expires_ms == WHEN_NONE || p->expires_ms > p->effective_ms);
    p->session_timeout_ms = load_int(l, &at[6], 0, POLICY_SPAN_MAX);
    p->spool_ms = load_int(l, &at[7], 0, POLICY_SPAN_MAX);
    p->signers_needed = (uint8_t)load_uint(l, &at[8], POLICY_SIGNERS_MAX);
}

static void load_lists(struct loader *l, const msgpack_object *at)
{
    struct policy *p = l->p;
    uint32_t count = 0;
    const msgpack_object *items;

    items = load_array(l, &at[9], 1, POLICY_SIGNERS_MAX, &count);
    for (uint32_t i = 0; items && i < count; i++)
        load_signer(l, &items[i], p->signer_count++);
    require(l, p->signers_needed >= 1 && p->signers_needed <= p->signer_count);

    items = load_array(l, &at[10], 0, POLICY_KEYS_MAX, &count);
    for (uint32_t i = 0; items && i < count; i++)
        load_key(l, &items[i], p->key_count++);

    items = load_array(l, &at[11], 1, POLICY_PURPOSES_MAX, &count);
    for (uint32_t i = 0; items && i < count; i++)
        load_purpose(l, &items[i], p->purpose_count++);

    items = load_array(l, &at[12], 1, POLICY_EVENTS_MAX, &count);
    if (!items)
        return;
    p->events = calloc(count, sizeof(*p->events));
    if (!p->events)
        refuse(l, SOTTO_ENOMEM);
    for (uint32_t i = 0; !l->err && i < count; i++)
        load_event(l, &items[i], p->event_count++);
}

/* There is one form for one policy. */
static enum sotto_err compiled_keep(struct policy *p, struct span compiled)
{
    enum sotto_err err;

    buf_init(&p->compiled, POLICY_BYTES_MAX);
    err = policy_encode(&p->compiled, p);
    if (err)
        return err;
    if (!span_equal(span_of(p->compiled.data, p->compiled.size), compiled))
        return SOTTO_EDECODE;
    hash_bytes(p->hash, compiled, span_of("", 0));
    return SOTTO_OK;
}

enum sotto_err policy_load(struct policy **out, struct span compiled)
{
    static const struct check_limits limits = {
        .bytes_max = POLICY_BYTES_MAX,
        .depth_max = 6,
        .nodes_max = POLICY_BYTES_MAX,
    };
    struct loader l = {NULL, SOTTO_OK};
    struct unpacked u;
    const msgpack_object *at;
    uint32_t count = 0;

    l.err = unpack_open(&u, compiled, &limits);
    if (l.err)
        return l.err;
    l.p = calloc(1, sizeof(*l.p));
    if (!l.p)
        refuse(&l, SOTTO_ENOMEM);
    at = load_array(&l, &u.root, 1, UINT32_MAX, &count);
    if (at && load_uint(&l, &at[0], UINT64_MAX) != POLICY_VERSION)
        refuse(&l, SOTTO_EVERSION);
    require(&l, count == FORM_POLICY);
    if (!l.err) {
        load_head(&l, at);
        load_lists(&l, at);
    }
    if (!l.err)
        refuse(&l, compiled_keep(l.p, compiled));
    unpack_close(&u);
    if (l.err) {
        policy_free(l.p);
        return l.err;
    }
    *out = l.p;
    return SOTTO_OK;
}
