/* See registry.h. A model is stored as one sealed msgpack value:
 *   [1, name, [item…], [name…], popularity (bin of floats), starts, targets,
 *    values (int8), scales]
 * with little-endian arrays as bins, because nobody but this program on this
 * kind of machine reads them back: a big-endian one refuses (version 1). */
#include "aggregator/registry.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "wire/pack.h"

#define MODEL_FORM 1
#define MODEL_BYTES_MAX ((size_t)1024 * 1024 * 1024)
#define ITEMS_MAX 10000000u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "models are stored as this machine's arrays");

struct registry {
    struct store *store;
    uv_mutex_t lock; /* of live */
    struct live_model *live;
    uint64_t newest;
};

/* ---- a model ---- */

struct live_model *live_model_new(void)
{
    struct live_model *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    atomic_init(&m->holders, 1);
    dict_init(&m->items, ITEMS_MAX, MODEL_BYTES_MAX, 1);
    dict_init(&m->names, ITEMS_MAX, MODEL_BYTES_MAX, 2);
    return m;
}

struct live_model *live_model_hold(struct live_model *m)
{
    if (m)
        atomic_fetch_add(&m->holders, 1);
    return m;
}

void live_model_release(struct live_model *m)
{
    if (!m || atomic_fetch_sub(&m->holders, 1) != 1)
        return;
    dict_fini(&m->items);
    dict_fini(&m->names);
    free(m->name_of);
    free(m->popularity);
    weights8_fini(&m->rows8);
    weights_fini(&m->rows);
    free(m);
}

struct span live_model_item(const struct live_model *m, uint32_t item)
{
    return dict_key(&m->items, item);
}

struct span live_model_name(const struct live_model *m, uint32_t item)
{
    return dict_key(&m->names, m->name_of[item]);
}

/* ---- its stored form ---- */

static enum sotto_err model_encode(struct buf *out, const struct live_model *m)
{
    const uint32_t items = m->items.count;
    const struct weights8 *w = &m->rows8;
    uint64_t entries = w->starts ? w->starts[w->items] : 0;
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 9);
    pack_uint(&p, MODEL_FORM);
    pack_text(&p, span_text(m->name));
    pack_array(&p, items);
    for (uint32_t i = 0; i < items; i++)
        pack_bin(&p, live_model_item(m, i));
    pack_array(&p, items);
    for (uint32_t i = 0; i < items; i++)
        pack_bin(&p, live_model_name(m, i));
    pack_bin(&p, span_of(m->popularity, items * sizeof(float)));
    pack_bin(&p, span_of(w->starts, w->starts ? (w->items + 1) * 8u : 0));
    pack_bin(&p, span_of(w->targets, entries * 4));
    pack_bin(&p, span_of(w->values, entries));
    pack_bin(&p, span_of(w->scales, w->items * sizeof(float)));
    return p.err;
}

static enum sotto_err read_dict(struct dict *d, const msgpack_object *list,
                                uint32_t *numbers)
{
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        uint32_t number;
        struct span key;
        enum sotto_err err = get_bin(&list->via.array.ptr[i], 4096, &key);
        if (!err)
            err = dict_intern(d, key, &number);
        if (err)
            return err;
        if (numbers)
            numbers[i] = number;
        else if (number != i)
            return SOTTO_EDECODE; /* an item twice */
    }
    return SOTTO_OK;
}

/* Copies a bin that must have exactly size bytes; at least one is allocated. */
static enum sotto_err read_array(const msgpack_object *o, uint64_t size,
                                 void *out)
{
    struct span bytes;
    void *copy;
    enum sotto_err err = get_bin(o, MODEL_BYTES_MAX, &bytes);

    if (err)
        return err;
    if (bytes.size != size)
        return SOTTO_EDECODE;
    copy = malloc(size ? size : 1);
    if (!copy)
        return SOTTO_ENOMEM;
    if (size)
        memcpy(copy, bytes.data, size);
    memcpy(out, &copy, sizeof copy);
    return SOTTO_OK;
}

