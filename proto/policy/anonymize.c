/* From raw to anonymous: the checks, then each field by its action.
 *
 * Invariant: a value reaches the event only from a raw field whose path the
 * policy names, through the action that the policy names, under a purpose
 * that is granted. Raw identifiers are hashed and wiped; a raw value that does
 * not fit its field is counted and forgotten. */
#include "policy/anonymize.h"

#include <endian.h>
#include <string.h>

#include "policy/detect.h"
#include "policy/epoch.h"
#include "policy/network.h"
#include "policy/url.h"
#include "policy/useragent.h"

#define MEMORY_SETS 512 /* a power of two */
#define MEMORY_WAYS 8

/* A remembered raw id and what it became. */
struct memory_slot {
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    uint64_t seen;   /* 0: empty */
    uint64_t number; /* of a session; of a pseudonym, which of the policy's */
    uint8_t id[16];  /* of a pseudonym */
};

/* Sets of a few slots: an id may lie in one set only, and replaces the one of
 * it that was seen least recently. Sessions and pseudonyms are apart, so that
 * neither pushes the other out. */
struct raw_memory {
    uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];
    uint64_t clock;            /* look-ups so far */
    uint8_t policy[HASH_SIZE]; /* that the pseudonyms are of */
    struct memory_slot sessions[MEMORY_SETS][MEMORY_WAYS];
    struct memory_slot pseudonyms[MEMORY_SETS][MEMORY_WAYS];
};

struct pseudonym_keys *pseudonym_keys_make(void)
{
    struct pseudonym_keys *k;

    if (sodium_init() < 0) /* harmless when it was done */
        return NULL;
    k = sodium_malloc(sizeof(*k));
    if (k)
        sodium_memzero(k, sizeof(*k));
    return k;
}

void pseudonym_keys_free(struct pseudonym_keys *k)
{
    sodium_free(k); /* wipes */
}

int pseudonym_keys_find(const struct pseudonym_keys *k, const char *name)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (strcmp(k->names[i], name) == 0)
            return (int)i;
    return -1;
}

struct raw_memory *raw_memory_make(const uint8_t key[16])
{
    struct raw_memory *m;

    if (sodium_init() < 0)
        return NULL;
    m = sodium_malloc(sizeof(*m));
    if (!m)
        return NULL;
    memset(m, 0, sizeof(*m));
    memcpy(m->key, key, sizeof(m->key));
    return m;
}

void raw_memory_free(struct raw_memory *m)
{
    sodium_free(m);
}

/* The slot of a hash and number (0: any) in its set, or the one to be
 * replaced, with seen 0. */
static struct memory_slot *memory_find(struct raw_memory *m,
                                       struct memory_slot sets[][MEMORY_WAYS],
                                       struct span raw_id, uint64_t number)
{
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    struct memory_slot *set, *oldest;
    uint16_t where;

    crypto_shorthash_siphashx24(hash, raw_id.data, raw_id.size, m->key);
    memcpy(&where, hash, sizeof(where));
    set = sets[where % MEMORY_SETS];
    oldest = set;
    for (unsigned way = 0; way < MEMORY_WAYS; way++) {
        struct memory_slot *slot = &set[way];

        if (slot->seen && memcmp(slot->hash, hash, sizeof(hash)) == 0 &&
            (!number || slot->number == number))
            return slot;
        if (slot->seen < oldest->seen)
            oldest = slot;
    }
    memcpy(oldest->hash, hash, sizeof(hash));
    oldest->seen = 0;
    return oldest;
}

