/* See lists.h. The documents lie on the shelf (SQLite), the item rows and what
 * happened here lately in memory, the lists used last in a small cache.
 *
 * Invariants: everything an answer looks at is guarded by the lock; only the
 * loop thread changes it, so the loop thread reads without. What a transaction
 * changes shows to answers after its commit, at once: recents are planned,
 * cache and rows replaced in lists_end. */
#include "agent/lists.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "agent/fold.h"
#include "agent/label.h"
#include "agent/listings.h"
#include "base/log.h"
#include "base/when.h"

#define SUBJECT_SIZE RECENT_SUBJECT_SIZE
#define SHARD_KEY_SIZE 4
_Static_assert(ANSWER_TEXT_MAX == RECENT_ITEM_MAX &&
                   ANSWER_TEXT_MAX == LISTING_ITEM_MAX,
               "one limit for items");

/* What the documents of the open transaction change. */
struct changes {
    bool open, rows, rows_dropped, forgotten;
};

struct lists {
    struct shelf *shelf;
    pthread_mutex_t lock;
    struct changes changes;
    bool scrub_due;    /* what was forgotten is still in the file's log */
    uint64_t scrubbed; /* applied, when it was not yet */
    struct recents *recents;
    struct item_rows *rows; /* NULL: no complete model */
    struct fold *fold;      /* for rows */
    struct lists_stats stats;
    struct listings listings;
    struct ranked ranked[LIST_ITEMS_MAX];
};

static struct span subject_span(const uint8_t *subject)
{
    return span_of(subject, SUBJECT_SIZE);
}

static struct span shard_key(uint8_t out[SHARD_KEY_SIZE], uint32_t shard)
{
    for (int i = 0; i < SHARD_KEY_SIZE; i++)
        out[i] = (uint8_t)(shard >> (8 * i));
    return span_of(out, SHARD_KEY_SIZE);
}

static uint32_t shard_number(struct span key)
{
    uint32_t number = 0;

    for (size_t i = key.size; i-- > 0;)
        number = number << 8 | key.data[i];
    return number;
}

static enum sotto_err listing_find(struct listing **out, struct lists *l,
                                   uint32_t kind, struct span key)
{
    return listings_get(out, &l->listings, l->shelf, l->rows, kind, key);
}

static bool listing_current(const struct listing *c, int64_t now_ms)
{
    return c && (c->shelved.expires_ms == WHEN_NONE ||
                 c->shelved.expires_ms > now_ms);
}

/* Makes the model of the shards on the shelf; SOTTO_ENOTFOUND while it is not
 * complete. Writer's connection, no lock. */
static enum sotto_err rows_build(struct item_rows **out, struct shelf *shelf)
{
    struct item_rows *rows = NULL;
    struct buf body;
    uint8_t key[SHARD_KEY_SIZE];
    enum sotto_err err = SOTTO_OK;

    buf_init(&body, DOCUMENT_BODY_MAX);
    for (uint32_t i = 0; !err && (!rows || i < rows->shards); i++) {
        struct shelved shelved;

        buf_clear(&body);
        err = shelf_read(shelf, DOCUMENT_ROWS, shard_key(key, i), &shelved,
                         &body);
        if (err)
            break;
        err = rows ? item_rows_add(rows, span_of(body.data, body.size))
                   : item_rows_begin(&rows, span_of(body.data, body.size));
        if (err && err != SOTTO_ENOTFOUND) {
            log_warn("lists",
                     "item rows: shard %u cannot be used: %s; "
                     "waiting for the next model",
                     i, err_name(err));
            err = SOTTO_ENOTFOUND;
        }
    }
    buf_fini(&body);
    if (!err && !item_rows_complete(rows))
        err = SOTTO_ENOTFOUND;
    if (err) {
        item_rows_free(rows);
        return err;
    }
    *out = rows;
    return SOTTO_OK;
}

static enum sotto_err model_build(struct item_rows **rows, struct fold **fold,
                                  struct shelf *shelf)
{
    enum sotto_err err = rows_build(rows, shelf);

