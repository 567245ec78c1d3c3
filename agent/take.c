/* See take.h. Readers announce themselves in one of two counters, by the
 * parity of the epoch they saw; a writer swaps the pointer, turns the epoch and
 * waits until the old parity's counter is zero (McKenney & Slingwine, "Read-
 * Copy Update", 1998, in its two-counter form). */
#include "agent/take.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cursor.h"

/* ---- the snapshot ---- */

static uint32_t enter(struct take *t)
{
    for (;;) {
        uint32_t epoch = atomic_load(&t->epoch);
        atomic_fetch_add(&t->readers[epoch & 1], 1);
        if (atomic_load(&t->epoch) == epoch)
            return epoch;
        atomic_fetch_sub(&t->readers[epoch & 1], 1);
    }
}

static void leave(struct take *t, uint32_t epoch)
{
    atomic_fetch_sub(&t->readers[epoch & 1], 1);
}

/* Under t->change. */
static void publish(struct take *t, struct snapshot *next)
{
    struct snapshot *old = atomic_exchange(&t->current, next);
    uint32_t epoch = atomic_fetch_add(&t->epoch, 1);

    while (atomic_load(&t->readers[epoch & 1]) != 0)
        sched_yield();
    if (old)
        sodium_memzero(old, sizeof *old);
    free(old);
}

static uint32_t consent_of(const struct take *t, const struct policy *p)
{
    uint32_t set = 0;

    for (uint32_t i = 0; p && i < t->consent_count; i++) {
        int at = policy_purpose_find(p, span_text(t->consents[i].purpose));
        if (at >= 0 && t->consents[i].granted)
            set |= UINT32_C(1) << at;
    }
    return set;
}

/* A copy of the current snapshot to be changed, under t->change. */
static struct snapshot *snapshot_copy(const struct take *t)
{
    struct snapshot *s = malloc(sizeof *s);

    if (s)
        *s = *atomic_load(&t->current);
    return s;
}

enum sotto_err take_init(struct take *t, struct journal *journal,
                         struct trusted_time *time,
                         const struct pseudonym_keys *keys)
{
    struct snapshot *first = calloc(1, sizeof *first);

    if (!first)
        return SOTTO_ENOMEM;
    memset(t, 0, sizeof *t);
    if (uv_mutex_init(&t->change) != 0) {
        free(first);
        return SOTTO_ENOMEM;
    }
    t->journal = journal;
    t->time = time;
    first->keys = keys;
    chance_source_init(&t->chance);
    atomic_store(&t->current, first);
    atomic_store(&t->last_ms, INT64_MIN);
    return SOTTO_OK;
}

void take_fini(struct take *t)
{
    struct snapshot *last;

    if (!t->journal)
        return;
    atomic_store(&t->closing, true);
    last = atomic_load(&t->current);
    sodium_memzero(last, sizeof *last);
    free(last);
    chance_source_fini(&t->chance);
    uv_mutex_destroy(&t->change);
    t->journal = NULL;
}

/* ---- the journey ---- */

static uint64_t session_new(struct take *t)
{
    return atomic_fetch_add(&journal_counters(t->journal)->session, 1) + 1;
}

/* The session number of an event at now: a new one after the timeout. */
static uint64_t session_now(struct take *t, const struct policy *p,
                            int64_t now_ms)
{
    int64_t last = atomic_load_explicit(&t->last_ms, memory_order_relaxed);

    if ((last == INT64_MIN || now_ms - last > p->session_timeout_ms) &&
        atomic_compare_exchange_strong(&t->last_ms, &last, now_ms))
        return session_new(t);
    atomic_store_explicit(&t->last_ms, now_ms, memory_order_relaxed);
    return atomic_load_explicit(&journal_counters(t->journal)->session,
                                memory_order_relaxed);
}

static enum drop_reason append(struct take *t, enum journal_kind kind,
                               uint32_t policy, struct span a, struct span b)
{
    switch (journal_append(t->journal, kind, policy, a, b)) {
    case SOTTO_OK:
        return DROP_NOT;
    case SOTTO_ETOOBIG:
        return DROP_TOO_BIG;
    default:
        return DROP_RING_FULL;
    }
}

