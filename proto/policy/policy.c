/* Names of roles, the canonical form of a policy, and look-ups.
 *
 * The compiled form is a msgpack array:
 *   [POLICY_VERSION, tenant, version, previous, effective, expires,
 *    session timeout, spool, signers needed, [[name, key id, pk]...],
 *    [[key name, epoch] or [key name, epoch, destroy after]...],
 *    [[purpose name, basis, consent?, retention]...],
 *    [[event name, role, purpose, [field...]]...]]
 * and a field is
 *   [name, from, role, action, purpose, required, parameter...]
 * with the parameters of its action only: keep: type, max, pattern;
 * pseudonym: key, bits, normalize; time: round; bucket: type, [edge...];
 * ip: v4, v6; url: parts, max; randomize: [value...], epsilon, memoize;
 * redact: detect, max.
 * Times and durations are integers of milliseconds. There is one form for one
 * policy: policy_load refuses bytes that would not be written again. */
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/dict.h"
#include "policy/policy_form.h"
#include "wire/pack.h"

#define BIT(type) (UINT32_C(1) << (type))

struct role_row {
    const char *name;
    uint32_t types;
};

static const struct role_row roles[ROLE_COUNT] = {
    [ROLE_NONE] = {"none", BIT(TYPE_COUNT) - 1},
    [ROLE_TIME] = {"time", BIT(TYPE_TIME)},
    [ROLE_SUBJECT] = {"subject", BIT(TYPE_ID)},
    [ROLE_DAY] = {"day", BIT(TYPE_ID)},
    [ROLE_SESSION] = {"session", BIT(TYPE_INT)},
    [ROLE_ITEM] = {"item", BIT(TYPE_TEXT)},
    [ROLE_NAME] = {"name", BIT(TYPE_TEXT)},
    [ROLE_VALUE] = {"value", BIT(TYPE_MONEY) | BIT(TYPE_INT)},
    [ROLE_QUANTITY] = {"quantity", BIT(TYPE_INT)},
    [ROLE_CATEGORY] = {"category", BIT(TYPE_TEXT)},
    [ROLE_BRAND] = {"brand", BIT(TYPE_TEXT)},
    [ROLE_ORDER] = {"order", BIT(TYPE_TEXT) | BIT(TYPE_ID)},
    [ROLE_VARIANT] = {"variant", BIT(TYPE_TEXT)},
    [ROLE_POSITION] = {"position", BIT(TYPE_INT)},
};

struct event_role_row {
    const char *name;
    const char *segment; /* the e-commerce event it is by default */
};

static const struct event_role_row event_roles[EVENT_ROLE_COUNT] = {
    [EVENT_OTHER] = {"other", NULL},
    [EVENT_VIEW] = {"view", "Product Viewed"},
    [EVENT_ADD] = {"add", "Product Added"},
    [EVENT_REMOVE] = {"remove", "Product Removed"},
    [EVENT_PURCHASE] = {"purchase", "Order Completed"},
    [EVENT_RETURN] = {"return", "Order Refunded"},
    [EVENT_SEARCH] = {"search", "Products Searched"},
};

const char *role_name(enum role role)
{
    return (unsigned)role < ROLE_COUNT ? roles[role].name : "unknown";
}

enum role role_of(struct span name)
{
    unsigned i = 0;

    while (i < ROLE_COUNT && !span_equal(span_text(roles[i].name), name))
        i++;
    return (enum role)i;
}

uint32_t role_types(enum role role)
{
    return (unsigned)role < ROLE_COUNT ? roles[role].types : 0;
}

const char *event_role_name(enum event_role role)
{
    return (unsigned)role < EVENT_ROLE_COUNT ? event_roles[role].name
                                             : "unknown";
}

enum event_role event_role_of(struct span name)
{
    unsigned i = 0;

    while (i < EVENT_ROLE_COUNT &&
           !span_equal(span_text(event_roles[i].name), name))
        i++;
    return (enum event_role)i;
}

enum event_role event_role_default(struct span event)
{
    for (unsigned i = EVENT_OTHER + 1; i < EVENT_ROLE_COUNT; i++)
        if (span_equal(span_text(event_roles[i].segment), event))
            return (enum event_role)i;
    return EVENT_OTHER;
}

static void encode_parameters(struct packer *to, const struct policy_field *f)
{
    switch (f->action) {
    case ACTION_KEEP:
        pack_uint(to, f->type);
        pack_uint(to, f->max);
        pack_text(to, span_text(f->pattern_text));
        break;
    case ACTION_PSEUDONYM:
        pack_uint(to, f->key);
        pack_uint(to, f->bits);
        pack_uint(to, f->normalize);
        break;
    case ACTION_TIME:
        pack_int(to, f->round_ms);
        break;
    case ACTION_BUCKET:
        pack_uint(to, f->type);
        pack_array(to, f->edge_count);
        for (unsigned i = 0; i < f->edge_count; i++)
            pack_int(to, f->edges[i]);
        break;
    case ACTION_IP:
        pack_uint(to, f->v4);
        pack_uint(to, f->v6);
        break;
    case ACTION_URL:
        pack_uint(to, f->parts);
        pack_uint(to, f->max);
        break;
    case ACTION_RANDOMIZE:
        pack_array(to, f->value_count);
        for (unsigned i = 0; i < f->value_count; i++)
            pack_text(to, span_text(f->values[i]));
        pack_uint(to, f->epsilon);
        pack_bool(to, f->memoize);
        break;
    case ACTION_REDACT:
        pack_uint(to, f->detect);
        pack_uint(to, f->max);
        break;
    default:
        break;
    }
}

