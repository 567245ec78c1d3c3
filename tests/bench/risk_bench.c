/* What risk costs on a store of many people: their views are made of random
 * deeds, then measured as the verb does it.
 *
 * usage: sotto-risk-bench PEOPLE; prints how many seconds the views are
 * locked, and all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../support/shop.h"
#include "aggregator/risk_live.h"
#include "aggregator/risk_report.h"

#define DEEDS 4 /* of a person */
#define BATCH 2000
#define POINTS 4

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(void *profiles, void *interactions, uint32_t people)
{
    struct policy *policy = shop_policy();
    static struct deed deeds[BATCH];
    uint64_t random = 42;

    for (uint32_t at = 0; at < people * DEEDS; at += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            deeds[i] = shop_random(&random);
            deeds[i].subject = 1 + (at + i) / DEEDS;
            deeds[i].item = 1 + (unsigned)((random >> 20) % 5000);
            deeds[i].minute = (unsigned)((random >> 33) % (365 * 1440));
        }
        if (shop_fold(&profile_view, profiles, policy, at % 5, at + 1, deeds,
                      BATCH) ||
            shop_fold(&interactions_view, interactions, policy, at % 5, at + 1,
                      deeds, BATCH))
            abort();
    }
    policy_free(policy);
}

static void measure(const struct profiles *profiles,
                    const struct interactions *interactions)
{
    const struct risk_choice choice = {NULL, "recency"};
    struct risk_unicity u[POINTS] = {
        {.points = 1}, {.points = 2}, {.points = 3}, {.points = 4}};
    struct segments segments = {.version = 1};
    struct risk_people people;
    struct risk_trail trail;
    struct risk_traces traces;
    struct risk_data d;
    json_t *report = NULL;
    struct why why;
    double began = now(), copied;

    risk_data_init(&d);
    if (risk_people_copy(&people, profiles, &segments) ||
        risk_trail_copy(&trail, interactions))
        abort();
    copied = now();
    if (risk_people_table(&d, &people) ||
        risk_report(&report, &d, &choice, 5, "the bench", &why) ||
        risk_trail_traces(&traces, &trail) ||
        risk_unicity(u, POINTS, &traces, 2000, 1, NULL))
        abort();
    printf("locked %.3f\nall %.3f\n", copied - began, now() - began);
    json_decref(report);
    risk_people_fini(&people);
    risk_trail_fini(&trail);
    risk_data_fini(&d);
}

int main(int argc, char **argv)
{
    uint32_t people = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    void *profiles, *interactions;

    if (people < 1 || people > 10000000) {
        fprintf(stderr, "usage: sotto-risk-bench PEOPLE\n");
        return 2;
    }
    if (sodium_init() < 0 || profile_view.open(&profiles) ||
        interactions_view.open(&interactions))
        return 1;
    fill(profiles, interactions, people);
    measure(profiles, interactions);
    profile_view.close(profiles);
    interactions_view.close(interactions);
    return 0;
}