static enum drop_reason take_under(struct take *t, const struct snapshot *s,
                                   const struct raw_event *raw)
{
    struct sessions sessions = {0};
    struct anonymizer a = {.policy = s->policy,
                           .keys = s->keys,
                           .person = &s->person,
                           .sessions = &sessions,
                           .chance = &t->chance,
                           .now_ms = trusted_now(t->time),
                           .sure_ms = trusted_stamp(t->time)};
    uint8_t row[EVENT_ROW_MAX];
    uint32_t emptied = 0;
    struct event ev;
    enum drop_reason drop;
    size_t size;

    if (!s->policy)
        return DROP_NO_POLICY;
    a.granted = s->person.consent | policy_granted_always(s->policy);
    sessions.current = session_now(t, s->policy, a.now_ms);
    drop = anonymize(&a, raw, &ev, &emptied); /* raw bytes stop here */
    if (emptied)
        atomic_fetch_add_explicit(&journal_counters(t->journal)->fields_emptied,
                                  emptied, memory_order_relaxed);
    if (drop)
        return drop;
    if (event_encode(s->policy, &ev, row, sizeof row, &size))
        return DROP_TOO_BIG;
    return append(t, JOURNAL_EVENT, s->number, span_of(row, size),
                  span_of(NULL, 0));
}

void take_drop(struct take *t, enum drop_reason reason)
{
    atomic_fetch_add_explicit(&journal_counters(t->journal)->drops[reason], 1,
                              memory_order_relaxed);
}

enum drop_reason take_event(struct take *t, const struct raw_event *raw)
{
    uint32_t epoch = enter(t);
    enum drop_reason drop =
        atomic_load_explicit(&t->closing, memory_order_relaxed)
            ? DROP_CLOSED
            : take_under(t, atomic_load(&t->current), raw);

    leave(t, epoch);
    if (drop)
        take_drop(t, drop);
    return drop;
}

/* An import numbers its own sessions; a number is reserved from the common
 * counter before and given back when it was not used. */
static enum drop_reason anonymize_import(struct take *t,
                                         const struct snapshot *s,
                                         struct raw_memory *memory,
                                         const struct raw_event *raw,
                                         uint32_t granted, struct event *ev)
{
    struct journal_counters *counters = journal_counters(t->journal);
    uint64_t reserved = session_new(t);
    struct sessions sessions = {.current = reserved - 1, .memory = memory};
    static const struct person nobody = {0};
    struct anonymizer a = {.policy = s->policy,
                           .keys = s->keys,
                           .person = &nobody,
                           .granted =
                               granted | policy_granted_always(s->policy),
                           .sessions = &sessions,
                           .chance = &t->chance,
                           .now_ms = trusted_now(t->time),
                           .sure_ms = trusted_stamp(t->time)};
    uint32_t emptied = 0;
    enum drop_reason drop = anonymize(&a, raw, ev, &emptied);

    if (sessions.current != reserved)
        atomic_compare_exchange_strong(&counters->session, &reserved,
                                       reserved - 1);
    if (emptied)
        atomic_fetch_add_explicit(&counters->fields_emptied, emptied,
                                  memory_order_relaxed);
    return drop;
}

static enum drop_reason import_under(struct take *t, const struct snapshot *s,
                                     struct raw_memory *memory,
                                     const struct raw_event *raw,
                                     uint32_t granted, struct span cursor)
{
    uint8_t row[4 + EVENT_ROW_MAX];
    struct event ev;
    enum drop_reason drop;
    size_t size;

    if (!raw)
        return append(t, JOURNAL_CURSOR, s->number, cursor, span_of(NULL, 0));
    if (!s->policy)
        return DROP_NO_POLICY;
    drop = anonymize_import(t, s, memory, raw, granted, &ev);
    if (drop)
        return drop;
    if (event_encode(s->policy, &ev, row + 4, EVENT_ROW_MAX, &size))
        return DROP_TOO_BIG;
    for (int i = 0; i < 4; i++)
        row[i] = (uint8_t)(size >> (8 * i));
    return append(t, JOURNAL_EVENT_CURSOR, s->number, span_of(row, 4 + size),
                  cursor);
}