static enum sotto_err check_rows(const struct weights8 *w)
{
    for (uint32_t i = 0; i < w->items; i++)
        if (w->starts[i] > w->starts[i + 1])
            return SOTTO_EDECODE;
    for (uint64_t n = 0; n < w->starts[w->items]; n++)
        if (w->targets[n] >= w->items)
            return SOTTO_EDECODE;
    return w->starts[0] == 0 ? SOTTO_OK : SOTTO_EDECODE;
}

static enum sotto_err read_rows(struct live_model *m, const msgpack_object *o)
{
    struct weights8 *w = &m->rows8;
    struct span starts;
    uint64_t entries = 0;
    enum sotto_err err = get_bin(&o[0], MODEL_BYTES_MAX, &starts);

    if (err || starts.size == 0)
        return err; /* a model without rows */
    w->items = m->items.count;
    err = read_array(&o[0], (w->items + UINT64_C(1)) * 8, &w->starts);
    if (err)
        return err;
    entries = w->starts[w->items];
    if (entries > MODEL_BYTES_MAX)
        return SOTTO_EDECODE;
    err = read_array(&o[1], entries * 4, &w->targets);
    if (!err)
        err = read_array(&o[2], entries, &w->values);
    if (!err)
        err = read_array(&o[3], w->items * sizeof(float), &w->scales);
    if (!err)
        err = check_rows(w);
    return err ? err : weights_from_8(&m->rows, w);
}

static enum sotto_err model_decode(struct live_model *m, struct span bytes)
{
    const struct check_limits limits = {MODEL_BYTES_MAX, 8, UINT64_MAX};
    const msgpack_object *o;
    struct unpacked u;
    struct span name;
    uint64_t form;
    uint32_t count;
    enum sotto_err err = unpack_open(&u, bytes, &limits);

    if (err)
        return err;
    err = SOTTO_EDECODE;
    if (get_array(&u.root, 9, 9, &o, &count) ||
        get_uint(&o[0], MODEL_FORM, &form) || form != MODEL_FORM ||
        get_text(&o[1], sizeof m->name - 1, &name) ||
        o[2].type != MSGPACK_OBJECT_ARRAY ||
        o[3].type != MSGPACK_OBJECT_ARRAY ||
        o[2].via.array.size != o[3].via.array.size)
        goto done;
    memcpy(m->name, name.data, name.size);
    m->name_of = calloc(o[2].via.array.size + 1u, sizeof *m->name_of);
    err = m->name_of ? read_dict(&m->items, &o[2], NULL) : SOTTO_ENOMEM;
    if (!err)
        err = read_dict(&m->names, &o[3], m->name_of);
    if (!err)
        err = read_array(&o[4], m->items.count * sizeof(float), &m->popularity);
    if (!err)
        err = read_rows(m, &o[5]);
done:
    unpack_close(&u);
    return err;
}

/* ---- the registry ---- */

static enum sotto_err load_live(struct registry *r)
{
    sqlite3_stmt *q = store_prepare(
        r->store, "SELECT version, blob FROM model WHERE state = 'live'");
    enum sotto_err err = store_row(q);
    struct live_model *m;
    struct buf plain;

    if (err)
        return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
    buf_init(&plain, MODEL_BYTES_MAX);
    m = live_model_new();
    err = m ? store_unseal(r->store, "model", store_blob(q, 1), &plain)
            : SOTTO_ENOMEM;
    if (!err)
        m->version = (uint64_t)sqlite3_column_int64(q, 0);
    if (!err)
        err = model_decode(m, span_of(plain.data, plain.size));
    store_done(q);
    buf_fini(&plain);
    if (err)
        live_model_release(m);
    else
        r->live = m;
    return err;
}

enum sotto_err registry_open(struct registry **out, struct store *store)
{
    struct registry *r = calloc(1, sizeof *r);
    sqlite3_stmt *q;
    enum sotto_err err;

