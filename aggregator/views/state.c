/* Rows of a checkpoint: label of the seal = the name of the view. */
#include "aggregator/views/state.h"

#include <string.h>

void state_init(struct state *st, struct store *store, const char *view)
{
    st->store = store;
    st->view = view;
    buf_init(&st->plain, STATE_ROW_MAX);
    buf_init(&st->sealed, STATE_ROW_MAX + 64);
}

void state_fini(struct state *st)
{
    buf_wipe(&st->plain);
    buf_fini(&st->sealed);
}

enum sotto_err state_put(struct state *st, struct span key, struct span value)
{
    sqlite3_stmt *q;
    enum sotto_err err;

    buf_clear(&st->plain);
    err = buf_append(&st->plain, key.data, key.size);
    if (!err)
        err = buf_append(&st->plain, value.data, value.size);
    if (!err)
        err = store_seal(st->store, st->view,
                         span_of(st->plain.data, st->plain.size), &st->sealed);
    if (err)
        return err;
    q = store_prepare(st->store,
                      "INSERT INTO view_state(view, key, value) VALUES(?, ?, ?)"
                      " ON CONFLICT(view, key) DO UPDATE"
                      " SET value = excluded.value");
    sqlite3_bind_text(q, 1, st->view, -1, SQLITE_STATIC);
    store_bind(q, 2, key);
    store_bind(q, 3, span_of(st->sealed.data, st->sealed.size));
    return store_run(q);
}

enum sotto_err state_remove(struct state *st, struct span key)
{
    sqlite3_stmt *q = store_prepare(
        st->store, "DELETE FROM view_state WHERE view = ? AND key = ?");

    sqlite3_bind_text(q, 1, st->view, -1, SQLITE_STATIC);
    store_bind(q, 2, key);
    return store_run(q);
}

static enum sotto_err row_open(struct state *st, struct span key,
                               struct span sealed, struct span *value)
{
    enum sotto_err err = store_unseal(st->store, st->view, sealed, &st->plain);

    if (err)
        return err;
    if (key.size == 0 || key.size > STATE_KEY_MAX ||
        st->plain.size < key.size ||
        memcmp(st->plain.data, key.data, key.size) != 0)
        return SOTTO_ECRYPTO;
    *value = span_of(st->plain.data + key.size, st->plain.size - key.size);
    return SOTTO_OK;
}

enum sotto_err state_each(struct state *st,
                          enum sotto_err (*each)(void *context, struct span key,
                                                 struct span value),
                          void *context)
{
    sqlite3_stmt *q = store_prepare(
        st->store,
        "SELECT key, value FROM view_state WHERE view = ? ORDER BY key");
    struct span key, value;
    enum sotto_err err;

    sqlite3_bind_text(q, 1, st->view, -1, SQLITE_STATIC);
    while ((err = store_row(q)) == SOTTO_OK) {
        key = store_blob(q, 0);
        err = row_open(st, key, store_blob(q, 1), &value);
        if (!err)
            err = each(context, key, value);
        if (err) {
            store_done(q);
            return err;
        }
    }
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

struct span state_number_key(uint8_t key[STATE_NUMBER_KEY], char prefix,
                             uint32_t number)
{
    key[0] = (uint8_t)prefix;
    for (int i = 0; i < 4; i++)
        key[1 + i] = (uint8_t)(number >> (24 - 8 * i));
    return span_of(key, STATE_NUMBER_KEY);
}

uint32_t state_key_number(struct span key)
{
    uint32_t number = 0;

    if (key.size != STATE_NUMBER_KEY)
        return UINT32_MAX;
    for (int i = 1; i < STATE_NUMBER_KEY; i++)
        number = number << 8 | key.data[i];
    return number;
}

enum sotto_err state_put_dict(struct state *st, char prefix,
                              const struct dict *d, uint32_t from)
{
    uint8_t key[STATE_NUMBER_KEY];
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = from; i < d->count && !err; i++)
        err = state_put(st, state_number_key(key, prefix, i), dict_key(d, i));
    return err;
}

enum sotto_err state_take_dict(struct dict *d, struct span key,
                               struct span value)
{
    uint32_t number = 0;
    enum sotto_err err = dict_intern(d, value, &number);

    if (err)
        return err;
    /* Rows come by rising key, so each must be the next number. */
    if (number != d->count - 1 || number != state_key_number(key))
        return SOTTO_EDECODE;
    return SOTTO_OK;
}

enum sotto_err state_unpack(struct unpacked *u, struct span value)
{
    const struct check_limits limits = {STATE_ROW_MAX, 4, STATE_ROW_MAX};

    return unpack_open(u, value, &limits);
}