static uint64_t session_number(struct sessions *s, struct span raw_id)
{
    struct raw_memory *m = s->memory;
    struct memory_slot *slot = memory_find(m, m->sessions, raw_id, 0);

    if (!slot->seen)
        slot->number = ++s->current;
    slot->seen = ++m->clock;
    return slot->number;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Into out, which the caller wipes; SOTTO_EINVAL if nothing is left or it is
 * too long. */
static enum sotto_err id_normalize(uint8_t out[RAW_ID_MAX], size_t *size,
                                   struct span raw, enum normalize normalize)
{
    if (normalize != NORMALIZE_NONE) {
        while (raw.size > 0 && is_space(raw.data[0])) {
            raw.data++;
            raw.size--;
        }
        while (raw.size > 0 && is_space(raw.data[raw.size - 1]))
            raw.size--;
    }
    if (raw.size == 0 || raw.size > RAW_ID_MAX)
        return SOTTO_EINVAL;
    memcpy(out, raw.data, raw.size);
    if (normalize == NORMALIZE_LOWER)
        for (size_t i = 0; i < raw.size; i++)
            if (out[i] >= 'A' && out[i] <= 'Z')
                out[i] = (uint8_t)(out[i] + 'a' - 'A');
    *size = raw.size;
    return SOTTO_OK;
}

enum sotto_err pseudonym_at(uint8_t out[16], const struct policy *p,
                            const struct pseudonym_keys *keys, int id,
                            struct span raw_id, int64_t time_ms)
{
    const struct policy_id *row = &p->ids[id];
    uint64_t epoch;
    uint8_t normalized[RAW_ID_MAX], secret[32];
    crypto_generichash_state state;
    size_t size;

    if (epoch_secret(secret, &epoch, keys, &p->keys[row->key], time_ms))
        return SOTTO_ENOTFOUND;
    if (id_normalize(normalized, &size, raw_id,
                     (enum normalize)row->normalize)) {
        sodium_memzero(secret, sizeof(secret));
        return SOTTO_EINVAL;
    }
    epoch = htole64(epoch);
    crypto_generichash_init(&state, secret, sizeof(secret), 16);
    crypto_generichash_update(&state, (const uint8_t *)p->tenant,
                              strlen(p->tenant) + 1); /* and its zero */
    crypto_generichash_update(&state, (const uint8_t *)row->from,
                              strlen(row->from) + 1);
    crypto_generichash_update(&state, (const uint8_t *)&epoch, sizeof(epoch));
    crypto_generichash_update(&state, normalized, size);
    crypto_generichash_final(&state, out, 16);
    sodium_memzero(normalized, size);
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(&state, sizeof(state));
    return SOTTO_OK;
}

enum sotto_err pseudonym_make(uint8_t out[16], const struct policy *p,
                              const struct pseudonym_keys *keys, int id,
                              struct span raw_id)
{
    return pseudonym_at(out, p, keys, id, raw_id, 0);
}

/* As pseudonym_make, from what is remembered if it is there: finding it again
 * is a tenth of the work of making it. */
static enum sotto_err pseudonym_recall(uint8_t out[16], const struct policy *p,
                                       const struct pseudonym_keys *keys,
                                       int id, struct span raw_id,
                                       int64_t time_ms, struct raw_memory *m)
{
    int64_t epoch_ms = p->keys[p->ids[id].key].epoch_ms;
    uint64_t number =
        epoch_of(time_ms, epoch_ms) * POLICY_IDS_MAX + (uint64_t)id + 1;
    struct memory_slot *slot;
    enum sotto_err err;

    if (memcmp(m->policy, p->hash, sizeof(m->policy)) != 0) {
        sodium_memzero(m->pseudonyms, sizeof(m->pseudonyms));
        memcpy(m->policy, p->hash, sizeof(m->policy));
    }
    slot = memory_find(m, m->pseudonyms, raw_id, number);
    if (!slot->seen) {
        err = pseudonym_at(slot->id, p, keys, id, raw_id, time_ms);
        if (err)
            return err;
        slot->number = number;
    }
    slot->seen = ++m->clock;
    memcpy(out, slot->id, sizeof(slot->id));
    return SOTTO_OK;
}

enum sotto_err person_identify(struct person *person, const struct policy *p,
                               const struct pseudonym_keys *keys,
                               struct span path, struct span raw_id,
                               int64_t now_ms)
{
    enum sotto_err first = SOTTO_OK;

    for (int id = 0; id < p->id_count; id++) {
        int64_t epoch_ms = p->keys[p->ids[id].key].epoch_ms;
        uint32_t bit = UINT32_C(1) << id;
        enum sotto_err err;

        if (!span_equal(span_text(p->ids[id].from), path))
            continue;
        person->known &= ~bit;
        person->followed &= ~bit;
        sodium_memzero(person->ids[id], sizeof(person->ids[id]));
        sodium_memzero(person->next[id], sizeof(person->next[id]));
        person->epoch[id] = epoch_of(now_ms, epoch_ms);
        err = pseudonym_at(person->ids[id], p, keys, id, raw_id, now_ms);
        if (!err)
            person->known |= bit;
        else if (!first)
            first = err;
        if (!err && epoch_ms > 0 &&
            !pseudonym_at(person->next[id], p, keys, id, raw_id,
                          now_ms + epoch_ms))
            person->followed |= bit;
    }
    return first;
}

const uint8_t *person_id(const struct person *person, const struct policy *p,
                         int id, int64_t time_ms)
{
    uint64_t epoch = epoch_of(time_ms, p->keys[p->ids[id].key].epoch_ms);

    if (person->known >> id & 1 && person->epoch[id] == epoch)
        return person->ids[id];
    if (person->followed >> id & 1 && person->epoch[id] + 1 == epoch)
        return person->next[id];
    return NULL;
}

/* Decimal digits into out, without leaving any elsewhere. */
static struct span digits_of(char out[20], int64_t number)
{
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    size_t size = number < 0 ? 2 : 1;

    for (uint64_t rest = left; rest >= 10; rest /= 10)
        size++;
    if (number < 0)
        out[0] = '-';
    for (size_t at = size; at > (number < 0); left /= 10)
        out[--at] = (char)('0' + left % 10);
    return span_of(out, size);
}

/* An amount given as a double is taken if it is a decimal of six digits, give
 * or take the error of a sum of doubles (a hundredth of the last digit). */
static bool money_of_real(double real, int64_t *out)
{
    double scaled = real * (double)MONEY_ONE;
    double off;

    if (!(scaled > -9.2e18 && scaled < 9.2e18)) /* also not a number */
        return false;
    *out = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    off = scaled - (double)*out;
    return off <= 0.01 && off >= -0.01;
}

static bool int_of_real(double real, int64_t *out)
{
    const double exact = 9007199254740992.0; /* 2^53: then doubles have gaps */

    if (!(real >= -exact && real <= exact))
        return false;
    *out = (int64_t)real;
    return (double)*out == real;
}

static bool bool_of_text(struct span text, int64_t *out)
{
    static const char *const words[] = {"false", "true", "0", "1"};

    for (unsigned i = 0; i < 4; i++) {
        if (span_equal(span_text(words[i]), text)) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

static bool number_of_text(enum value_type type, struct span text, int64_t *out)
{
    switch (type) {
    case TYPE_INT:
        return int_parse(out, text) == SOTTO_OK;
    case TYPE_MONEY:
        return money_parse(out, text) == SOTTO_OK;
    case TYPE_TIME:
        return when_parse(out, text) == SOTTO_OK;
    case TYPE_BOOL:
        return bool_of_text(text, out);
    default:
        return false;
    }
}

static bool number_of_int(enum value_type type, int64_t number, int64_t *out)
{
    *out = number;
    if (type != TYPE_MONEY)
        return true; /* event_value_fits knows the ranges of the others */
    if (number > INT64_MAX / MONEY_ONE || number < INT64_MIN / MONEY_ONE)
        return false;
    *out = number * MONEY_ONE;
    return true;
}

/* The raw value as a number of the field's type. */
static bool number_of(enum value_type type, const struct raw_field *raw,
                      int64_t *out)
{
    switch (raw->kind) {
    case RAW_TEXT:
        return number_of_text(type, raw->text, out);
    case RAW_INT:
        return number_of_int(type, raw->number, out);
    case RAW_MONEY:
        *out = raw->number;
        return type == TYPE_MONEY;
    case RAW_BOOL:
        *out = raw->number;
        return type == TYPE_BOOL;
    case RAW_REAL:
        return type == TYPE_MONEY ? money_of_real(raw->real, out)
               : type == TYPE_INT ? int_of_real(raw->real, out)
                                  : false;
    default:
        return false;
    }
}

/* Text, or a whole number as its digits. */
static bool text_of(const struct raw_field *raw, char digits[20],
                    struct span *out)
{
    if (raw->kind == RAW_TEXT)
        *out = raw->text;
    else if (raw->kind == RAW_INT)
        *out = digits_of(digits, raw->number);
    else
        return false;
    return true;
}

static bool keep(const struct policy_field *f, const struct raw_field *raw,
                 char *room, struct event_value *v)
{
    if (f->type != TYPE_TEXT)
        return number_of((enum value_type)f->type, raw, &v->number);
    return text_of(raw, room, &v->text) &&
           (!f->pattern || pattern_match(f->pattern, v->text));
}

static bool bucket(const struct policy_field *f, const struct raw_field *raw,
                   struct event_value *v)
{
    int64_t number;

    if (!number_of((enum value_type)f->type, raw, &number))
        return false;
    v->number = f->edges[bucket_of(f, number)];
    return true;
}

static enum sotto_err id_of(uint8_t out[16], const struct anonymizer *a, int id,
                            struct span raw_id, int64_t time_ms)
{
    struct raw_memory *m = a->sessions ? a->sessions->memory : NULL;

    return m ? pseudonym_recall(out, a->policy, a->keys, id, raw_id, time_ms, m)
             : pseudonym_at(out, a->policy, a->keys, id, raw_id, time_ms);
}

/* What a value is made with, besides its own raw field. */
struct made {
    int64_t time_ms;
    char *room;                      /* TEXT_SIZE_MAX bytes */
    const struct policy_field *memo; /* whose answers are kept the same */
    const struct raw_field *memo_raw;
};

/* From the raw id if there is one, else what was cached at identify. */
static bool pseudonym(const struct anonymizer *a, const struct policy_field *f,
                      const struct raw_field *raw, int64_t time_ms,
                      struct event_value *v)
{
    const uint8_t *cached;
    char digits[20];
    struct span text;
    bool made;

    if (raw) {
        made = a->keys && text_of(raw, digits, &text) &&
               !id_of(v->id, a, f->id, text, time_ms);
        if (raw->kind == RAW_INT)
            sodium_memzero(digits, sizeof(digits));
    } else {
        cached =
            a->person ? person_id(a->person, a->policy, f->id, time_ms) : NULL;
        made = cached != NULL;
        if (made)
            memcpy(v->id, cached, sizeof(v->id));
    }
    if (made && f->bits == 64)
        memset(v->id + 8, 0, 8);
    return made;
}

/* A text that is made of a text, in room. */
static bool cut(const struct policy_field *f, const struct raw_field *raw,
                char *room, struct event_value *v)
{
    size_t size = 0;

    if (raw->kind != RAW_TEXT)
        return false;
    if (f->action == ACTION_IP)
        size = network_cut(room, raw->text, f->v4, f->v6);
    else if (f->action == ACTION_URL)
        size = url_cut(room, f->max, raw->text, f->parts);
    else if (f->action == ACTION_REDACT)
        size = detect_redact((uint8_t *)room, f->max, raw->text, f->detect);
    else if (raw->text.size > 0)
        size = useragent_family(room, raw->text);
    v->text = span_of(room, size);
    return size > 0;
}

static bool tokenize(const struct anonymizer *a, struct event_value *v)
{
    struct chance c;

    if (!a->chance)
        return false;
    memset(v->id, 0, sizeof(v->id));
    chance_fresh(&c, a->chance);
    chance_bytes(&c, v->id);
    chance_end(&c);
    return true;
}

enum sotto_err answer_seed(uint8_t out[CHANCE_KEY], const struct policy *p,
                           const struct pseudonym_keys *keys,
                           const struct policy_field *memo,
                           const uint8_t id[16],
                           const struct policy_field *answer, struct span value,
                           int64_t time_ms)
{
    static const uint8_t salt[crypto_generichash_blake2b_SALTBYTES];
    static const uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES] =
        "sotto randomize";
    uint8_t secret[32];
    uint64_t epoch;
    crypto_generichash_blake2b_state state;

    if (epoch_secret(secret, &epoch, keys, &p->keys[memo->key], time_ms))
        return SOTTO_ENOTFOUND;
    crypto_generichash_blake2b_init_salt_personal(
        &state, secret, sizeof(secret), CHANCE_KEY, salt, personal);
    sodium_memzero(secret, sizeof(secret));
    crypto_generichash_blake2b_update(&state, (const uint8_t *)p->tenant,
                                      strlen(p->tenant) + 1);
    crypto_generichash_blake2b_update(&state, (const uint8_t *)answer->from,
                                      strlen(answer->from) + 1);
    crypto_generichash_blake2b_update(&state, value.data, value.size);
    crypto_generichash_blake2b_update(&state, (const uint8_t *)"", 1);
    crypto_generichash_blake2b_update(&state, id, 16);
    crypto_generichash_blake2b_final(&state, out, CHANCE_KEY);
    sodium_memzero(&state, sizeof(state));
    return SOTTO_OK;
}

static bool memo_begin(struct chance *c, const struct anonymizer *a,
                       const struct policy_field *f, unsigned truth,
                       const struct made *given)
{
    struct span value =
        truth < f->value_count ? span_text(f->values[truth]) : span_of("", 0);
    struct event_value memo;
    uint8_t seed[CHANCE_KEY];
    bool good =
        a->keys &&
        pseudonym(a, given->memo, given->memo_raw, given->time_ms, &memo) &&
        !answer_seed(seed, a->policy, a->keys, given->memo, memo.id, f, value,
                     given->time_ms);

    if (good)
        chance_keyed(c, seed);
    sodium_memzero(seed, sizeof(seed));
    return good;
}

static bool randomize(const struct anonymizer *a, const struct policy_field *f,
                      const struct raw_field *raw, const struct made *given,
                      struct event_value *v)
{
    static const char *const words[] = {"false", "true"};
    unsigned truth = f->value_count;
    struct chance c;
    char digits[20];
    struct span text;

    if (raw->kind == RAW_BOOL)
        truth = event_value_number(f, span_text(words[raw->number != 0]));
    else if (text_of(raw, digits, &text))
        truth = event_value_number(f, text);
    sodium_memzero(digits, sizeof(digits));
    if (f->memoize) {
        if (!memo_begin(&c, a, f, truth, given))
            return false;
    } else if (a->chance) {
        chance_fresh(&c, a->chance);
    } else {
        return false;
    }
    v->text = span_text(
        f->values[chance_respond(&c, f->value_count, truth, f->epsilon)]);
    chance_end(&c);
    return true;
}

static bool session(const struct anonymizer *a, const struct raw_field *raw,
                    struct event_value *v)
{
    char digits[20];
    struct span text;

    if (!a->sessions)
        return false;
    if (!a->sessions->memory) {
        v->number = (int64_t)a->sessions->current;
    } else {
        if (!raw || !text_of(raw, digits, &text) || text.size == 0)
            return false;
        v->number = (int64_t)session_number(a->sessions, text);
        if (raw->kind == RAW_INT)
            sodium_memzero(digits, sizeof(digits));
    }
    return v->number > 0;
}

static const struct raw_field *raw_find(const struct raw_event *raw,
                                        const struct policy_field *f)
{
    if (f->from_size == 0)
        return NULL;
    for (size_t i = 0; i < raw->field_count; i++) {
        const struct raw_field *r = &raw->fields[i];

        /* Paths begin alike ("properties."), so the last byte goes first. */
        if (r->path.size == f->from_size &&
            r->path.data[f->from_size - 1] ==
                (uint8_t)f->from[f->from_size - 1] &&
            memcmp(r->path.data, f->from, f->from_size) == 0)
            return r;
    }
    return NULL;
}

/* A clock that jumped ahead must not end anything. */
static int64_t sure_ms(const struct anonymizer *a)
{
    return a->sure_ms ? a->sure_ms : a->now_ms;
}

static bool past_retention(const struct anonymizer *a, unsigned purpose,
                           int64_t time_ms)
{
    int64_t retention_ms = a->policy->purposes[purpose].retention_ms;
    int64_t now_ms = sure_ms(a);

    return retention_ms > 0 && now_ms > time_ms &&
           (uint64_t)now_ms - (uint64_t)time_ms > (uint64_t)retention_ms;
}

/* Whether the data of a purpose may be taken now. */
static enum drop_reason purpose_check(const struct anonymizer *a,
                                      unsigned purpose, int64_t time_ms)
{
    if (!(a->granted >> purpose & 1))
        return DROP_NO_CONSENT;
    return past_retention(a, purpose, time_ms) ? DROP_TOO_OLD : DROP_NOT;
}

static bool make_value(const struct anonymizer *a, const struct policy_field *f,
                       const struct raw_field *raw, const struct made *with,
                       struct event_value *v)
{
    switch (f->action) {
    case ACTION_KEEP:
        return raw && keep(f, raw, with->room, v);
    case ACTION_PSEUDONYM:
        return pseudonym(a, f, raw, with->time_ms, v);
    case ACTION_SESSION:
        return session(a, raw, v);
    case ACTION_TIME:
        v->number =
            with->time_ms - with->time_ms % f->round_ms; /* it is not below 0 */
        return true;
    case ACTION_BUCKET:
        return raw && bucket(f, raw, v);
    case ACTION_IP:
    case ACTION_UA_FAMILY:
    case ACTION_URL:
    case ACTION_REDACT:
        return raw && cut(f, raw, with->room, v);
    case ACTION_TOKENIZE:
        return raw && tokenize(a, v);
    case ACTION_RANDOMIZE:
        return raw && randomize(a, f, raw, with, v);
    default:
        return false;
    }
}

/* A person is known, by pseudonyms of epochs that are over. */
static bool is_stale(const struct anonymizer *a, const struct policy_field *f)
{
    return f->action == ACTION_PSEUDONYM && a->person &&
           a->person->known >> f->id & 1;
}

static enum drop_reason make_values(const struct anonymizer *a,
                                    const struct raw_event *raw,
                                    int64_t time_ms, struct event *ev,
                                    uint32_t *fields_emptied)
{
    const struct policy_event *event = &a->policy->events[ev->index];
    struct made with = {.time_ms = time_ms, .memo = policy_memo_field(event)};

    if (with.memo)
        with.memo_raw = raw_find(raw, with.memo);
    ev->made_size = 0;
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct policy_field *f = &event->fields[i];
        struct event_value *v = &ev->values[i];
        /* the event's own purpose was looked at before */
        enum drop_reason reason = f->purpose == event->purpose
                                      ? DROP_NOT
                                      : purpose_check(a, f->purpose, time_ms);
        const struct raw_field *given;

        v->present = false;
        if (reason != DROP_NOT) {
            if (f->required)
                return reason;
            continue;
        }
        given = raw_find(raw, f);
        if (ev->made_size > EVENT_ROW_MAX)
            return DROP_TOO_BIG; /* no row holds what was made already */
        with.room = ev->made + ev->made_size;
        v->present = make_value(a, f, given, &with, v);
        v->present = v->present && event_value_fits(f, v);
        if (v->present) {
            if (f->type == TYPE_TEXT &&
                v->text.data == (const uint8_t *)with.room)
                ev->made_size += v->text.size;
            continue;
        }
        if (given || is_stale(a, f))
            ++*fields_emptied;
        if (f->required)
            return DROP_MISSING_FIELD;
    }
    ev->fits = a->policy;
    return DROP_NOT;
}

enum drop_reason anonymize(const struct anonymizer *a,
                           const struct raw_event *raw, struct event *ev,
                           uint32_t *fields_emptied)
{
    const struct policy *p = a->policy;
    int64_t time_ms = raw->time_ms == WHEN_NONE ? a->now_ms : raw->time_ms;
    enum drop_reason reason;
    int index;

    if (!p || a->now_ms < p->effective_ms)
        return DROP_NO_POLICY;
    if (p->expires_ms != WHEN_NONE && sure_ms(a) >= p->expires_ms)
        return DROP_EXPIRED;
    index = policy_event_find(p, raw->name);
    if (index < 0)
        return DROP_UNKNOWN_EVENT;
    if (time_ms < 0 || time_ms > TIME_MAX_MS)
        return DROP_BAD_TIME;
    reason = purpose_check(a, p->events[index].purpose, time_ms);
    if (reason != DROP_NOT)
        return reason;
    ev->index = (uint16_t)index;
    ev->fits = NULL;
    ev->consent =
        a->granted & (uint32_t)((UINT64_C(1) << p->purpose_count) - 1);
    return make_values(a, raw, time_ms, ev, fields_emptied);
}
