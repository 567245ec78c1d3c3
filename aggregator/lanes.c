/* See lanes.h. */
#include "aggregator/lanes.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

struct lane_key {
    uint64_t agent, stream;
};

void lanes_init(struct lanes *l)
{
    memset(l, 0, sizeof *l);
    dict_init(&l->of, LANES_MAX, (size_t)LANES_MAX * sizeof(struct lane_key),
              randombytes_random());
}

void lanes_fini(struct lanes *l)
{
    dict_fini(&l->of);
    free(l->at);
    l->at = NULL;
}

/* Room for one more, before the dictionary grows. */
static bool reserve(struct lanes *l)
{
    uint32_t capacity = l->capacity ? l->capacity * 2 : 64;
    struct lane *at;

    if (l->of.count < l->capacity)
        return true;
    at = realloc(l->at, capacity * sizeof *at);
    if (!at)
        return false;
    l->at = at;
    l->capacity = capacity;
    return true;
}

struct lane *lanes_get(struct lanes *l, uint32_t agent, uint64_t stream,
                       uint32_t *number)
{
    const struct lane_key key = {agent, stream};
    uint32_t before = l->of.count;

    if (!reserve(l) || dict_intern(&l->of, span_of(&key, sizeof key), number))
        return NULL;
    if (*number == before) {
        memset(&l->at[*number], 0, sizeof *l->at);
        l->at[*number].mark.stream = stream;
    }
    return &l->at[*number];
}

uint64_t lanes_committed(const struct lanes *l, uint32_t agent, uint64_t stream)
{
    const struct lane_key key = {agent, stream};
    uint32_t number = dict_find(&l->of, span_of(&key, sizeof key));

    return number == DICT_NONE ? 0 : l->at[number].mark.committed;
}

static enum sotto_err load_one(void *context, const struct log_stream *s)
{
    uint32_t number;
    struct lane *lane = lanes_get(context, s->agent, s->stream, &number);

    if (!lane)
        return SOTTO_EFULL;
    lane->mark.upto = lane->mark.committed = s->watermark;
    memcpy(lane->mark.chain, s->chain, HASH_SIZE);
    memcpy(lane->committed_chain, s->chain, HASH_SIZE);
    return SOTTO_OK;
}

enum sotto_err lanes_load(struct lanes *l, struct store *store)
{
    return log_stream_each(store, load_one, l);
}