static void encode_field(struct packer *to, const struct policy_field *f)
{
    pack_array(to, FORM_FIELD + form_parameters(f->action));
    pack_text(to, span_text(f->name));
    pack_text(to, span_text(f->from));
    pack_uint(to, f->role);
    pack_uint(to, f->action);
    pack_uint(to, f->purpose);
    pack_bool(to, f->required);
    encode_parameters(to, f);
}

static void encode_event(struct packer *to, const struct policy_event *e)
{
    pack_array(to, FORM_EVENT);
    pack_text(to, span_text(e->name));
    pack_uint(to, e->role);
    pack_uint(to, e->purpose);
    pack_array(to, e->field_count);
    for (unsigned i = 0; i < e->field_count; i++)
        encode_field(to, &e->fields[i]);
}

static void encode_head(struct packer *to, const struct policy *p)
{
    pack_uint(to, POLICY_VERSION);
    pack_text(to, span_text(p->tenant));
    pack_uint(to, p->version);
    pack_bin(to, span_of(p->previous, sizeof(p->previous)));
    pack_int(to, p->effective_ms);
    pack_int(to, p->expires_ms);
    pack_int(to, p->session_timeout_ms);
    pack_int(to, p->spool_ms);
    pack_uint(to, p->signers_needed);
    pack_array(to, p->signer_count);
    for (unsigned i = 0; i < p->signer_count; i++) {
        const struct policy_signer *s = &p->signers[i];

        pack_array(to, FORM_SIGNER);
        pack_text(to, span_text(s->name));
        pack_bin(to, span_of(s->key_id, sizeof(s->key_id)));
        pack_bin(to, span_of(s->pk, sizeof(s->pk)));
    }
}

enum sotto_err policy_encode(struct buf *out, const struct policy *p)
{
    struct packer to;

    pack_init(&to, out);
    pack_array(&to, FORM_POLICY);
    encode_head(&to, p);
    pack_array(&to, p->key_count);
    for (unsigned i = 0; i < p->key_count; i++) {
        pack_array(&to, p->keys[i].epoch_ms ? FORM_KEY_EPOCH : FORM_KEY);
        pack_text(&to, span_text(p->keys[i].name));
        pack_int(&to, p->keys[i].epoch_ms);
        if (p->keys[i].epoch_ms)
            pack_int(&to, p->keys[i].destroy_ms);
    }
    pack_array(&to, p->purpose_count);
    for (unsigned i = 0; i < p->purpose_count; i++) {
        const struct policy_purpose *purpose = &p->purposes[i];

        pack_array(&to, FORM_PURPOSE);
        pack_text(&to, span_text(purpose->name));
        pack_uint(&to, purpose->basis);
        pack_bool(&to, purpose->needs_consent);
        pack_int(&to, purpose->retention_ms);
    }
    pack_array(&to, p->event_count);
    for (unsigned i = 0; i < p->event_count; i++)
        encode_event(&to, &p->events[i]);
    return to.err;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (unsigned e = 0; p->events && e < p->event_count; e++) {
        struct policy_event *event = &p->events[e];

        for (unsigned f = 0; event->fields && f < event->field_count; f++) {
            free(event->fields[f].pattern);
            free(event->fields[f].edges);
            free(event->fields[f].values);
        }
        free(event->fields);
    }
    free(p->events);
    buf_fini(&p->compiled);
    free(p);
}

/* The slot of a name, or the empty one where it belongs. At most 200 of 512
 * slots are used, so there is always an empty one. */
uint32_t policy_slot(const struct policy *p, struct span name)
{
    uint32_t slot = (uint32_t)hash64(name.data, name.size, 0);

    for (;; slot++) {
        const struct policy_event *event;

        slot &= POLICY_SLOTS - 1;
        if (p->slots[slot] == 0)
            return slot;
        event = &p->events[p->slots[slot] - 1];
        if (name.size <= NAME_MAX_SIZE && event->name[name.size] == '\0' &&
            span_equal(span_of(event->name, name.size), name))
            return slot;
    }
}

int policy_event_find(const struct policy *p, struct span name)
{
    if (name.size == 0 || name.size > NAME_MAX_SIZE)
        return -1;
    return (int)p->slots[policy_slot(p, name)] - 1;
}

int policy_purpose_find(const struct policy *p, struct span name)
{
    for (int i = 0; i < p->purpose_count; i++)
        if (span_equal(span_text(p->purposes[i].name), name))
            return i;
    return -1;
}

uint32_t policy_granted_always(const struct policy *p)
{
    uint32_t granted = 0;

    for (unsigned i = 0; i < p->purpose_count; i++)
        if (!p->purposes[i].needs_consent)
            granted |= UINT32_C(1) << i;
    return granted;
}

const struct policy_field *policy_memo_field(const struct policy_event *event)
{
    uint8_t field = event->by_role[ROLE_SUBJECT];

    if (field == FIELD_NONE)
        field = event->by_role[ROLE_DAY];
    return field == FIELD_NONE ? NULL : &event->fields[field];
}

const struct policy_field *policy_subject_field(const struct policy *p)
{
    for (unsigned i = 0; i < p->event_count; i++) {
        const struct policy_event *event = &p->events[i];
        uint8_t field = event->by_role[ROLE_SUBJECT];

        if (field != FIELD_NONE &&
            event->fields[field].action == ACTION_PSEUDONYM)
            return &event->fields[field];
    }
    return NULL;
}

int policy_subject_id(const struct policy *p)
{
    const struct policy_field *field = policy_subject_field(p);

    return field ? field->id : -1;
}
