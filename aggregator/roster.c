/* See roster.h. A token is stored as the hash of its secret only. */
#include "aggregator/roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dict.h"

struct roster {
    struct store *store;
    struct agent_row *rows;
    uint32_t count, capacity;
    struct dict by_key; /* sign id -> index in rows */
    struct dict names;  /* those that are taken */
};

static enum sotto_err grow(struct roster *r)
{
    uint32_t capacity = r->capacity ? r->capacity * 2 : 64;
    struct agent_row *rows;

    if (r->count < r->capacity)
        return SOTTO_OK;
    if (r->count >= ROSTER_MAX)
        return SOTTO_EFULL;
    rows = realloc(r->rows, capacity * sizeof *rows);
    if (!rows)
        return SOTTO_ENOMEM;
    r->rows = rows;
    r->capacity = capacity;
    return SOTTO_OK;
}

static enum sotto_err add_row(struct roster *r, const struct agent_row *row)
{
    uint32_t index;
    enum sotto_err err = grow(r);

    if (!err) /* first: a key without its row would lead nowhere */
        err = dict_intern(&r->names, span_text(row->name), &index);
    if (!err)
        err = dict_intern(&r->by_key, span_of(row->peer.sign_id, KEY_ID_SIZE),
                          &index);
    if (!err)
        r->rows[r->count++] = *row;
    return err;
}

static enum sotto_err load_row(struct roster *r, sqlite3_stmt *q)
{
    struct span name = store_blob(q, 1), sign = store_blob(q, 2),
                box = store_blob(q, 3);
    struct agent_row row = {
        .number = (uint32_t)sqlite3_column_int64(q, 0),
        .enrolled_ms = sqlite3_column_int64(q, 4),
        .revoked = sqlite3_column_type(q, 5) != SQLITE_NULL,
    };

    if (name.size >= sizeof row.name || sign.size != PK_SIZE ||
        box.size != PK_SIZE)
        return SOTTO_EDECODE;
    memcpy(row.name, name.data, name.size);
    peer_init(&row.peer, sign.data, box.data);
    return add_row(r, &row);
}

/* The agents of the store that are not in memory: at open all; later one that
 * was committed when there was no memory for it. */
static enum sotto_err read_new(struct roster *r)
{
    uint32_t newest = r->count ? r->rows[r->count - 1].number : 0;
    sqlite3_stmt *q =
        store_prepare(r->store, "SELECT number, name, sign_pk, box_pk, "
                                "enrolled_ms, revoked_ms FROM agent "
                                "WHERE number > ?1 ORDER BY number");
    enum sotto_err err;

    if (q)
        sqlite3_bind_int64(q, 1, newest);
    while ((err = store_row(q)) == SOTTO_OK)
        if ((err = load_row(r, q)) != SOTTO_OK)
            break;
    store_done(q);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

enum sotto_err roster_open(struct roster **out, struct store *store)
{
    struct roster *r = calloc(1, sizeof *r);
    enum sotto_err err;

