/* An import, row by row.
 *
 * A reader gives rows; a row becomes a raw event or the name of a refusal; an
 * event goes to the sink with the cursor that includes it. Invariants: cursor
 * .row and .running speak of the same row; a row is counted once, as taken or
 * under one reason; if the sink fails on a row, the cursor is put back before
 * it. Rows an earlier run has read are only hashed, and compared at the end of
 * them. */
#include "agent/import.h"

#include "agent/intake_csv.h"
#include "agent/intake_ndjson.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define UNSAVED_MAX 10000   /* refused rows between two calls of the sink */
#define PROGRESS_ROWS 4096u /* rows between two calls of progress */
#define HASH_SIZE_ROW 16

_Static_assert(MAP_REFUSALS_MAX + 2 + DROP_COUNT - 1 <= CURSOR_REASONS_MAX,
               "a cursor holds the map's names, unmatched, bad_row and the "
               "policy's drops");
_Static_assert(crypto_shorthash_siphashx24_BYTES == HASH_SIZE_ROW,
               "the running hash is what SipHash-x-2-4 gives");

struct import {
    const struct import_options *o;
    const struct import_sink *sink;
    struct import_report *report;
    struct import_cursor cursor;
    const struct import_cursor *start;
    uint32_t unsaved; /* rows refused since the sink was told the cursor */
    uint8_t row_key[crypto_shorthash_siphashx24_KEYBYTES];
    struct intake_source *source;
    struct csv *csv;       /* one of the two is open */
    struct ndjson *ndjson; /* */
    struct map_binding binding;
    uint32_t consent; /* of all rows of a CSV */
    struct raw_field fields[RAW_FIELDS_MAX];
    uint8_t hashed[HASH_SIZE_ROW + INTAKE_ROW_MAX];
};

/* A row, however it was written. */
struct row {
    struct span bytes;
    const struct csv_row *csv;
    struct ndjson_row *ndjson;
};

/* An event, made of a row. */
struct made {
    struct raw_event raw;
    uint32_t consent_known, consent_granted;
};

/* Keyed BLAKE2b over a word for the purpose and a text. */
static void derive(uint8_t *out, size_t size, const uint8_t *key,
                   const char *purpose, const char *text)
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, key, 32, size);
    crypto_generichash_update(&state, (const uint8_t *)purpose,
                              strlen(purpose) + 1);
    crypto_generichash_update(&state, (const uint8_t *)text, strlen(text));
    crypto_generichash_final(&state, out, size);
    sodium_memzero(&state, sizeof(state));
}

void import_source_id(uint8_t out[16], const struct import_options *o)
{
    char *real = o->source_name ? NULL : realpath(o->file, NULL);
    const char *name = o->source_name ? o->source_name : real ? real : o->file;

    derive(out, 16, o->key, "import source", name);
    free(real);
}

/* h' = H(h | row), SipHash-x-2-4 (Aumasson & Bernstein, 2012; libsodium's
 * siphashx24). */
static void hash_row(struct import *i, struct span row)
{
    memcpy(i->hashed, i->cursor.running, HASH_SIZE_ROW);
    if (row.size > 0)
        memcpy(i->hashed + HASH_SIZE_ROW, row.data, row.size);
    crypto_shorthash_siphashx24(i->cursor.running, i->hashed,
                                HASH_SIZE_ROW + row.size, i->row_key);
}

static enum sotto_err count_reason(struct import *i, const char *name,
                                   struct why *why)
{
    struct import_cursor *c = &i->cursor;
    unsigned at = 0;

    while (at < c->reason_count && strcmp(c->reasons[at].name, name) != 0)
        at++;
    if (at == CURSOR_REASONS_MAX)
        return why_say(why, SOTTO_EFULL,
                       "%s: its rows were refused for more than %d reasons "
                       "over all runs; import it under another --source name",
                       i->o->file, CURSOR_REASONS_MAX);
    if (at == c->reason_count) {
        memset(&c->reasons[at], 0, sizeof(c->reasons[at]));
        strncpy(c->reasons[at].name, name, COUNTER_NAME_MAX);
        c->reason_count++;
    }
    c->reasons[at].count++;
    i->unsaved++;
    return SOTTO_OK;
}

