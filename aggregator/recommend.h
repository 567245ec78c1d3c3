/* From a model and a subject's interactions to a ranked list with reasons. */
#ifndef SOTTO_AGGREGATOR_RECOMMEND_H
#define SOTTO_AGGREGATOR_RECOMMEND_H

#include "aggregator/registry.h"
#include "aggregator/segment.h"
#include "aggregator/views/interactions.h"
#include "wire/document.h"

#define LIST_LENGTH 20 /* items of a published list */

/* Popular items of each segment under one model. */
struct segment_lists {
    uint32_t count;
    struct {
        const char *name;
        uint32_t size;
        uint32_t items[LIST_LENGTH]; /* model numbers, best first */
        float scores[LIST_LENGTH];
    } of[SEGMENTS_MAX];
};

struct recommender_state; /* scratch for one thread */
struct recommender_state *recommend_open(const struct live_model *m);
void recommend_close(struct recommender_state *s);

/* Fills the segment lists by what people of each segment bought. Caller holds
 * the views' lock. SOTTO_ENOMEM. */
enum sotto_err recommend_segments(struct segment_lists *out,
                                  const struct live_model *m,
                                  const struct segments *segments,
                                  const struct profiles *profiles,
                                  const struct interactions *x);

/* The list of a subject (16 bytes; NULL: of everybody), of at most count
 * items. Caller holds the views' lock; spans borrow from model and views, and
 * the history from s. A subject whose history says nothing gets its segment's
 * popular items, then the shop's. */
void recommend_subject(struct recommender_state *s, struct list *out,
                       const struct segments *segments,
                       const struct segment_lists *by_segment,
                       const struct profiles *profiles,
                       const struct interactions *x, const uint8_t *subject,
                       uint32_t count);
/* The list of a segment. */
void recommend_segment(struct recommender_state *s, struct list *out,
                       const struct segment_lists *by_segment, uint32_t index);

#endif