    if (!err)
        err = fold_open(fold, *rows);
    if (err) {
        item_rows_free(*rows);
        *rows = NULL;
    }
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

static void model_swap(struct lists *l, struct item_rows **rows,
                       struct fold **fold)
{
    struct item_rows *old_rows = l->rows;
    struct fold *old_fold = l->fold;

    l->rows = *rows;
    l->fold = *fold;
    *rows = old_rows;
    *fold = old_fold;
    l->stats.rows = l->rows ? l->rows->count : 0;
    l->stats.model[0] = '\0';
    if (l->rows)
        label_copy(l->stats.model, sizeof l->stats.model,
                   span_text(l->rows->model));
}

static enum sotto_err count_documents(struct shelf *shelf, uint64_t *personal,
                                      uint64_t *segments)
{
    enum sotto_err err = shelf_count(shelf, DOCUMENT_LIST, personal);

    return err ? err : shelf_count(shelf, DOCUMENT_SEGMENT, segments);
}

/* Before this has succeeded nobody is told that documents are applied: what
 * confirms a tombstone says that nothing is left on the disk. */
static enum sotto_err scrub(struct lists *l)
{
    enum sotto_err err = shelf_scrub(l->shelf);

    if (!err)
        l->scrub_due = false;
    return err;
}

static void scrub_later(struct lists *l, uint64_t applied)
{
    if (!l->scrub_due)
        l->scrubbed = applied;
    l->scrub_due = true;
}

enum sotto_err lists_open(struct lists **out, const char *path, struct why *why)
{
    struct lists *l = calloc(1, sizeof *l);
    enum sotto_err err;