/* Rows -------------------------------------------------------------- */

/* The next row, *found false at the end; the cursor moves on with it. */
static enum sotto_err next_row(bool *found, struct import *i, struct row *row,
                               struct why *why)
{
    enum sotto_err err;

    memset(row, 0, sizeof(*row));
    err = i->csv ? csv_next(&row->csv, i->csv, why)
                 : ndjson_next(&row->ndjson, i->ndjson, why);
    *found = !err && (row->csv || row->ndjson);
    if (!*found)
        return err;
    row->bytes = row->csv ? row->csv->raw : row->ndjson->line;
    hash_row(i, row->bytes);
    i->cursor.row++;
    return SOTTO_OK;
}

/* Makes the event of a row: NULL, or the name of the refusal. */
static const char *make_event(struct import *i, const struct row *row,
                              struct made *made)
{
    if (row->csv) {
        made->consent_known = made->consent_granted = i->consent;
        return row->csv->wrong
                   ? MAP_BAD_ROW
                   : intake_map_row(i->o->map, &i->binding, row->csv,
                                    &made->raw, i->fields);
    }
    ndjson_parse(i->ndjson, row->ndjson);
    if (row->ndjson->wrong)
        return MAP_BAD_ROW;
    made->raw = row->ndjson->raw;
    made->consent_known = row->ndjson->consent_known;
    made->consent_granted = row->ndjson->consent_granted;
    /* A live event without a time is of now; one from a file is of then. */
    return row->ndjson->time_wrong || made->raw.time_ms == WHEN_NONE
               ? drop_name(DROP_BAD_TIME)
               : NULL;
}

static enum sotto_err tell_progress(const struct import *i)
{
    if (!i->sink->progress)
        return SOTTO_OK;
    return i->sink->progress(i->sink->context, i->cursor.row,
                             intake_source_position(i->source),
                             intake_source_total(i->source));
}

static enum sotto_err progress_sometimes(const struct import *i)
{
    return i->cursor.row % PROGRESS_ROWS == 0 ? tell_progress(i) : SOTTO_OK;
}

/* Stores the cursor without an event. */
static enum sotto_err save_cursor(struct import *i)
{
    enum drop_reason dropped = DROP_NOT;
    enum sotto_err err =
        i->sink->take(i->sink->context, NULL, 0, 0, &i->cursor, &dropped);

    if (!err)
        i->unsaved = 0;
    return err;
}

/* Offers an event to the sink; NULL in *refusal if it was taken. */
static enum sotto_err give(struct import *i, const struct made *made,
                           const char **refusal)
{
    enum drop_reason dropped = DROP_NOT;
    enum sotto_err err =
        i->sink->take(i->sink->context, &made->raw, made->consent_known,
                      made->consent_granted, &i->cursor, &dropped);

    *refusal = dropped == DROP_NOT ? NULL : drop_name(dropped);
    if (err || *refusal)
        return err;
    i->report->accepted++;
    i->unsaved = 0;
    return SOTTO_OK;
}

/* One new row, from the file to the sink or to a counter. */
static enum sotto_err take_row(struct import *i, const struct row *row,
                               struct why *why)
{
    struct made made;
    const char *refusal = make_event(i, row, &made);
    enum sotto_err err = SOTTO_OK;

    if (!refusal)
        err = give(i, &made, &refusal);
    if (!err && refusal)
        err = count_reason(i, refusal, why);
    return err;
}

/* Runs ---------------------------------------------------------------- */

static enum sotto_err changed(const struct import *i, struct why *why)
{
    return why_say(
        why, SOTTO_ECRYPTO,
        "%s: the file changed at or before row %llu; import it under "
        "another --source name",
        i->o->file, (unsigned long long)i->start->row);
}

