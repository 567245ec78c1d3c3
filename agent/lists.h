/* What the agent answers with: ranked lists and item rows from the aggregator,
 * kept in DIR/lists.db, and what the people at this device did since.
 *
 * Answering takes microseconds and needs no network: the list of the subject
 * if there is one, else the popular list; items that happened on this device
 * after the list was made are folded in through the item rows, and items the
 * person has are left out. Applying documents is for the loop thread; answering
 * is for any thread (one at a time inside, by a lock that is held for a look,
 * never for a disk flush). */
#ifndef SOTTO_AGENT_LISTS_H
#define SOTTO_AGENT_LISTS_H

#include "wire/document.h"

struct lists;

enum sotto_err lists_open(struct lists **out, const char *path,
                          struct why *why);
void lists_close(struct lists *l); /* accepts NULL */

/* The highest document number applied; durable, and what those up to it made
 * forgotten is in no file any more. */
uint64_t lists_applied(const struct lists *l);
/* One transaction applies documents between begin and end, which stores the
 * number too. LIST, SEGMENT, POPULAR, ROWS, FORGET; others are ignored. A
 * document older (by number) than applied is skipped. Answers change when end
 * returns, all at once; new item rows when the last shard of a model is there.
 *
 * lists_apply SOTTO_EDECODE, SOTTO_ETOOBIG: the document is not what its kind
 * says; nothing of it was kept, and the transaction may go on. After another
 * error the caller rolls back; a failed lists_end has rolled back, or has
 * committed, which lists_applied tells. */
enum sotto_err lists_begin(struct lists *l);
enum sotto_err lists_apply(struct lists *l, const struct document *d);
enum sotto_err lists_end(struct lists *l, uint64_t applied);
void lists_rollback(struct lists *l);

/* An event with an item left for the aggregator in (stream, sequence): folded
 * in until a list that includes it arrives. subject NULL: nobody. bought: not
 * to be shown again. Loop thread. */
void lists_seen(struct lists *l, const uint8_t subject[16], struct span item,
                bool bought, uint64_t stream, uint64_t sequence);
/* Nothing of the subject is kept; durable. */
enum sotto_err lists_forget(struct lists *l, const uint8_t subject[16]);

#define ANSWER_TEXT_MAX 64
struct answer_item { /* copies: owned by the caller */
    char item[ANSWER_TEXT_MAX + 1];
    char name[ANSWER_TEXT_MAX + 1];
    float score;
    uint32_t reason; /* enum list_reason */
    char because[ANSWER_TEXT_MAX + 1];
    char because_name[ANSWER_TEXT_MAX + 1];
};
struct answer {
    char model[ANSWER_TEXT_MAX + 1];
    char segment[ANSWER_TEXT_MAX + 1]; /* of the subject, if known */
    bool personal; /* from the subject's own list or history */
    uint32_t count;
    struct answer_item items[LIST_ITEMS_MAX];
};

/* Up to count items for subject (NULL: a stranger): from its list, else from
 * the list of the segment that its expired list names, else from the popular
 * one. now_ms: for expiry. Items filled in behind what was folded for somebody
 * without a list have score 0. The same input gives the same answer.
 * SOTTO_ENOTFOUND when there is no list of any kind yet. */
enum sotto_err lists_answer(struct lists *l, const uint8_t *subject,
                            uint32_t count, int64_t now_ms, struct answer *out);

/* "because Trail Runner 12 was bought or viewed", "popular in the shop", … */
void answer_reason(const struct answer_item *item, const struct answer *a,
                   char *out, size_t size);

struct lists_stats {
    uint64_t applied, personal, segments, rows;
    char model[ANSWER_TEXT_MAX + 1];
};
void lists_stats(struct lists *l, struct lists_stats *out);

#endif
