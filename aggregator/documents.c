/* See documents.h. A sealed body is: size of the key (1 byte), key, body. */
#include "aggregator/documents.h"

#include <string.h>

#include "base/when.h"

#define LABEL "document"
#define SEALED_MAX (DOCUMENT_BODY_MAX + 4096)

static enum sotto_err next_number(struct store *s, uint32_t agent,
                                  uint64_t *number)
{
    sqlite3_stmt *q = store_prepare(
        s, "INSERT INTO sync(agent, last) VALUES(?1, 1) ON CONFLICT(agent) "
           "DO UPDATE SET last = last + 1 RETURNING last");
    enum sotto_err err;

    if (q)
        sqlite3_bind_int64(q, 1, agent);
    err = store_row(q);
    if (!err) {
        *number = (uint64_t)sqlite3_column_int64(q, 0);
        err = store_run(q);
    }
    return err;
}

static enum sotto_err seal_body(struct store *s, const struct document *d,
                                struct buf *out)
{
    struct buf plain;
    uint8_t size = (uint8_t)d->key.size;
    enum sotto_err err;

    if (d->key.size > UINT8_MAX || d->body.size > DOCUMENT_BODY_MAX)
        return SOTTO_ETOOBIG;
    buf_init(&plain, SEALED_MAX);
    err = buf_append(&plain, &size, 1);
    if (!err)
        err = buf_append(&plain, d->key.data, d->key.size);
    if (!err)
        err = buf_append(&plain, d->body.data, d->body.size);
    if (!err)
        err = store_seal(s, LABEL, span_of(plain.data, plain.size), out);
    buf_fini(&plain);
    return err;
}

enum sotto_err documents_put(struct store *s, uint32_t agent,
                             struct document *d, struct buf *scratch)
{
    uint8_t key[STORE_BLIND_SIZE];
    sqlite3_stmt *q;
    enum sotto_err err = next_number(s, agent, &d->number);

    store_blind(s, LABEL, d->key, key);
    if (!err)
        err = seal_body(s, d, scratch);
    if (err)
        return err;
    q = store_prepare(s, "DELETE FROM document WHERE agent = ?1 AND "
                         "kind = ?2 AND key = ?3");
    store_bind(q, 3, span_of(key, sizeof key));
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, d->kind);
    }
    err = store_run(q);
    if (err)
        return err;
    q = store_prepare(s, "INSERT INTO document(agent, number, kind, key, "
                         "expires_ms, made_ms, body) "
                         "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    store_bind(q, 4, span_of(key, sizeof key));
    store_bind(q, 7, span_of(scratch->data, scratch->size));
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, (sqlite3_int64)d->number);
        sqlite3_bind_int64(q, 3, d->kind);
        sqlite3_bind_int64(q, 5, d->expires_ms);
        sqlite3_bind_int64(q, 6, d->made_ms);
    }
    return store_run(q);
}

/* The tombstones of an agent up to a number get ones above all that were given,
 * in order. */
static enum sotto_err lift(struct store *s, uint32_t agent, uint64_t upto)
{
    static const char *const texts[] = {
        "UPDATE document SET number = number + (SELECT last FROM sync"
        " WHERE agent = ?1) WHERE agent = ?1 AND kind = ?2 AND number <= ?3",
        "UPDATE sync SET last = max(last, coalesce((SELECT max(number)"
        " FROM document WHERE agent = ?1 AND kind = ?2), ?3 - ?3))"
        " WHERE agent = ?1"};
    enum sotto_err err = SOTTO_OK;

    if (upto > INT64_MAX)
        upto = INT64_MAX;
    for (size_t i = 0; i < 2 && !err; i++) {
        sqlite3_stmt *q = store_prepare(s, texts[i]);

        if (q) {
            sqlite3_bind_int64(q, 1, agent);
            sqlite3_bind_int64(q, 2, DOCUMENT_FORGET);
            sqlite3_bind_int64(q, 3, (sqlite3_int64)upto);
        }
        err = store_run(q);
    }
    return err;
}

