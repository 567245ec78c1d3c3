/* See ledger.h. The table is made at its first use: a store in which nothing
 * was ever released has none. */
#include "aggregator/ledger.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/when.h"

#define LABEL_SIZE (LEDGER_REQUEST_MAX + 16)
#define ANSWER_SEALED_MAX (LEDGER_ANSWER_MAX + 64)

static const char table[] =
    "CREATE TABLE IF NOT EXISTS release(request TEXT PRIMARY KEY,"
    " question TEXT NOT NULL, rho INTEGER NOT NULL CHECK(rho > 0),"
    " delta INTEGER NOT NULL CHECK(delta >= 0), charged_ms INTEGER NOT NULL,"
    " answer BLOB) WITHOUT ROWID";

static bool request_good(const char *request)
{
    size_t size = strlen(request);

    return size >= 1 && size <= LEDGER_REQUEST_MAX &&
           strspn(request, "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == size;
}

static void bind_text(sqlite3_stmt *q, int index, const char *text)
{
    sqlite3_bind_text(q, index, text, -1, SQLITE_STATIC);
}

static enum sotto_err make_table(struct store *s)
{
    return store_run(store_prepare(s, table));
}

enum sotto_err ledger_spent(struct store *s, int64_t *rho, int64_t *delta)
{
    enum sotto_err err = make_table(s);
    sqlite3_stmt *q;

    *rho = *delta = 0;
    if (err)
        return err;
    q = store_prepare(s, "SELECT coalesce(sum(rho), 0),"
                         " coalesce(sum(delta), 0) FROM release");
    err = store_row(q);
    if (err)
        return err;
    *rho = sqlite3_column_int64(q, 0);
    *delta = sqlite3_column_int64(q, 1);
    store_done(q);
    return SOTTO_OK;
}

/* --- charging ----------------------------------------------------------- */

/* SOTTO_ENOTFOUND: the request is new. */
static enum sotto_err
find_charge(struct store *s, const struct ledger_charge *c, struct why *why)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT question = ?2 AND rho = ?3 AND delta = ?4 FROM release"
           " WHERE request = ?1");
    enum sotto_err err;
    bool same;

    bind_text(q, 1, c->request);
    bind_text(q, 2, c->question);
    sqlite3_bind_int64(q, 3, c->rho);
    sqlite3_bind_int64(q, 4, c->delta);
    err = store_row(q);
    if (err)
        return err;
    same = sqlite3_column_int(q, 0);
    store_done(q);
    return same ? SOTTO_OK
                : why_say(why, SOTTO_EEXIST,
                          "request %s was made with another question; "
                          "`sotto-aggregator ledger` shows it; take a new name",
                          c->request);
}

/* The rest of the budget, not the sum, is compared: it cannot overflow. */
static enum sotto_err check_budget(struct store *s,
                                   const struct ledger_budget *b,
                                   const struct ledger_charge *c,
                                   struct why *why)
{
    int64_t rho, delta;
    char needs[32], left[32], all[32];
    enum sotto_err err = ledger_spent(s, &rho, &delta);

    if (err)
        return err;
    if (c->rho > b->rho - rho) {
        money_exact(needs, c->rho);
        money_exact(left, b->rho > rho ? b->rho - rho : 0);
        money_exact(all, b->rho);
        return why_say(why, SOTTO_EREFUSED,
                       "the release needs rho %s, and %s of the budget of %s "
                       "is left; nothing was released: ask with a smaller "
                       "--rho, or let the officer raise release_rho",
                       needs, left, all);
    }
    if (c->delta > b->delta / 2 - delta)
        return why_say(why, SOTTO_EREFUSED,
                       "the delta of releases whose cells people name is "
                       "spent; nothing was released: ask by segment or event, "
                       "or let the officer change release_delta");
    return SOTTO_OK;
}

static enum sotto_err insert(struct store *s, const struct ledger_charge *c)
{
    sqlite3_stmt *q = store_prepare(
        s, "INSERT INTO release(request, question, rho, delta, charged_ms)"
           " VALUES(?, ?, ?, ?, ?)");

    bind_text(q, 1, c->request);
    bind_text(q, 2, c->question);
    sqlite3_bind_int64(q, 3, c->rho);
    sqlite3_bind_int64(q, 4, c->delta);
    sqlite3_bind_int64(q, 5, c->charged_ms);
    return store_run(q);
}

enum sotto_err ledger_charge(struct store *s, const struct ledger_budget *b,
                             const struct ledger_charge *c, bool *again,
                             struct why *why)
{
    enum sotto_err err;

