/* The small tables of the spool: how far each import got, and the policies that
 * ring records name by number. Cursors are written with the envelope they
 * belong to, in spool.c. */
#include "agent/spool.h"

#include "agent/spool_db.h"

#define POLICY_MAX FRAME_MAX

enum sotto_err spool_cursor_get(struct spool *s, const uint8_t source[16],
                                struct buf *out)
{
    sqlite3_stmt *st = db_statement(s, SQL_CURSOR_GET);
    struct span bytes;
    enum sotto_err err;

    buf_clear(out);
    db_bind_bytes(st, 1, span_of(source, 16));
    err = db_step(st);
    if (err)
        return err;
    bytes = db_bytes(st, 0);
    if (bytes.size)
        err = buf_append(out, bytes.data, bytes.size);
    db_reset(st);
    return err;
}

enum sotto_err spool_cursor_each(struct spool *s,
                                 void (*each)(void *context,
                                              const struct spool_cursor *),
                                 void *context)
{
    sqlite3_stmt *st = db_statement(s, SQL_CURSOR_EACH);
    struct spool_cursor cursor;
    enum sotto_err err;

    while (!(err = db_step(st))) {
        err = db_fixed(st, 0, cursor.source, sizeof(cursor.source));
        if (err)
            break;
        cursor.bytes = db_bytes(st, 1);
        each(context, &cursor);
    }
    db_reset(st);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

static enum sotto_err
policy_find(struct spool *s, const uint8_t hash[HASH_SIZE], uint32_t *number)
{
    sqlite3_stmt *st = db_statement(s, SQL_POLICY_FIND);
    enum sotto_err err;

    db_bind_bytes(st, 1, span_of(hash, HASH_SIZE));
    err = db_step(st);
    if (err)
        return err;
    *number = (uint32_t)db_uint(st, 0);
    db_reset(st);
    return SOTTO_OK;
}

enum sotto_err spool_policy_put(struct spool *s, const uint8_t hash[HASH_SIZE],
                                struct span container, uint32_t *number)
{
    sqlite3_stmt *st = db_statement(s, SQL_POLICY_ADD);
    enum sotto_err err = policy_find(s, hash, number);

    if (err != SOTTO_ENOTFOUND)
        return err;
    if (container.size > POLICY_MAX)
        return SOTTO_ETOOBIG;
    err = db_begin(s);
    if (err)
        return err;
    db_bind_bytes(st, 1, span_of(hash, HASH_SIZE));
    db_bind_bytes(st, 2, container);
    err = db_run(st);
    if (!err)
        err = policy_find(s, hash, number);
    return db_end(s, err);
}

enum sotto_err spool_policy_each(struct spool *s,
                                 enum sotto_err (*each)(void *context,
                                                        uint32_t number,
                                                        struct span container),
                                 void *context)
{
    sqlite3_stmt *st = db_statement(s, SQL_POLICY_EACH);
    enum sotto_err err;

    while (!(err = db_step(st))) {
        err = each(context, (uint32_t)db_uint(st, 0), db_bytes(st, 1));
        if (err)
            break;
    }
    db_reset(st);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}