enum drop_reason take_import(struct take *t, struct raw_memory *memory,
                             const struct raw_event *raw,
                             uint32_t consent_granted,
                             const struct import_cursor *cursor)
{
    uint8_t bytes[CURSOR_BYTES_MAX];
    size_t size = cursor_encode(cursor, bytes);
    uint32_t epoch = enter(t);
    enum drop_reason drop =
        atomic_load(&t->closing)
            ? DROP_CLOSED
            : import_under(t, atomic_load(&t->current), memory, raw,
                           consent_granted, span_of(bytes, size));

    leave(t, epoch);
    return drop;
}

/* ---- changes ---- */

/* Pseudonyms cached under the old policy that the new one makes the same way:
 * same path, same key name, same normalization, same tenant. */
static void carry_ids(struct person *to, const struct policy *new_policy,
                      const struct person *from, const struct policy *old)
{
    if (!old || strcmp(old->tenant, new_policy->tenant) != 0)
        return;
    for (uint32_t i = 0; i < new_policy->id_count; i++)
        for (uint32_t j = 0; j < old->id_count; j++) {
            const struct policy_id *a = &new_policy->ids[i];
            const struct policy_id *b = &old->ids[j];
            if ((from->known >> j & 1) == 0 || strcmp(a->from, b->from) ||
                a->normalize != b->normalize ||
                new_policy->keys[a->key].epoch_ms !=
                    old->keys[b->key].epoch_ms ||
                strcmp(new_policy->keys[a->key].name, old->keys[b->key].name))
                continue;
            to->known |= UINT32_C(1) << i;
            memcpy(to->ids[i], from->ids[j], 16);
            to->followed |= (from->followed >> j & 1) << i;
            memcpy(to->next[i], from->next[j], 16);
            to->epoch[i] = from->epoch[j];
        }
}

enum sotto_err take_policy(struct take *t, const struct policy *p,
                           uint32_t number)
{
    struct snapshot *next = calloc(1, sizeof *next);
    const struct snapshot *old;

    if (!next)
        return SOTTO_ENOMEM;
    uv_mutex_lock(&t->change);
    old = atomic_load(&t->current);
    next->policy = p;
    next->keys = old->keys;
    next->number = number;
    carry_ids(&next->person, p, &old->person, old->policy);
    next->person.consent = consent_of(t, p);
    publish(t, next);
    uv_mutex_unlock(&t->change);
    return SOTTO_OK;
}

static void forget_id(struct person *person, int id)
{
    person->known &= ~(UINT32_C(1) << id);
    person->followed &= ~(UINT32_C(1) << id);
    sodium_memzero(person->ids[id], sizeof person->ids[id]);
    sodium_memzero(person->next[id], sizeof person->next[id]);
}

/* Pseudonyms of epochs whose keys are gone go with them. */
static void forget_destroyed(struct person *person, const struct policy *p,
                             const struct pseudonym_keys *keys)
{
    for (int id = 0; p && id < p->id_count; id++) {
        const struct policy_key *key = &p->keys[p->ids[id].key];
        int at = pseudonym_keys_find(keys, key->name);

        if (key->epoch_ms > 0 && at >= 0 &&
            person->epoch[id] + 1 < keys->first[at])
            forget_id(person, id);
        else if (key->epoch_ms > 0 && at >= 0 &&
                 person->epoch[id] < keys->first[at])
            sodium_memzero(person->ids[id], sizeof person->ids[id]);
    }
}

enum sotto_err take_keys(struct take *t, const struct pseudonym_keys *keys)
{
    struct snapshot *next;

    uv_mutex_lock(&t->change);
    next = snapshot_copy(t);
    if (next) {
        next->keys = keys;
        forget_destroyed(&next->person, next->policy, keys);
        publish(t, next);
    }
    uv_mutex_unlock(&t->change);
    return next ? SOTTO_OK : SOTTO_ENOMEM;
}

enum sotto_err take_identify(struct take *t, struct span path,
                             struct span raw_id)
{
    enum sotto_err err = SOTTO_OK;
    struct snapshot *next;

    uv_mutex_lock(&t->change);
    next = snapshot_copy(t);
    if (!next) {
        err = SOTTO_ENOMEM;
    } else if (!next->policy) {
        err = SOTTO_EAGAIN;
    } else {
        for (uint32_t i = 0; i < next->policy->id_count; i++)
            if (span_equal(span_text(next->policy->ids[i].from), path))
                forget_id(&next->person, (int)i);
        if (raw_id.size > 0)
            err = person_identify(&next->person, next->policy, next->keys, path,
                                  raw_id, trusted_now(t->time));
    }
    if (!err)
        publish(t, next);
    else
        free(next);
    uv_mutex_unlock(&t->change);
    return err;
}

