/* See verbs_risk.h. The views are copied under their lock; what is long is done
 * on the copies. */
#include "aggregator/verbs_risk.h"

#include "aggregator/aggregator.h"
#include "aggregator/risk_live.h"
#include "aggregator/risk_report.h"

#define SAMPLE_DEFAULT 2000
#define POINTS_DEFAULT 4

static bool go_on(void *context, uint64_t done, uint64_t total)
{
    struct control_call *call = context;

    control_progress(call, "risk", done, total);
    return !control_cancelled(call);
}

/* The segments as people have them now; before the first fit there are none. */
static enum sotto_err copy_views(struct aggregator *a,
                                 struct risk_people *people,
                                 struct risk_trail *trail, struct why *why)
{
    struct segments s = {0};
    struct store *store = NULL;
    enum sotto_err fitted,
        err = store_open(&store, a->dir, a->settings.store_key, why);

    if (err)
        return err;
    fitted = segments_load(&s, store);
    store_close(store);
    if (fitted && fitted != SOTTO_ENOTFOUND)
        return fitted;
    views_lock(a->views);
    err =
        risk_people_copy(people, views_profiles(a->views), fitted ? NULL : &s);
    if (!err)
        err = risk_trail_copy(trail, views_interactions(a->views));
    views_unlock(a->views);
    return err;
}

static enum sotto_err add_unicity(json_t *report, struct risk_trail *trail,
                                  struct control_call *call)
{
    const struct risk_watch watch = {go_on, call};
    struct risk_unicity u[RISK_POINTS_MAX] = {{0}};
    json_int_t points = control_int(call, "points", POINTS_DEFAULT);
    json_int_t sample = control_int(call, "sample", SAMPLE_DEFAULT);
    struct risk_traces t;
    enum sotto_err err;

    if (points < 0 || points > RISK_POINTS_MAX || sample < 1 ||
        sample > RISK_ROWS_MAX)
        return SOTTO_EINVAL;
    for (uint32_t i = 0; i < points; i++)
        u[i].points = i + 1;
    err = risk_trail_traces(&t, trail);
    if (!err)
        err = risk_unicity(u, (uint32_t)points, &t, (uint32_t)sample,
                           (uint64_t)control_int(call, "seed", 1), &watch);
    if (!err)
        json_object_set_new(report, "unicity",
                            risk_report_unicity(u, (uint32_t)points));
    return err;
}

static enum sotto_err measure(struct aggregator *a, struct control_call *call,
                              json_t **report, struct why *why)
{
    const struct risk_choice choice = {control_text(call, "qi"),
                                       control_text(call, "sensitive")};
    json_int_t k = control_int(call, "k", 5);
    struct risk_people people = {0};
    struct risk_trail trail = {0};
    struct risk_data d;
    enum sotto_err err;

    if (k < 1 || k > RISK_ROWS_MAX)
        return why_say(why, SOTTO_EINVAL, "k is at least 1");
    risk_data_init(&d);
    err = copy_views(a, &people, &trail, why);
    if (!err)
        err = risk_people_table(&d, &people);
    risk_people_fini(&people);
    if (!err)
        err = risk_report(report, &d, &choice, (uint32_t)k, "the store", why);
    risk_data_fini(&d);
    if (!err)
        err = add_unicity(*report, &trail, call);
    risk_trail_fini(&trail);
    return err;
}

void verb_risk(void *owner, struct control_call *call)
{
    struct why why = {""};
    json_t *report = NULL;
    enum sotto_err err = measure(owner, call, &report, &why);

    if (err) {
        json_decref(report);
        control_end(call, err_exit(err), NULL,
                    *why.text ? why.text : err_text(err));
        return;
    }
    control_end(call, EXIT_GOOD, report, NULL);
}
