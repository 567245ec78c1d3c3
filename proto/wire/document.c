/* See document.h. A list is columns over a dictionary:
 *
 *   [model, segment, stream, sequence, texts, item, name, score, reason,
 *    because, because_name, history]
 *
 * texts is an array of bins; item, name, because, because_name and history
 * hold 0 for an empty text and 1 + its number in texts otherwise. All columns
 * but history have one entry an item. Writers leave out as it was when they
 * fail. */
#include "wire/document.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/dict.h"
#include "wire/pack.h"

#define LIST_FIELDS 12
#define LIST_TEXTS_MAX (5 * LIST_ITEMS_MAX) /* 4 an item, and the history */
#define ROWS_FIELDS 5
#define ROW_FIELDS 5
#define DOCUMENT_FIELDS 6
#define FIELDS_MAX 64  /* of a newer writer */
#define LABEL_MAX 1024 /* bytes of a model, segment or key */
#define HEAD_MAX 4096  /* bytes of a packed documents_head */
#define OVERHEAD 4096  /* bytes of a document around its body */

static const char *const kind_names[DOCUMENT_KIND_COUNT] = {
    [DOCUMENT_POLICY] = "policy",   [DOCUMENT_LIST] = "list",
    [DOCUMENT_SEGMENT] = "segment", [DOCUMENT_POPULAR] = "popular",
    [DOCUMENT_ROWS] = "rows",       [DOCUMENT_FORGET] = "forget",
};

const char *document_kind_name(uint32_t kind)
{
    return kind > 0 && kind < DOCUMENT_KIND_COUNT ? kind_names[kind]
                                                  : "unknown";
}

/* The columns of text references, in the order of the format. */
enum list_column {
    COLUMN_ITEM,
    COLUMN_NAME,
    COLUMN_BECAUSE,
    COLUMN_BECAUSE_NAME,
    COLUMN_COUNT
};

static const size_t column_offsets[COLUMN_COUNT] = {
    [COLUMN_ITEM] = offsetof(struct list_item, item),
    [COLUMN_NAME] = offsetof(struct list_item, name),
    [COLUMN_BECAUSE] = offsetof(struct list_item, because),
    [COLUMN_BECAUSE_NAME] = offsetof(struct list_item, because_name),
};

static struct span column_get(const struct list_item *item,
                              enum list_column column)
{
    struct span text;

    memcpy(&text, (const uint8_t *)item + column_offsets[column], sizeof text);
    return text;
}

static void column_set(struct list_item *item, enum list_column column,
                       struct span text)
{
    memcpy((uint8_t *)item + column_offsets[column], &text, sizeof text);
}

static enum sotto_err texts_add(struct dict *texts, struct span text)
{
    uint32_t number;
    enum sotto_err err =
        text.size ? dict_intern(texts, text, &number) : SOTTO_OK;

    return err == SOTTO_EFULL ? SOTTO_ETOOBIG : err;
}

static enum sotto_err texts_collect(struct dict *texts, const struct list *l)
{
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = 0; !err && i < l->count; i++)
        for (enum list_column c = 0; !err && c < COLUMN_COUNT; c++)
            err = texts_add(texts, column_get(&l->items[i], c));
    for (uint32_t i = 0; !err && i < l->history_count; i++)
        err = texts_add(texts, l->history[i]);
    return err;
}

static void pack_reference(struct packer *p, const struct dict *texts,
                           struct span text)
{
    pack_uint(p, text.size ? UINT64_C(1) + dict_find(texts, text) : 0);
}

static void pack_column(struct packer *p, const struct list *l,
                        const struct dict *texts, enum list_column column)
{
    pack_array(p, l->count);
    for (uint32_t i = 0; i < l->count; i++)
        pack_reference(p, texts, column_get(&l->items[i], column));
}

