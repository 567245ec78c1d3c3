/* What the aggregator publishes to an agent: one numbered stream per agent.
 *
 * A documents payload is, one after the other: the documents_head as a bin,
 * then each document as a msgpack array
 *   [number, kind, key, expires_ms, made_ms, body]
 * A document replaces the earlier one of the same kind and key; an empty body
 * is a tombstone. */
#ifndef SOTTO_WIRE_DOCUMENT_H
#define SOTTO_WIRE_DOCUMENT_H

#include "wire/message.h"

enum document_kind {
    DOCUMENT_POLICY = 1, /* key: policy hash; body: signed policy */
    DOCUMENT_LIST,       /* key: pseudonym (16); body: struct list */
    DOCUMENT_SEGMENT,    /* key: segment name; body: struct list */
    DOCUMENT_POPULAR,    /* key: empty; body: struct list */
    DOCUMENT_ROWS,       /* key: shard number, 4 bytes LE; body: item rows */
    DOCUMENT_FORGET,     /* key: pseudonym; body: empty */
    DOCUMENT_KIND_COUNT
};
const char *document_kind_name(uint32_t kind);

struct document {
    uint64_t number;
    uint32_t kind;
    struct span key;
    int64_t expires_ms; /* WHEN_NONE: never */
    int64_t made_ms;
    struct span body;
};

#define DOCUMENT_BODY_MAX (256 * 1024)

/* Why an item stands in a list. */
enum list_reason {
    REASON_POPULAR = 1, /* popular in the shop */
    REASON_SEGMENT,     /* popular among a segment's people */
    REASON_BECAUSE,     /* goes with `because`, an item of the history */
    REASON_COUNT
};

#define LIST_ITEMS_MAX 200
struct list_item {
    struct span item;
    struct span name;    /* label for people; may be empty */
    float score;         /* comparable within one list */
    uint32_t reason;     /* enum list_reason */
    struct span because; /* item of the history, for REASON_BECAUSE */
    struct span because_name;
};

/* A ranked list. The history of a subject list is what the list was made
 * from, so that the agent knows what is news: items with events of its own
 * above (stream, sequence) are folded in on the device. */
struct list {
    struct span model;   /* version, for exposure */
    struct span segment; /* segment of the subject, or of the list */
    uint64_t stream, sequence;
    uint32_t count;
    struct list_item items[LIST_ITEMS_MAX];
    uint32_t history_count; /* items not to show again */
    struct span history[LIST_ITEMS_MAX];
};

/* Appends a msgpack form; decode borrows from bytes. Dictionaries inside keep
 * each name once. SOTTO_EINVAL for what a reader would refuse (a score that is
 * not finite, an unknown reason), SOTTO_ETOOBIG over DOCUMENT_BODY_MAX. */
enum sotto_err list_encode(struct buf *out, const struct list *l);
enum sotto_err list_decode(struct list *l, struct span bytes);

/* Item rows of a model, in shards: row i says what a history that holds i adds
 * to the score of j, as int8 weights with one scale a row.
 *   [model, shards, items_total, first, rows] with
 *   row = [item, name, scale, bin of columns (u32 LE), bin of weights (int8)]
 * Columns number items over all shards in order. */
struct rows_shard {
    struct span model;
    uint32_t shards;      /* how many make the model */
    uint32_t items_total; /* over all shards */
    uint32_t first;       /* item number of this shard's first row */
    uint32_t count;
};
#define ROW_WEIGHTS_MAX 512
struct rows_row {
    struct span item, name;
    float scale;
    uint32_t count;
    struct span columns; /* count * 4 bytes, LE */
    struct span weights; /* count int8 */
};

/* Writer: head, then exactly head.count rows; the caller's limit of out is at
 * most DOCUMENT_BODY_MAX. SOTTO_EINVAL for what a reader would refuse. */
enum sotto_err rows_begin(struct buf *out, const struct rows_shard *head);
enum sotto_err rows_add(struct buf *out, const struct rows_row *row);
/* Reader: calls each for every row; stops at its first error. Columns are
 * checked against items_total before each is called. */
enum sotto_err
rows_decode(struct rows_shard *head, struct span bytes,
            enum sotto_err (*each)(void *context, const struct rows_shard *head,
                                   uint32_t number, const struct rows_row *row),
            void *context);

enum sotto_err documents_begin(struct buf *out,
                               const struct documents_head *head);
enum sotto_err documents_add(struct buf *out, const struct document *d);
/* Calls each in order, stops at its first error; numbers must rise. What was
 * called before an error was found in a later document stays called. */
enum sotto_err documents_decode(struct documents_head *head, struct span bytes,
                                enum sotto_err (*each)(void *context,
                                                       const struct document *),
                                void *context);

#endif