/* Passes over the rows of earlier runs, and sees that they are the same. */
static enum sotto_err skip_rows(struct import *i, struct why *why)
{
    while (i->cursor.row < i->start->row) {
        struct row row;
        bool found;
        enum sotto_err err = next_row(&found, i, &row, why);

        if (!err && !found)
            return changed(i, why);
        if (!err)
            err = progress_sometimes(i);
        if (err)
            return err;
        i->report->skipped++;
    }
    if (sodium_memcmp(i->cursor.running, i->start->running, HASH_SIZE_ROW) != 0)
        return changed(i, why);
    return SOTTO_OK;
}

static enum sotto_err take_rows(struct import *i, struct why *why)
{
    for (;;) {
        uint8_t running[HASH_SIZE_ROW];
        struct row row;
        bool found;
        enum sotto_err err;

        memcpy(running, i->cursor.running, HASH_SIZE_ROW);
        err = next_row(&found, i, &row, why);
        if (err || !found)
            return err;
        i->cursor.done = 0;
        err = take_row(i, &row, why);
        if (err) { /* the row was not read, then */
            memcpy(i->cursor.running, running, HASH_SIZE_ROW);
            i->cursor.row--;
            return err;
        }
        if (i->unsaved >= UNSAVED_MAX)
            err = save_cursor(i);
        if (!err)
            err = progress_sometimes(i);
        if (err)
            return err;
    }
}

/* Says that the source ended, unless that is known and nothing came since. */
static enum sotto_err finish(struct import *i)
{
    if (!i->cursor.done) {
        enum sotto_err err;

        i->cursor.done = 1;
        err = save_cursor(i);
        if (err) {
            i->cursor.done = 0;
            return err;
        }
    }
    return tell_progress(i);
}

static enum sotto_err open_csv(struct import *i, struct why *why)
{
    const struct intake_map *map = i->o->map;
    enum sotto_err err =
        csv_open(&i->csv, i->source, intake_map_delimiter(map), why);

    if (!err)
        err = intake_map_bind(&i->binding, map, csv_header(i->csv), i->o->file,
                              why);
    if (!err && i->o->policy)
        err = intake_map_consent(&i->consent, map, i->o->policy, why);
    if (!err) /* columns that changed places are a change of all rows */
        hash_row(i, csv_header(i->csv)->raw);
    return err;
}

/* Opens the file, and puts the cursor where it begins. */
static enum sotto_err begin(struct import *i, struct why *why)
{
    uint8_t id[16];
    enum sotto_err err;

    import_source_id(id, i->o);
    if (sodium_is_zero(i->start->source, 16))
        i->start = NULL;
    else if (memcmp(i->start->source, id, 16) != 0)
        return why_say(why, SOTTO_EINVAL,
                       "%s: the stored cursor is of another source",
                       i->o->file);
    memcpy(i->cursor.source, id, 16);
    derive(i->row_key, sizeof(i->row_key), i->o->key, "import rows", "");
    err = intake_source_open(&i->source, i->o->file, why);
    if (err)
        return err;
    return i->o->map ? open_csv(i, why)
                     : ndjson_open(&i->ndjson, i->source, i->o->policy, why);
}

static enum sotto_err run(struct import *i, struct why *why)
{
    enum sotto_err err = begin(i, why);

    if (!err && i->start) {
        err = skip_rows(i, why);
        if (!err)
            i->cursor = *i->start;
    }
    if (!err)
        err = take_rows(i, why);
    return err ? err : finish(i);
}

enum sotto_err import_run(const struct import_options *o,
                          const struct import_cursor *start,
                          const struct import_sink *sink,
                          struct import_report *report, struct why *why)
{
    struct import *i = calloc(1, sizeof(*i));
    enum sotto_err err;

    memset(report, 0, sizeof(*report));
    if (!i)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory to read it", o->file);
    i->o = o;
    i->start = start;
    i->sink = sink;
    i->report = report;
    err = run(i, why);
    report->cursor = i->cursor;
    report->rows = i->cursor.row;
    csv_close(i->csv);
    ndjson_close(i->ndjson);
    intake_source_close(i->source);
    sodium_memzero(i, sizeof(*i)); /* rows of people went through here */
    free(i);
    return err;
}