static enum sotto_err list_pack(struct buf *out, const struct list *l,
                                const struct dict *texts)
{
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, LIST_FIELDS);
    pack_text(&p, l->model);
    pack_text(&p, l->segment);
    pack_uint(&p, l->stream);
    pack_uint(&p, l->sequence);
    pack_array(&p, texts->count);
    for (uint32_t i = 0; i < texts->count; i++)
        pack_bin(&p, dict_key(texts, i));
    pack_column(&p, l, texts, COLUMN_ITEM);
    pack_column(&p, l, texts, COLUMN_NAME);
    pack_array(&p, l->count);
    for (uint32_t i = 0; i < l->count; i++)
        pack_real(&p, (double)l->items[i].score);
    pack_array(&p, l->count);
    for (uint32_t i = 0; i < l->count; i++)
        pack_uint(&p, l->items[i].reason);
    pack_column(&p, l, texts, COLUMN_BECAUSE);
    pack_column(&p, l, texts, COLUMN_BECAUSE_NAME);
    pack_array(&p, l->history_count);
    for (uint32_t i = 0; i < l->history_count; i++)
        pack_reference(&p, texts, l->history[i]);
    return p.err;
}

static bool reason_known(uint64_t reason)
{
    return reason >= REASON_POPULAR && reason < REASON_COUNT;
}

/* What a reader would refuse is not written. */
static bool list_valid(const struct list *l)
{
    if (l->count > LIST_ITEMS_MAX || l->history_count > LIST_ITEMS_MAX ||
        l->model.size > LABEL_MAX || l->segment.size > LABEL_MAX)
        return false;
    for (uint32_t i = 0; i < l->count; i++)
        if (!isfinite(l->items[i].score) || !reason_known(l->items[i].reason))
            return false;
    return true;
}

enum sotto_err list_encode(struct buf *out, const struct list *l)
{
    size_t mark = out->size;
    struct dict texts;
    enum sotto_err err;

    if (!list_valid(l))
        return SOTTO_EINVAL;
    dict_init(&texts, LIST_TEXTS_MAX, DOCUMENT_BODY_MAX, 0);
    err = texts_collect(&texts, l);
    if (!err)
        err = list_pack(out, l, &texts);
    if (!err && out->size - mark > DOCUMENT_BODY_MAX)
        err = SOTTO_ETOOBIG;
    if (err)
        out->size = mark;
    dict_fini(&texts);
    return err;
}

/* The texts array of a list being read. */
struct texts {
    const msgpack_object *items;
    uint32_t count;
};

static enum sotto_err get_reference(const msgpack_object *o,
                                    const struct texts *texts,
                                    struct span *text)
{
    uint64_t reference;
    enum sotto_err err = get_uint(o, texts->count, &reference);

    if (err)
        return err;
    if (!reference) {
        *text = span_of(NULL, 0);
        return SOTTO_OK;
    }
    return get_bin(&texts->items[reference - 1], DOCUMENT_BODY_MAX, text);
}

/* An array of exactly l->count entries. */
static enum sotto_err get_column(const msgpack_object *o, const struct list *l,
                                 const msgpack_object **entries)
{
    uint32_t count;

    return get_array(o, l->count, l->count, entries, &count);
}

static enum sotto_err column_decode(struct list *l, const msgpack_object *o,
                                    const struct texts *texts,
                                    enum list_column column)
{
    const msgpack_object *entries;
    enum sotto_err err = get_column(o, l, &entries);

    for (uint32_t i = 0; !err && i < l->count; i++) {
        struct span text;

        err = get_reference(&entries[i], texts, &text);
        if (!err)
            column_set(&l->items[i], column, text);
    }
    return err;
}

static enum sotto_err score_decode(struct list *l, const msgpack_object *o)
{
    const msgpack_object *entries;
    enum sotto_err err = get_column(o, l, &entries);

    for (uint32_t i = 0; !err && i < l->count; i++) {
        double score;

        err = get_real(&entries[i], &score);
        if (!err && !(fabs(score) <= FLT_MAX)) /* NaN too */
            err = SOTTO_EDECODE;
        if (!err)
            l->items[i].score = (float)score;
    }
    return err;
}

