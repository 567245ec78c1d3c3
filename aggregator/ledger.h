/* The privacy budget of released counts, and what was spent of it.
 *
 * Accounting is in zero-concentrated differential privacy: M. Bun, T. Steinke,
 * "Concentrated differential privacy: simplifications, extensions, and lower
 * bounds", 2016. The rho of releases add up, and so do the deltas of those that
 * fail to be private with a small chance (their lemma 8.2).
 *
 * A charge is committed (synchronous=FULL) before any noise is drawn, and the
 * answer is stored before anybody sees it. So a crash never makes a release
 * free: after it the same request finds its charge, and its answer if there is
 * one. A request is charged once, whatever happens.
 *
 * Rows are in the table release of the store; functions are called on the
 * thread of s. */
#ifndef SOTTO_AGGREGATOR_LEDGER_H
#define SOTTO_AGGREGATOR_LEDGER_H

#include "aggregator/store.h"

#define LEDGER_REQUEST_MAX 64
#define LEDGER_RHO_MAX INT64_C(1000000000) /* 1000, in millionths */
#define LEDGER_ANSWER_MAX ((size_t)16 << 20)

/* delta is in units of 1e-18. */
struct ledger_budget {
    int64_t rho;   /* millionths */
    int64_t delta; /* half is for turning rho into epsilon, half for charges */
};

struct ledger_charge {
    const char *request;  /* 1 to LEDGER_REQUEST_MAX letters, digits, ._- */
    const char *question; /* all that decides the answer, as a text */
    int64_t rho;          /* millionths, above 0 */
    int64_t delta;        /* units of 1e-18, 0 or more */
    int64_t charged_ms;
    bool answered; /* read only */
};

/* Charges durably. *again: the request was charged before, for the same
 * question; nothing is charged now. SOTTO_EREFUSED: it is beyond the budget;
 * SOTTO_EEXIST: the request was for another question; SOTTO_EINVAL: not a
 * request's name, or a rho out of range; why says it. Any other error: nothing
 * may be released. */
enum sotto_err ledger_charge(struct store *s, const struct ledger_budget *b,
                             const struct ledger_charge *c, bool *again,
                             struct why *why);
/* Stores the answer (sealed) of a charged request; if there is one already, it
 * stays: show what ledger_answer gives, never what was passed in.
 * SOTTO_ENOTFOUND: no such charge. */
enum sotto_err ledger_keep(struct store *s, const char *request,
                           struct span answer);
/* SOTTO_ENOTFOUND: not charged, or not answered; SOTTO_ECRYPTO: changed on
 * disk. out is cleared first. */
enum sotto_err ledger_answer(struct store *s, const char *request,
                             struct buf *out);

/* Sums of all charges. */
enum sotto_err ledger_spent(struct store *s, int64_t *rho, int64_t *delta);
/* By time; the texts are valid until each returns. */
enum sotto_err ledger_each(struct store *s,
                           void (*each)(void *context,
                                        const struct ledger_charge *charge),
                           void *context);

/* The epsilon that rho-zCDP gives at delta (0 < delta < 1).
 *
 * simple: rho + 2 sqrt(rho ln(1/delta)), Bun and Steinke, proposition 1.3.
 * Otherwise the smaller one of Canonne, Kamath and Steinke, "The discrete
 * Gaussian for differential privacy", 2020, corollary 13: the least over
 * alpha > 1 of
 *   alpha rho + ln(1 - 1/alpha) + (ln(1/delta) - ln alpha) / (alpha - 1);
 * every alpha gives a valid bound, so a search that misses the least errs on
 * the safe side. */
double ledger_epsilon(double rho, double delta);
double ledger_epsilon_simple(double rho, double delta);

#endif