    *again = false;
    if (!request_good(c->request))
        return why_say(why, SOTTO_EINVAL,
                       "a request's name has 1 to %d letters, digits, '.', "
                       "'_' or '-'",
                       LEDGER_REQUEST_MAX);
    if (c->rho < 1 || c->rho > LEDGER_RHO_MAX || c->delta < 0)
        return why_say(why, SOTTO_EINVAL,
                       "rho is between 0.000001 and 1000, with at most six "
                       "digits after the point");
    err = store_begin(s); /* also holds off another charge */
    if (err)
        return err;
    err = make_table(s);
    if (!err)
        err = find_charge(s, c, why);
    *again = err == SOTTO_OK;
    if (err == SOTTO_ENOTFOUND) {
        err = check_budget(s, b, c, why);
        if (!err)
            err = insert(s, c);
    }
    if (err) {
        store_rollback(s);
        return err;
    }
    return store_commit(s);
}

/* --- answers ------------------------------------------------------------ */

/* Of each request its own, so that answers cannot change places. */
static const char *label_of(char out[LABEL_SIZE], const char *request)
{
    snprintf(out, LABEL_SIZE, "release %s", request);
    return out;
}

enum sotto_err ledger_keep(struct store *s, const char *request,
                           struct span answer)
{
    char label[LABEL_SIZE];
    sqlite3_stmt *q;
    struct buf sealed;
    enum sotto_err err;

    buf_init(&sealed, ANSWER_SEALED_MAX);
    err = store_seal(s, label_of(label, request), answer, &sealed);
    if (!err)
        err = make_table(s);
    if (!err) {
        q = store_prepare(s, "UPDATE release SET answer = coalesce(answer, ?2)"
                             " WHERE request = ?1");
        bind_text(q, 1, request);
        store_bind(q, 2, span_of(sealed.data, sealed.size));
        err = store_run(q);
    }
    if (!err && sqlite3_changes(s->db) != 1)
        err = SOTTO_ENOTFOUND;
    buf_fini(&sealed);
    return err;
}

enum sotto_err ledger_answer(struct store *s, const char *request,
                             struct buf *out)
{
    enum sotto_err err = make_table(s);
    char label[LABEL_SIZE];
    sqlite3_stmt *q;

    buf_clear(out);
    if (err)
        return err;
    q = store_prepare(s, "SELECT answer FROM release WHERE request = ?"
                         " AND answer IS NOT NULL");
    bind_text(q, 1, request);
    err = store_row(q);
    if (err)
        return err;
    err = store_unseal(s, label_of(label, request), store_blob(q, 0), out);
    store_done(q);
    return err;
}

enum sotto_err ledger_each(struct store *s,
                           void (*each)(void *context,
                                        const struct ledger_charge *charge),
                           void *context)
{
    enum sotto_err err = make_table(s);
    sqlite3_stmt *q;

    if (err)
        return err;
    q = store_prepare(s, "SELECT request, question, rho, delta, charged_ms,"
                         " answer IS NOT NULL FROM release"
                         " ORDER BY charged_ms, request");
    while ((err = store_row(q)) == SOTTO_OK) {
        const struct ledger_charge c = {
            .request = (const char *)sqlite3_column_text(q, 0),
            .question = (const char *)sqlite3_column_text(q, 1),
            .rho = sqlite3_column_int64(q, 2),
            .delta = sqlite3_column_int64(q, 3),
            .charged_ms = sqlite3_column_int64(q, 4),
            .answered = sqlite3_column_int(q, 5)};

        each(context, &c);
    }
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

/* --- from rho to epsilon ------------------------------------------------ */

double ledger_epsilon_simple(double rho, double delta)
{
    return rho + 2 * sqrt(rho * log(1 / delta));
}

/* By log(alpha - 1), which spreads what matters evenly. */
static double bound_at(double rho, double delta, double log_less)
{
    double less = exp(log_less), alpha = less + 1;

    return alpha * rho + log(less / alpha) +
           (log(1 / delta) - log(alpha)) / less;
}

double ledger_epsilon(double rho, double delta)
{
    double low = -20, high = 40, golden = (sqrt(5) - 1) / 2, best;

    if (rho <= 0)
        return 0;
    for (int i = 0; i < 120; i++) {
        double left = high - golden * (high - low),
               right = low + golden * (high - low);

        if (bound_at(rho, delta, left) < bound_at(rho, delta, right))
            high = right;
        else
            low = left;
    }
    best = bound_at(rho, delta, (low + high) / 2);
    return best > 0 ? best : 0;
}