enum sotto_err documents_restart(struct store *s, uint32_t agent,
                                 uint64_t floor)
{
    sqlite3_stmt *q = store_prepare(
        s, "DELETE FROM document WHERE agent = ?1 AND kind <> ?2");
    enum sotto_err err;

    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, DOCUMENT_FORGET);
    }
    err = store_run(q);
    if (err)
        return err;
    q = store_prepare(s, "INSERT INTO sync(agent, last) VALUES(?1, ?2) ON "
                         "CONFLICT(agent) DO UPDATE SET "
                         "last = max(last, excluded.last)");
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, (sqlite3_int64)floor);
    }
    err = store_run(q);
    return err ? err : lift(s, agent, UINT64_MAX);
}

/* A row of number, kind, expires_ms, made_ms, body; d borrows from plain. */
static enum sotto_err read_row(struct store *s, sqlite3_stmt *q,
                               struct buf *plain, struct document *d)
{
    enum sotto_err err = store_unseal(s, LABEL, store_blob(q, 4), plain);

    if (err)
        return err;
    if (plain->size < 1 || plain->data[0] > plain->size - 1)
        return SOTTO_EDECODE;
    *d = (struct document){.number = (uint64_t)sqlite3_column_int64(q, 0),
                           .kind = (uint32_t)sqlite3_column_int64(q, 1),
                           .expires_ms = sqlite3_column_int64(q, 2),
                           .made_ms = sqlite3_column_int64(q, 3)};
    d->key = span_of(plain->data + 1, plain->data[0]);
    d->body =
        span_of(plain->data + 1 + d->key.size, plain->size - 1 - d->key.size);
    return SOTTO_OK;
}

static enum sotto_err add_row(struct store *s, sqlite3_stmt *q,
                              struct buf *plain, struct buf *out)
{
    struct document d;
    enum sotto_err err = read_row(s, q, plain, &d);

    return err ? err : documents_add(out, &d);
}

enum sotto_err documents_payload(struct store *s, uint32_t agent,
                                 uint64_t applied, size_t bytes_max,
                                 struct documents_head *head, struct buf *out)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT number, kind, expires_ms, made_ms, body FROM document "
           "WHERE agent = ?1 AND number > ?2 ORDER BY number");
    struct buf plain, rows;
    enum sotto_err err = SOTTO_OK;

    buf_init(&plain, SEALED_MAX);
    buf_init(&rows, bytes_max + SEALED_MAX);
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, (sqlite3_int64)applied);
    }
    head->count = 0;
    while (rows.size < bytes_max && (err = store_row(q)) == SOTTO_OK) {
        err = add_row(s, q, &plain, &rows);
        if (err)
            break;
        head->count++;
    }
    if (rows.size >= bytes_max)
        err = SOTTO_OK;
    store_done(q);
    if (err == SOTTO_ENOTFOUND)
        err = SOTTO_OK;
    if (!err)
        err = documents_begin(out, head);
    if (!err && rows.size > 0)
        err = buf_append(out, rows.data, rows.size);
    buf_fini(&plain);
    buf_fini(&rows);
    return err;
}

enum sotto_err documents_last(struct store *s,
                              void (*each)(void *context, uint32_t agent,
                                           uint64_t last),
                              void *context)
{
    sqlite3_stmt *q = store_prepare(s, "SELECT agent, last FROM sync");
    enum sotto_err err;

    while ((err = store_row(q)) == SOTTO_OK)
        each(context, (uint32_t)sqlite3_column_int64(q, 0),
             (uint64_t)sqlite3_column_int64(q, 1));
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

/* ---- the lists of a subject, and their end ---- */

#define SUBJECT_SIZE 16

void documents_key(const struct store *s, const uint8_t subject[16],
                   uint8_t key[STORE_BLIND_SIZE])
{
    store_blind(s, LABEL, span_of(subject, SUBJECT_SIZE), key);
}

enum sotto_err documents_of(struct store *s, const uint8_t subject[16],
                            void (*each)(void *context, uint32_t agent,
                                         const struct document *d),
                            void *context)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT number, kind, expires_ms, made_ms, body, agent"
           " FROM document WHERE kind = ?1 AND key = ?2 ORDER BY agent");
    uint8_t key[STORE_BLIND_SIZE];
    struct document d;
    struct buf plain;
    enum sotto_err err;

    documents_key(s, subject, key);
    buf_init(&plain, SEALED_MAX);
    store_bind(q, 2, span_of(key, sizeof key));
    if (q)
        sqlite3_bind_int64(q, 1, DOCUMENT_LIST);
    while ((err = store_row(q)) == SOTTO_OK) {
        err = read_row(s, q, &plain, &d);
        if (err)
            break;
        each(context, (uint32_t)sqlite3_column_int64(q, 5), &d);
    }
    store_done(q);
    buf_wipe(&plain);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

