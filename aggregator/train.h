/* Training: from the views to a candidate model, its quality on a time split,
 * and the gate that makes it live or not. Runs on a worker thread. */
#ifndef SOTTO_AGGREGATOR_TRAIN_H
#define SOTTO_AGGREGATOR_TRAIN_H

#include "aggregator/model/effort.h"
#include "aggregator/model/matrix.h"
#include "aggregator/recommend.h"

/* What training reads, copied out of the views under their lock. */
struct train_input {
    struct live_model *model; /* with its items and names; to be filled */
    struct matrix x;          /* subjects x items bought, with days */
    int32_t first_day, last_day;
    uint64_t applied; /* chunk up to which the views had folded */
};
/* SOTTO_ENOTFOUND: nobody has bought anything yet. */
enum sotto_err train_collect(struct train_input *in,
                             const struct interactions *x);
void train_input_fini(struct train_input *in);

/* Fits the local ridge, measures it and popularity on the newest part of the
 * window (people with a history before it), and refits on everything. The
 * ridge is kept if it is not worse than popularity on that split; else the
 * model is popularity. meta: a new JSON object of what was done and measured.
 * SOTTO_ECLOSED when effort was cancelled. */
enum sotto_err train_fit(struct train_input *in, struct effort *effort,
                         json_t **meta);

#endif