    if (!l)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", path);
    listings_init(&l->listings);
    pthread_mutex_init(&l->lock, NULL);
    err = shelf_open(&l->shelf, path, why);
    if (err) {
        lists_close(l);
        return err;
    }
    scrub_later(l, 0); /* a kill may have come between */
    if (scrub(l))
        log_warn("lists", "%s: its log cannot be emptied yet", path);
    err = recents_open(&l->recents);
    if (!err)
        err = model_build(&l->rows, &l->fold, l->shelf);
    if (!err)
        err = count_documents(l->shelf, &l->stats.personal, &l->stats.segments);
    if (err) {
        lists_close(l);
        return why_say(why, err,
                       "%s: cannot be read: %s; if it is damaged, delete it: "
                       "the aggregator sends the lists again",
                       path, err_text(err));
    }
    l->stats.applied = shelf_applied(l->shelf);
    model_swap(l, &l->rows, &l->fold); /* with itself: fills the stats */
    *out = l;
    return SOTTO_OK;
}

void lists_close(struct lists *l)
{
    if (!l)
        return;
    shelf_close(l->shelf);
    recents_close(l->recents);
    fold_close(l->fold);
    item_rows_free(l->rows);
    listings_fini(&l->listings);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

uint64_t lists_applied(const struct lists *l)
{
    return l->scrub_due ? l->scrubbed : shelf_applied(l->shelf);
}

enum sotto_err lists_begin(struct lists *l)
{
    enum sotto_err err;

    assert(!l->changes.open);
    err = shelf_begin(l->shelf);
    if (!err)
        l->changes = (struct changes){.open = true};
    return err;
}

static bool key_fits(const struct document *d)
{
    switch (d->kind) {
    case DOCUMENT_LIST:
    case DOCUMENT_FORGET:
        return d->key.size == SUBJECT_SIZE;
    case DOCUMENT_ROWS:
        return d->key.size == SHARD_KEY_SIZE;
    case DOCUMENT_POPULAR:
        return d->key.size == 0;
    default:
        return d->key.size <= LISTING_KEY_MAX;
    }
}

/* Puts or deletes a list; what happened before it was made is in it. */
static enum sotto_err list_apply(struct lists *l, const struct document *d)
{
    struct list list;
    struct coverage by;
    enum sotto_err err;

    if (d->body.size == 0)
        return shelf_drop(l->shelf, d->kind, d->key);
    err = list_decode(&list, d->body);
    if (!err)
        err = shelf_put(l->shelf, d);
    if (!err && d->kind == DOCUMENT_LIST) {
        by = (struct coverage){list.stream, list.sequence, d->number};
        recents_plan_cover(l->recents, d->key.data, &by);
    }
    return err;
}

static enum sotto_err rows_apply(struct lists *l, const struct document *d)
{
    uint32_t shard = shard_number(d->key);
    enum sotto_err err;

    l->changes.rows = true;
    if (d->body.size == 0) {
        if (l->rows && shard < l->rows->shards)
            l->changes.rows_dropped = true;
        return shelf_drop(l->shelf, d->kind, d->key);
    }
    err = item_rows_check(d->body, shard);
    return err ? err : shelf_put(l->shelf, d);
}

enum sotto_err lists_apply(struct lists *l, const struct document *d)
{
    assert(l->changes.open);
    if (d->number <= shelf_applied(l->shelf))
        return SOTTO_OK;
    if (!key_fits(d))
        return SOTTO_EDECODE;
    switch (d->kind) {
    case DOCUMENT_LIST:
    case DOCUMENT_SEGMENT:
    case DOCUMENT_POPULAR:
        return list_apply(l, d);
    case DOCUMENT_ROWS:
        return rows_apply(l, d);
    case DOCUMENT_FORGET:
        l->changes.forgotten = true;
        recents_plan_forget(l->recents, d->key.data);
        return shelf_drop(l->shelf, DOCUMENT_LIST, d->key);
    default:
        return SOTTO_OK; /* another part's */
    }
}

enum sotto_err lists_end(struct lists *l, uint64_t applied)
{
    struct changes changes = l->changes;
    struct item_rows *rows = NULL;
    struct fold *fold = NULL;
    uint64_t personal = 0, segments = 0;
    uint64_t before = shelf_applied(l->shelf);
    enum sotto_err err;

    assert(changes.open);
    err = shelf_commit(l->shelf, applied > before ? applied : before);
    if (err) {
        lists_rollback(l);
        return err;
    }
    l->changes.open = false;
    if (changes.forgotten)
        scrub_later(l, before);
    if (changes.rows)
        err = model_build(&rows, &fold, l->shelf);
    if (!err)
        err = count_documents(l->shelf, &personal, &segments);
    pthread_mutex_lock(&l->lock);
    listings_clear(&l->listings);
    recents_settle(l->recents, true);
    if (rows || changes.rows_dropped)
        model_swap(l, &rows, &fold);
    l->stats.applied = shelf_applied(l->shelf);
    if (!err) {
        l->stats.personal = personal;
        l->stats.segments = segments;
    }
    pthread_mutex_unlock(&l->lock);
    fold_close(fold);
    item_rows_free(rows);
    if (!err && l->scrub_due)
        err = scrub(l);
    return err;
}

void lists_rollback(struct lists *l)
{
    shelf_rollback(l->shelf);
    recents_settle(l->recents, false); /* plans are the loop thread's own */
    l->changes.open = false;
}

void lists_seen(struct lists *l, const uint8_t subject[16], struct span item,
                bool bought, uint64_t stream, uint64_t sequence)
{
    struct recent seen; /* of its item, size bytes: it is no answer */

    if (!subject || item.size == 0 || item.size > RECENT_ITEM_MAX)
        return;
    seen.stream = stream;
    seen.sequence = sequence;
    seen.after = shelf_applied(l->shelf);
    seen.bought = bought;
    seen.size = (uint8_t)item.size;
    memcpy(seen.item, item.data, item.size);
    pthread_mutex_lock(&l->lock);
    recents_add(l->recents, subject, &seen);
    pthread_mutex_unlock(&l->lock);
    sodium_memzero(seen.item, item.size);
}

enum sotto_err lists_forget(struct lists *l, const uint8_t subject[16])
{
    uint64_t personal = 0, segments = 0;
    enum sotto_err err;

    assert(!l->changes.open);
    pthread_mutex_lock(&l->lock); /* from memory, whatever the disk says */
    recents_forget(l->recents, subject);
    pthread_mutex_unlock(&l->lock);
    err = shelf_begin(l->shelf);
    if (err)
        return err;
    err = shelf_drop(l->shelf, DOCUMENT_LIST, subject_span(subject));
    if (!err)
        err = shelf_commit(l->shelf, shelf_applied(l->shelf));
    else
        shelf_rollback(l->shelf);
    if (!err) {
        scrub_later(l, shelf_applied(l->shelf));
        err = scrub(l);
    }
    if (!err)
        err = count_documents(l->shelf, &personal, &segments);
    pthread_mutex_lock(&l->lock);
    listings_clear(&l->listings); /* of a list read before the commit, too */
    if (!err)
        l->stats.personal = personal;
    pthread_mutex_unlock(&l->lock);
    return err;
}

/* What one answer is made from. */
struct question {
    struct listing *base; /* NULL: none */
    bool own;             /* base is the subject's own list */
    struct span segment;
    struct recent recents[RECENTS_ITEMS];
    uint32_t recent_count;
};

/* The first that has not expired: the subject's list, the list of the segment
 * that it was in, the popular list. */
static enum sotto_err base_find(struct question *q, struct lists *l,
                                const struct listing *own, int64_t now_ms)
{
    enum sotto_err err = SOTTO_OK;

    if (own && own->list.segment.size &&
        own->list.segment.size <= LISTING_KEY_MAX)
        err = listing_find(&q->base, l, DOCUMENT_SEGMENT, own->list.segment);
    if (!err && !listing_current(q->base, now_ms))
        err = listing_find(&q->base, l, DOCUMENT_POPULAR, span_of(NULL, 0));
    if (!listing_current(q->base, now_ms))
        q->base = NULL;
    return err;
}

/* What the list does not know yet. */
static void recents_find(struct question *q, const struct lists *l,
                         const uint8_t *subject, const struct listing *own)
{
    uint32_t count = recents_get(l->recents, subject, q->recents);

    for (uint32_t i = 0; i < count; i++) {
        struct coverage by;

        if (own) {
            by = (struct coverage){own->list.stream, own->list.sequence,
                                   own->shelved.number};
            if (recent_covered(&q->recents[i], &by))
                continue;
        }
        q->recents[q->recent_count++] = q->recents[i];
    }
}

static enum sotto_err question_fill(struct question *q, struct lists *l,
                                    const uint8_t *subject, int64_t now_ms)
{
    struct listing *own = NULL;
    enum sotto_err err = SOTTO_OK;

    memset(q, 0, sizeof *q);
    if (subject) {
        err = listing_find(&own, l, DOCUMENT_LIST, subject_span(subject));
        if (err)
            return err;
        if (own)
            q->segment = own->list.segment;
        recents_find(q, l, subject, own);
    }
    q->own = listing_current(own, now_ms);
    if (q->own)
        q->base = own;
    else
        err = base_find(q, l, own, now_ms);
    return err;
}

static struct answer_item *answer_add(struct answer *out, struct span item,
                                      struct span name, float score)
{
    struct answer_item *a = &out->items[out->count++];

    label_copy(a->item, sizeof a->item, item);
    label_copy(a->name, sizeof a->name, name);
    a->score = score;
    a->reason = REASON_POPULAR;
    a->because[0] = a->because_name[0] = '\0';
    return a;
}

static void answer_listed(struct answer *out, const struct list_item *item,
                          float score)
{
    struct answer_item *a = answer_add(out, item->item, item->name, score);

    a->reason = item->reason;
    label_copy(a->because, sizeof a->because, item->because);
    label_copy(a->because_name, sizeof a->because_name, item->because_name);
}

static void answer_ranked(struct answer *out, const struct lists *l,
                          const struct question *q, const struct list *list,
                          const struct ranked *r)
{
    struct span because;
    struct answer_item *a;

    if (r->place != FOLD_NOWHERE)
        answer_listed(out, &list->items[r->place], r->score);
    else
        (void)answer_add(out, dict_key(&l->rows->items, r->number),
                         item_rows_name(l->rows, r->number), r->score);
    if (r->because == FOLD_NOBODY)
        return;
    a = &out->items[out->count - 1];
    because = recent_item(&q->recents[r->because]);
    a->reason = REASON_BECAUSE;
    label_copy(a->because, sizeof a->because, because);
    label_copy(a->because_name, sizeof a->because_name,
               item_rows_name(l->rows, dict_find(&l->rows->items, because)));
}

static uint32_t answer_fold(struct answer *out, struct lists *l,
                            const struct question *q, uint32_t count)
{
    const struct list *list = q->own ? &q->base->list : NULL;
    struct fold_input in = {
        .list = list, .recents = q->recents, .recent_count = q->recent_count};
    uint32_t ranked;

    if (list) {
        in.item_numbers = q->base->item_numbers;
        in.history_numbers = q->base->history_numbers;
    }
    ranked = fold_rank(l->fold, &in, count, l->ranked);
    for (uint32_t i = 0; i < ranked; i++)
        answer_ranked(out, l, q, list, &l->ranked[i]);
    return ranked;
}

static bool is_ranked(const struct lists *l, uint32_t ranked, uint32_t number)
{
    for (uint32_t i = 0; number != DICT_NONE && i < ranked; i++)
        if (l->ranked[i].number == number)
            return true;
    return false;
}

/* The list as it is, after what was folded: that has the higher scores, for
 * nothing the person did speaks for the rest. */
static void answer_fill(struct answer *out, const struct lists *l,
                        const struct question *q, uint32_t count)
{
    const struct listing *base = q->base;
    uint32_t folded = out->count;

    for (uint32_t i = 0; i < base->list.count && out->count < count; i++) {
        const struct list_item *item = &base->list.items[i];

        if (!is_ranked(l, folded, base->item_numbers[i]) &&
            !recents_bought(q->recents, q->recent_count, item->item))
            answer_listed(out, item, folded ? 0 : item->score);
    }
}

static enum sotto_err answer_make(struct answer *out, struct lists *l,
                                  const struct question *q, uint32_t count)
{
    bool folds = l->rows && q->recent_count;

    if (!q->base && !folds)
        return SOTTO_ENOTFOUND;
    out->personal = q->own;
    if (folds && answer_fold(out, l, q, count))
        out->personal = true;
    if (q->base && !(folds && q->own))
        answer_fill(out, l, q, count);
    if (!q->base && out->count == 0)
        return SOTTO_ENOTFOUND;
    label_copy(out->segment, sizeof out->segment, q->segment);
    label_copy(out->model, sizeof out->model,
               q->base ? q->base->list.model : span_text(l->rows->model));
    return SOTTO_OK;
}

enum sotto_err lists_answer(struct lists *l, const uint8_t *subject,
                            uint32_t count, int64_t now_ms, struct answer *out)
{
    struct question q;
    enum sotto_err err;

    out->count = 0;
    out->personal = false;
    out->model[0] = out->segment[0] = '\0';
    if (count > LIST_ITEMS_MAX)
        count = LIST_ITEMS_MAX;
    if (count == 0)
        return SOTTO_EINVAL;
    pthread_mutex_lock(&l->lock);
    err = question_fill(&q, l, subject, now_ms);
    if (!err)
        err = answer_make(out, l, &q, count);
    pthread_mutex_unlock(&l->lock);
    sodium_memzero(q.recents, sizeof q.recents);
    return err;
}

void lists_stats(struct lists *l, struct lists_stats *out)
{
    pthread_mutex_lock(&l->lock);
    *out = l->stats;
    pthread_mutex_unlock(&l->lock);
}