enum sotto_err take_consent(struct take *t, const char *purpose, bool granted)
{
    size_t size = strlen(purpose);
    struct consent_entry *entry = NULL;
    struct snapshot *next;
    enum sotto_err err = SOTTO_OK;

    if (size == 0 || size > NAME_MAX_SIZE)
        return SOTTO_EINVAL;
    uv_mutex_lock(&t->change);
    for (uint32_t i = 0; i < t->consent_count; i++)
        if (strcmp(t->consents[i].purpose, purpose) == 0)
            entry = &t->consents[i];
    if (!entry && t->consent_count < POLICY_PURPOSES_MAX) {
        entry = &t->consents[t->consent_count++];
        memcpy(entry->purpose, purpose, size + 1);
    }
    next = snapshot_copy(t);
    if (!entry || !next) {
        free(next);
        err = entry ? SOTTO_ENOMEM : SOTTO_EFULL;
    } else {
        entry->granted = granted;
        next->person.consent = consent_of(t, next->policy);
        if (next->policy &&
            policy_purpose_find(next->policy, span_text(purpose)) < 0)
            err = SOTTO_ENOTFOUND;
        publish(t, next);
    }
    uv_mutex_unlock(&t->change);
    return err;
}

/* As anonymize cuts the field: events, lists and withdrawals name alike. */
static void cut_subject(const struct policy *p, uint8_t subject[16])
{
    size_t size = policy_subject_field(p)->bits / 8u;

    memset(subject + size, 0, 16 - size);
}

enum sotto_err take_subject(struct take *t, const struct span *raw_id,
                            uint8_t subject[16])
{
    uint32_t epoch = enter(t);
    const struct snapshot *s = atomic_load(&t->current);
    enum sotto_err err = SOTTO_ENOTFOUND;
    const uint8_t *cached;
    int id = s->policy ? policy_subject_id(s->policy) : -1;

    if (id >= 0 && raw_id) {
        err = pseudonym_at(subject, s->policy, s->keys, id, *raw_id,
                           trusted_now(t->time));
    } else if (id >= 0 && !raw_id) {
        cached = person_id(&s->person, s->policy, id, trusted_now(t->time));
        if (cached)
            memcpy(subject, cached, 16);
        err = cached ? SOTTO_OK : SOTTO_ENOTFOUND;
    }
    if (!err)
        cut_subject(s->policy, subject);
    leave(t, epoch);
    return err;
}

void take_session_begin(struct take *t)
{
    session_new(t);
    atomic_store(&t->last_ms, trusted_now(t->time));
}

enum sotto_err take_session_end(struct take *t)
{
    struct snapshot *next;

    uv_mutex_lock(&t->change);
    next = snapshot_copy(t);
    if (next) {
        memset(&next->person, 0, sizeof next->person);
        t->consent_count = 0;
        publish(t, next);
        atomic_store(&t->last_ms, INT64_MIN);
    }
    uv_mutex_unlock(&t->change);
    return next ? SOTTO_OK : SOTTO_ENOMEM;
}

bool take_withdraws(struct take *t, const char *purpose, uint8_t subject[16],
                    uint32_t *number)
{
    uint32_t epoch = enter(t);
    const struct snapshot *s = atomic_load(&t->current);
    const struct policy_field *field =
        s->policy ? policy_subject_field(s->policy) : NULL;
    int id = s->policy ? policy_subject_id(s->policy) : -1;
    const uint8_t *cached =
        id >= 0 ? person_id(&s->person, s->policy, id, trusted_now(t->time))
                : NULL;
    bool known = field && cached &&
                 strcmp(s->policy->purposes[field->purpose].name, purpose) == 0;

    if (known) {
        memcpy(subject, cached, 16);
        cut_subject(s->policy, subject);
        *number = s->number;
    }
    leave(t, epoch);
    return known;
}

const struct policy *take_policy_now(struct take *t)
{
    return atomic_load(&t->current)->policy;
}

uint32_t take_policy_number(struct take *t)
{
    return atomic_load(&t->current)->number;
}