    if (!r)
        return SOTTO_ENOMEM;
    r->store = store;
    if (uv_mutex_init(&r->lock) != 0) {
        free(r);
        return SOTTO_ENOMEM;
    }
    q = store_prepare(store, "SELECT coalesce(max(version), 0) FROM model");
    err = store_row(q);
    if (!err) {
        r->newest = (uint64_t)sqlite3_column_int64(q, 0);
        store_done(q);
        err = load_live(r);
    }
    if (err) {
        registry_close(r);
        return err;
    }
    *out = r;
    return SOTTO_OK;
}

void registry_close(struct registry *r)
{
    if (!r)
        return;
    live_model_release(r->live);
    uv_mutex_destroy(&r->lock);
    free(r);
}

struct live_model *registry_live(struct registry *r)
{
    struct live_model *m;

    uv_mutex_lock(&r->lock);
    m = live_model_hold(r->live);
    uv_mutex_unlock(&r->lock);
    return m;
}

static enum sotto_err insert_model(struct store *store, uint64_t version,
                                   const char *state, json_t *meta,
                                   struct span sealed)
{
    sqlite3_stmt *q =
        store_prepare(store, "INSERT INTO model(version, state, meta, blob) "
                             "VALUES(?1, ?2, ?3, ?4)");
    char *text = json_dumps(meta, JSON_COMPACT | JSON_SORT_KEYS);
    enum sotto_err err = SOTTO_ENOMEM;

    store_bind(q, 4, sealed);
    if (q && text) {
        sqlite3_bind_int64(q, 1, (sqlite3_int64)version);
        sqlite3_bind_text(q, 2, state, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 3, text, -1, SQLITE_STATIC);
        err = store_run(q);
    }
    free(text);
    return err;
}

static void make_live(struct registry *r, struct live_model *m)
{
    struct live_model *old;

    uv_mutex_lock(&r->lock);
    old = r->live;
    r->live = live_model_hold(m);
    uv_mutex_unlock(&r->lock);
    live_model_release(old);
}

enum sotto_err registry_add(struct registry *r, struct store *store,
                            struct live_model *m, json_t *meta, bool live)
{
    struct buf plain, sealed;
    enum sotto_err err;

    buf_init(&plain, MODEL_BYTES_MAX);
    buf_init(&sealed, MODEL_BYTES_MAX);
    m->version = r->newest + 1;
    err = model_encode(&plain, m);
    if (!err)
        err = store_seal(store, "model", span_of(plain.data, plain.size),
                         &sealed);
    if (!err)
        err = store_begin(store);
    if (!err) {
        if (live)
            err = store_run(store_prepare(
                store,
                "UPDATE model SET state = 'earlier' WHERE state = 'live'"));
        if (!err)
            err = insert_model(store, m->version, live ? "live" : "rejected",
                               meta, span_of(sealed.data, sealed.size));
        if (!err)
            err = store_commit(store);
        else
            store_rollback(store);
    }
    buf_fini(&plain);
    buf_fini(&sealed);
    if (err)
        return err;
    r->newest = m->version;
    if (live)
        make_live(r, m);
    return SOTTO_OK;
}

enum sotto_err registry_each(struct store *store,
                             void (*each)(void *context, uint64_t version,
                                          const char *state,
                                          const json_t *meta),
                             void *context)
{
    sqlite3_stmt *q = store_prepare(
        store, "SELECT version, state, meta FROM model ORDER BY version");
    enum sotto_err err;

    while ((err = store_row(q)) == SOTTO_OK) {
        json_error_t error;
        json_t *meta =
            json_loads((const char *)sqlite3_column_text(q, 2), 0, &error);
        each(context, (uint64_t)sqlite3_column_int64(q, 0),
             (const char *)sqlite3_column_text(q, 1), meta);
        json_decref(meta);
    }
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}
