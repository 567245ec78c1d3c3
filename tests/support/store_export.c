/* Everything that an aggregator's directory holds, decrypted, to standard
 * output: chunks, states of views, documents, settings, models. For tests that
 * look for what must not be there. With `model`: the live model alone.
 * Usage: sotto-export DIR KEY_FILE [model] */
#include <stdio.h>
#include <string.h>

#include "aggregator/log.h"
#include "aggregator/store.h"

static int failed(const char *what, enum sotto_err err)
{
    fprintf(stderr, "%s: %s\n", what, err_text(err));
    return 1;
}

static void out(const struct buf *b)
{
    fwrite(b->data, 1, b->size, stdout);
    putchar('\n');
}

static int export_chunks(struct store *s, struct buf *plain)
{
    struct buf scratch;
    struct log_chunk chunk;
    uint64_t at = 0;
    enum sotto_err err;

    buf_init(&scratch, 2 * FRAME_MAX);
    while ((err = log_read(s, at, &chunk, &scratch)) == SOTTO_OK) {
        err = payload_unzip(plain, chunk.payload, PAYLOAD_MAX);
        if (err)
            break;
        out(plain);
        at = chunk.number;
    }
    buf_fini(&scratch);
    return err == SOTTO_ENOTFOUND ? 0 : failed("chunk", err);
}

/* Rows of label (a text, or the first column) and what is sealed under it. */
static int export_rows(struct store *s, const char *text, struct buf *plain)
{
    sqlite3_stmt *q = store_prepare(s, text);
    enum sotto_err err;

    while ((err = store_row(q)) == SOTTO_OK) {
        const char *label = (const char *)sqlite3_column_text(q, 0);

        if (sqlite3_column_type(q, 1) == SQLITE_NULL)
            continue;
        err = store_unseal(s, label, store_blob(q, 1), plain);
        if (err)
            return failed(label, err);
        out(plain);
    }
    return err == SOTTO_ENOTFOUND ? 0 : failed(text, err);
}

int main(int argc, char **argv)
{
    static const char *const rows[] = {
        "SELECT view, value FROM view_state WHERE view <> 'applied'",
        "SELECT 'document', body FROM document",
        "SELECT 'meta/' || name, value FROM meta",
        "SELECT 'model', blob FROM model"};
    struct store *s = NULL;
    struct why why = {0};
    struct buf plain;
    int bad;

    if (argc < 3)
        return 2;
    if (store_open(&s, argv[1], argv[2], &why))
        return failed(why.text, SOTTO_EIO);
    buf_init(&plain, (size_t)1 << 30);
    if (argc > 3) {
        bad = export_rows(
            s, "SELECT 'model', blob FROM model WHERE state = 'live'", &plain);
    } else {
        bad = export_chunks(s, &plain);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !bad; i++)
            bad = export_rows(s, rows[i], &plain);
    }
    buf_fini(&plain);
    store_close(s);
    return bad;
}