static enum sotto_err reason_decode(struct list *l, const msgpack_object *o)
{
    const msgpack_object *entries;
    enum sotto_err err = get_column(o, l, &entries);

    for (uint32_t i = 0; !err && i < l->count; i++) {
        uint64_t reason;

        err = get_uint(&entries[i], REASON_COUNT - 1, &reason);
        if (!err && !reason_known(reason))
            err = SOTTO_EDECODE;
        if (!err)
            l->items[i].reason = (uint32_t)reason;
    }
    return err;
}

static enum sotto_err history_decode(struct list *l, const msgpack_object *o,
                                     const struct texts *texts)
{
    const msgpack_object *entries;
    enum sotto_err err =
        get_array(o, 0, LIST_ITEMS_MAX, &entries, &l->history_count);

    for (uint32_t i = 0; !err && i < l->history_count; i++)
        err = get_reference(&entries[i], texts, &l->history[i]);
    return err;
}

static enum sotto_err list_read(struct list *l, const msgpack_object *root)
{
    const msgpack_object *o, *unused;
    struct texts texts;
    uint32_t count;

    if (get_array(root, LIST_FIELDS, FIELDS_MAX, &o, &count) ||
        get_text(&o[0], LABEL_MAX, &l->model) ||
        get_text(&o[1], LABEL_MAX, &l->segment) ||
        get_uint(&o[2], UINT64_MAX, &l->stream) ||
        get_uint(&o[3], UINT64_MAX, &l->sequence) ||
        get_array(&o[4], 0, LIST_TEXTS_MAX, &texts.items, &texts.count) ||
        get_array(&o[5], 0, LIST_ITEMS_MAX, &unused, &l->count))
        return SOTTO_EDECODE;
    if (column_decode(l, &o[5], &texts, COLUMN_ITEM) ||
        column_decode(l, &o[6], &texts, COLUMN_NAME) ||
        score_decode(l, &o[7]) || reason_decode(l, &o[8]) ||
        column_decode(l, &o[9], &texts, COLUMN_BECAUSE) ||
        column_decode(l, &o[10], &texts, COLUMN_BECAUSE_NAME) ||
        history_decode(l, &o[11], &texts))
        return SOTTO_EDECODE;
    return SOTTO_OK;
}

enum sotto_err list_decode(struct list *l, struct span bytes)
{
    static const struct check_limits limits = {DOCUMENT_BODY_MAX, 8, 4096};
    struct unpacked u;
    enum sotto_err err;

    memset(l, 0, sizeof *l);
    err = unpack_open(&u, bytes, &limits);
    if (err)
        return err;
    err = list_read(l, &u.root);
    unpack_close(&u);
    if (err)
        memset(l, 0, sizeof *l);
    return err;
}

static bool rows_head_valid(const struct rows_shard *head)
{
    return head->shards > 0 && head->model.size <= LABEL_MAX &&
           head->first <= head->items_total &&
           head->count <= head->items_total - head->first;
}

enum sotto_err rows_begin(struct buf *out, const struct rows_shard *head)
{
    size_t mark = out->size;
    struct packer p;

    if (!rows_head_valid(head))
        return SOTTO_EINVAL;
    pack_init(&p, out);
    pack_array(&p, ROWS_FIELDS);
    pack_text(&p, head->model);
    pack_uint(&p, head->shards);
    pack_uint(&p, head->items_total);
    pack_uint(&p, head->first);
    pack_array(&p, head->count);
    if (p.err)
        out->size = mark;
    return p.err;
}

static bool row_valid(const struct rows_row *row)
{
    return row->count <= ROW_WEIGHTS_MAX &&
           row->columns.size == 4 * (size_t)row->count &&
           row->weights.size == row->count && isfinite(row->scale);
}

enum sotto_err rows_add(struct buf *out, const struct rows_row *row)
{
    size_t mark = out->size;
    struct packer p;