    if (!r)
        return SOTTO_ENOMEM;
    r->store = store;
    dict_init(&r->by_key, ROSTER_MAX, (size_t)ROSTER_MAX * KEY_ID_SIZE,
              randombytes_random());
    dict_init(&r->names, ROSTER_MAX, (size_t)ROSTER_MAX * sizeof r->rows->name,
              r->by_key.seed);
    err = read_new(r);
    if (err) {
        roster_close(r);
        return err;
    }
    *out = r;
    return SOTTO_OK;
}

void roster_close(struct roster *r)
{
    if (!r)
        return;
    dict_fini(&r->by_key);
    dict_fini(&r->names);
    free(r->rows);
    free(r);
}

uint32_t roster_count(const struct roster *r)
{
    return r->count;
}

struct agent_row *roster_at(struct roster *r, uint32_t index)
{
    return index < r->count ? &r->rows[index] : NULL;
}

struct agent_row *roster_find(struct roster *r,
                              const uint8_t sign_id[KEY_ID_SIZE])
{
    uint32_t index = dict_find(&r->by_key, span_of(sign_id, KEY_ID_SIZE));

    return index == DICT_NONE ? NULL : &r->rows[index];
}

/* Rows are in the order of their numbers, which may have gaps. */
struct agent_row *roster_number(struct roster *r, uint32_t number)
{
    uint32_t from = 0, to = r->count;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (r->rows[middle].number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return from < r->count && r->rows[from].number == number ? &r->rows[from]
                                                             : NULL;
}

bool roster_name_taken(const struct roster *r, const char *name)
{
    return dict_find(&r->names, span_text(name)) != DICT_NONE;
}

enum sotto_err roster_token(struct roster *r, const char *name, uint32_t uses,
                            int64_t expires_ms, uint8_t secret[32])
{
    uint8_t hash[HASH_SIZE];
    sqlite3_stmt *q;

    if (roster_name_taken(r, name))
        return SOTTO_EEXIST;
    randombytes_buf(secret, 32);
    hash_bytes(hash, span_of(secret, 32), span_of(NULL, 0));
    q = store_prepare(r->store,
                      "INSERT INTO token(secret_hash, name, uses, expires_ms) "
                      "VALUES(?1, ?2, ?3, ?4)");
    store_bind(q, 1, span_of(hash, HASH_SIZE));
    if (q) {
        sqlite3_bind_text(q, 2, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 3, uses);
        sqlite3_bind_int64(q, 4, expires_ms);
    }
    return store_run(q);
}

static bool suffix_taken(const struct roster *r, const char *wanted, unsigned n,
                         char out[64])
{
    snprintf(out, 64, "%.50s-%u", wanted, n);
    return roster_name_taken(r, out);
}

/* The first agent of a token has its name, later ones NAME-2, NAME-3, … The
 * end of that row is looked for in doubling steps, then by halves: a token may
 * make a hundred thousand agents. */
static void choose_name(const struct roster *r, const char *wanted,
                        char out[64])
{
    unsigned taken = 1, free_one = 2;

    snprintf(out, 64, "%s", wanted);
    if (!roster_name_taken(r, out))
        return;
    while (suffix_taken(r, wanted, free_one, out)) {
        taken = free_one;
        free_one *= 2;
    }
    while (free_one - taken > 1) {
        unsigned middle = taken + (free_one - taken) / 2;
        if (suffix_taken(r, wanted, middle, out))
            taken = middle;
        else
            free_one = middle;
    }
    snprintf(out, 64, "%.50s-%u", wanted, free_one);
}

static enum sotto_err insert_agent(struct roster *r, struct agent_row *row,
                                   const uint8_t token[HASH_SIZE])
{
    sqlite3_stmt *q;
    enum sotto_err err = store_begin(r->store);

    if (err)
        return err;
    q = store_prepare(r->store,
                      "INSERT INTO agent(name, sign_pk, box_pk, key_id, "
                      "enrolled_ms) VALUES(?1, ?2, ?3, ?4, ?5)");
    store_bind(q, 2, span_of(row->peer.sign_pk, PK_SIZE));
    store_bind(q, 3, span_of(row->peer.box_pk, PK_SIZE));
    store_bind(q, 4, span_of(row->peer.sign_id, KEY_ID_SIZE));
    if (q) {
        sqlite3_bind_text(q, 1, row->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 5, row->enrolled_ms);
    }
    err = store_run(q);
    if (!err) {
        row->number = (uint32_t)sqlite3_last_insert_rowid(r->store->db);
        q = store_prepare(r->store, "UPDATE token SET uses = uses - 1 "
                                    "WHERE secret_hash = ?1");
        store_bind(q, 1, span_of(token, HASH_SIZE));
        err = store_run(q);
    }
    if (!err)
        err = store_commit(r->store);
    else
        store_rollback(r->store);
    return err;
}

enum sotto_err roster_redeem(struct roster *r, const struct enrol *request,
                             int64_t now_ms, struct agent_row **agent,
                             enum refusal *refusal)
{
    struct agent_row row = {.enrolled_ms = now_ms};
    uint8_t hash[HASH_SIZE];
    char wanted[64];
    int64_t uses, expires_ms;
    sqlite3_stmt *q;
    enum sotto_err err;

    *refusal = REFUSAL_NONE;
    err = read_new(r);
    if (err)
        return err;
    peer_init(&row.peer, request->sign_pk, request->box_pk);
    hash_bytes(hash, span_of(request->secret, 32), span_of(NULL, 0));
    q = store_prepare(r->store, "SELECT name, uses, expires_ms FROM token "
                                "WHERE secret_hash = ?1");
    store_bind(q, 1, span_of(hash, HASH_SIZE));
    err = store_row(q);
    if (err == SOTTO_ENOTFOUND) {
        *refusal = REFUSAL_TOKEN_UNKNOWN;
        return SOTTO_EREFUSED;
    }
    if (err)
        return err;
    snprintf(wanted, sizeof wanted, "%s", sqlite3_column_text(q, 0));
    uses = sqlite3_column_int64(q, 1);
    expires_ms = sqlite3_column_int64(q, 2);
    store_done(q);
    *agent = roster_find(r, row.peer.sign_id);
    if (*agent && !(*agent)->revoked)
        return SOTTO_OK;
    if (*agent)
        *refusal = REFUSAL_REVOKED;
    else if (uses < 1)
        *refusal = REFUSAL_TOKEN_SPENT;
    else if (now_ms >= expires_ms)
        *refusal = REFUSAL_TOKEN_EXPIRED;
    if (*refusal)
        return SOTTO_EREFUSED;
    choose_name(r, wanted, row.name);
    err = insert_agent(r, &row, hash);
    if (!err)
        err = add_row(r, &row); /* failing, the next call reads it */
    *agent = err ? NULL : &r->rows[r->count - 1];
    return err;
}