enum sotto_err
documents_subjects(struct store *s,
                   enum sotto_err (*each)(void *context, uint32_t agent,
                                          const uint8_t subject[16]),
                   void *context)
{
    sqlite3_stmt *q =
        store_prepare(s, "SELECT number, kind, expires_ms, made_ms, body, agent"
                         " FROM document WHERE kind = ?1");
    struct document d;
    struct buf plain;
    enum sotto_err err;

    buf_init(&plain, SEALED_MAX);
    if (q)
        sqlite3_bind_int64(q, 1, DOCUMENT_LIST);
    while ((err = store_row(q)) == SOTTO_OK) {
        err = read_row(s, q, &plain, &d);
        if (!err && d.key.size != SUBJECT_SIZE)
            err = SOTTO_EDECODE;
        if (!err)
            err =
                each(context, (uint32_t)sqlite3_column_int64(q, 5), d.key.data);
        if (err)
            break;
    }
    store_done(q);
    buf_wipe(&plain);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

static enum sotto_err delete_list(struct store *s, uint32_t agent,
                                  const uint8_t subject[16])
{
    sqlite3_stmt *q = store_prepare(s, "DELETE FROM document WHERE agent = ?1"
                                       " AND kind = ?2 AND key = ?3");
    uint8_t key[STORE_BLIND_SIZE];

    documents_key(s, subject, key);
    store_bind(q, 3, span_of(key, sizeof key));
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, DOCUMENT_LIST);
    }
    return store_run(q);
}

enum sotto_err documents_forget(struct store *s, uint32_t agent,
                                const uint8_t subject[16], int64_t now_ms,
                                struct buf *scratch)
{
    struct document d = {.kind = DOCUMENT_FORGET,
                         .key = span_of(subject, SUBJECT_SIZE),
                         .expires_ms = WHEN_NONE,
                         .made_ms = now_ms,
                         .body = span_of("", 0)};
    enum sotto_err err = delete_list(s, agent, subject);

    return err ? err : documents_put(s, agent, &d, scratch);
}

enum sotto_err documents_forgets(struct store *s, uint32_t agent, bool *out)
{
    sqlite3_stmt *q = store_prepare(s, "SELECT EXISTS(SELECT 1 FROM document"
                                       " WHERE agent = ?1 AND kind = ?2)");
    enum sotto_err err;

    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, DOCUMENT_FORGET);
    }
    err = store_row(q);
    if (err)
        return err;
    *out = sqlite3_column_int(q, 0);
    store_done(q);
    return SOTTO_OK;
}

enum sotto_err documents_confirm(struct store *s, uint32_t agent, uint64_t from,
                                 uint64_t applied)
{
    sqlite3_stmt *q = store_prepare(s, "DELETE FROM document WHERE agent = ?1"
                                       " AND kind = ?2 AND number > ?3"
                                       " AND number <= ?4");
    enum sotto_err err;

    if (from > applied)
        from = applied;
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, DOCUMENT_FORGET);
        sqlite3_bind_int64(q, 3, (sqlite3_int64)from);
        sqlite3_bind_int64(q, 4, (sqlite3_int64)applied);
    }
    err = store_run(q);
    return err ? err : lift(s, agent, from);
}

enum sotto_err documents_forget_pending(struct store *s, uint32_t agent,
                                        const uint8_t key[STORE_BLIND_SIZE],
                                        bool *out)
{
    sqlite3_stmt *q =
        store_prepare(s, "SELECT EXISTS(SELECT 1 FROM document WHERE agent = ?1"
                         " AND kind = ?2 AND key = ?3)");
    enum sotto_err err;

    store_bind(q, 3, span_of(key, STORE_BLIND_SIZE));
    if (q) {
        sqlite3_bind_int64(q, 1, agent);
        sqlite3_bind_int64(q, 2, DOCUMENT_FORGET);
    }
    err = store_row(q);
    if (err)
        return err;
    *out = sqlite3_column_int(q, 0);
    store_done(q);
    return SOTTO_OK;
}