    if (!row_valid(row))
        return SOTTO_EINVAL;
    pack_init(&p, out);
    pack_array(&p, ROW_FIELDS);
    pack_bin(&p, row->item);
    pack_bin(&p, row->name);
    pack_real(&p, (double)row->scale);
    pack_bin(&p, row->columns);
    pack_bin(&p, row->weights);
    if (p.err)
        out->size = mark;
    return p.err;
}

static enum sotto_err row_read(struct rows_row *row, const msgpack_object *o,
                               uint32_t items_total)
{
    const msgpack_object *fields;
    double scale;
    uint32_t count;

    if (get_array(o, ROW_FIELDS, FIELDS_MAX, &fields, &count) ||
        get_bin(&fields[0], DOCUMENT_BODY_MAX, &row->item) ||
        get_bin(&fields[1], DOCUMENT_BODY_MAX, &row->name) ||
        get_real(&fields[2], &scale) || !(fabs(scale) <= FLT_MAX) ||
        get_bin(&fields[3], 4 * (size_t)ROW_WEIGHTS_MAX, &row->columns) ||
        get_bin(&fields[4], ROW_WEIGHTS_MAX, &row->weights))
        return SOTTO_EDECODE;
    row->scale = (float)scale;
    row->count = (uint32_t)row->weights.size;
    if (!row_valid(row))
        return SOTTO_EDECODE;
    for (size_t i = 0; i < row->columns.size; i += 4) {
        const uint8_t *c = row->columns.data + i;
        uint32_t column = (uint32_t)c[0] | (uint32_t)c[1] << 8 |
                          (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;

        if (column >= items_total)
            return SOTTO_EDECODE;
    }
    return SOTTO_OK;
}

static enum sotto_err rows_head_read(struct rows_shard *head,
                                     const msgpack_object *root,
                                     const msgpack_object **rows)
{
    const msgpack_object *o;
    uint64_t shards, items_total, first;
    uint32_t count;

    if (get_array(root, ROWS_FIELDS, FIELDS_MAX, &o, &count) ||
        get_text(&o[0], LABEL_MAX, &head->model) ||
        get_uint(&o[1], UINT32_MAX, &shards) ||
        get_uint(&o[2], UINT32_MAX, &items_total) ||
        get_uint(&o[3], UINT32_MAX, &first) ||
        get_array(&o[4], 0, DOCUMENT_BODY_MAX, rows, &head->count))
        return SOTTO_EDECODE;
    head->shards = (uint32_t)shards;
    head->items_total = (uint32_t)items_total;
    head->first = (uint32_t)first;
    return rows_head_valid(head) ? SOTTO_OK : SOTTO_EDECODE;
}

enum sotto_err
rows_decode(struct rows_shard *head, struct span bytes,
            enum sotto_err (*each)(void *context, const struct rows_shard *head,
                                   uint32_t number, const struct rows_row *row),
            void *context)
{
    /* A row of six values takes at least twelve bytes. */
    static const struct check_limits limits = {DOCUMENT_BODY_MAX, 8,
                                               DOCUMENT_BODY_MAX / 2};
    const msgpack_object *rows;
    struct unpacked u;
    enum sotto_err err;

    memset(head, 0, sizeof *head);
    err = unpack_open(&u, bytes, &limits);
    if (err)
        return err;
    err = rows_head_read(head, &u.root, &rows);
    for (uint32_t i = 0; !err && i < head->count; i++) {
        struct rows_row row;

        err = row_read(&row, &rows[i], head->items_total);
        if (!err)
            err = each(context, head, head->first + i, &row);
    }
    unpack_close(&u);
    return err;
}

enum sotto_err documents_begin(struct buf *out,
                               const struct documents_head *head)
{
    size_t mark = out->size;
    struct buf packed;
    struct packer p;
    enum sotto_err err;

    buf_init(&packed, HEAD_MAX);
    err = message_encode(&packed, MESSAGE_DOCUMENTS_HEAD, head);
    if (!err) {
        pack_init(&p, out);
        pack_bin(&p, span_of(packed.data, packed.size));
        err = p.err;
    }
    if (err)
        out->size = mark;
    buf_fini(&packed);
    return err;
}

static bool document_kind_known(uint64_t kind)
{
    return kind >= DOCUMENT_POLICY && kind < DOCUMENT_KIND_COUNT;
}

enum sotto_err documents_add(struct buf *out, const struct document *d)
{
    size_t mark = out->size;
    struct packer p;

    if (!document_kind_known(d->kind))
        return SOTTO_EINVAL;
    if (d->key.size > LABEL_MAX || d->body.size > DOCUMENT_BODY_MAX)
        return SOTTO_ETOOBIG;
    pack_init(&p, out);
    pack_array(&p, DOCUMENT_FIELDS);
    pack_uint(&p, d->number);
    pack_uint(&p, d->kind);
    pack_bin(&p, d->key);
    pack_int(&p, d->expires_ms);
    pack_int(&p, d->made_ms);
    pack_bin(&p, d->body);
    if (p.err)
        out->size = mark;
    return p.err;
}

static enum sotto_err document_read(struct document *d,
                                    const msgpack_object *root)
{
    const msgpack_object *o;
    uint64_t kind;
    uint32_t count;

    if (get_array(root, DOCUMENT_FIELDS, FIELDS_MAX, &o, &count) ||
        get_uint(&o[0], UINT64_MAX, &d->number) ||
        get_uint(&o[1], UINT32_MAX, &kind) || !document_kind_known(kind) ||
        get_bin(&o[2], LABEL_MAX, &d->key) || get_int(&o[3], &d->expires_ms) ||
        get_int(&o[4], &d->made_ms) ||
        get_bin(&o[5], DOCUMENT_BODY_MAX, &d->body))
        return SOTTO_EDECODE;
    d->kind = (uint32_t)kind;
    return SOTTO_OK;
}

/* Takes the first value off bytes and unpacks it. */
static enum sotto_err value_take(struct unpacked *u, struct span *bytes)
{
    static const struct check_limits limits = {DOCUMENT_BODY_MAX + OVERHEAD, 8,
                                               1024};
    struct span first = *bytes;
    enum sotto_err err = check_first(*bytes, &limits, &first.size);

    if (err)
        return err;
    bytes->data += first.size;
    bytes->size -= first.size;
    return unpack_open(u, first, &limits);
}

static enum sotto_err head_take(struct documents_head *head, struct span *bytes)
{
    struct span packed;
    struct unpacked u;
    enum sotto_err err = value_take(&u, bytes);

    if (err)
        return err;
    err = get_bin(&u.root, HEAD_MAX, &packed);
    if (!err)
        err = message_decode(head, MESSAGE_DOCUMENTS_HEAD, packed);
    unpack_close(&u);
    return err;
}

static enum sotto_err document_take(struct document *d, struct span *bytes,
                                    uint64_t *before)
{
    struct unpacked u;
    enum sotto_err err = value_take(&u, bytes);

    if (err)
        return err;
    err = document_read(d, &u.root);
    if (!err && d->number <= *before)
        err = SOTTO_EDECODE;
    *before = d->number;
    unpack_close(&u); /* d borrows from bytes only */
    return err;
}

enum sotto_err documents_decode(struct documents_head *head, struct span bytes,
                                enum sotto_err (*each)(void *context,
                                                       const struct document *),
                                void *context)
{
    uint64_t before = 0;
    enum sotto_err err;

    memset(head, 0, sizeof *head);
    if (bytes.size > PAYLOAD_MAX)
        return SOTTO_ETOOBIG;
    err = head_take(head, &bytes);
    for (uint64_t i = 0; !err && i < head->count; i++) {
        struct document d = {0};

        err = document_take(&d, &bytes, &before);
        if (!err)
            err = each(context, &d);
    }
    if (!err && bytes.size)
        err = SOTTO_EDECODE;
    return err;
}
