/* Any bytes in the spool's blobs, as a disk or a thief may leave them: the
 * first byte says which (0 the state's counters, 1 an envelope, 2 a cursor, 3 a
 * chain). The spool is refused when it is opened, or works. */
#include "fuzz.h"

#include <stdio.h>

#include <sqlite3.h>
#include <unistd.h>

#include "agent/cursor.h"
#include "agent/spool.h"

static const char *const updates[] = {
    "UPDATE state SET counters = ?1",
    "REPLACE INTO body VALUES(1, ?1)",
    "REPLACE INTO cursor VALUES(x'00112233445566778899aabbccddeeff', ?1)",
    "UPDATE state SET chain = ?1",
};

static char path[64];

static void remove_files(void)
{
    char wal[80];

    snprintf(wal, sizeof wal, "%s-wal", path);
    unlink(path);
    unlink(wal);
}

static void plant(const char *update, struct span bytes)
{
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;

    expect(sqlite3_open(path, &db) == SQLITE_OK);
    expect(sqlite3_prepare_v2(db, update, -1, &st, NULL) == SQLITE_OK);
    sqlite3_bind_blob64(st, 1, bytes.size ? (const void *)bytes.data : "",
                        bytes.size, SQLITE_STATIC);
    expect(sqlite3_step(st) == SQLITE_DONE);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void read_cursor(void *context, const struct spool_cursor *c)
{
    struct import_cursor cursor;

    (void)context;
    (void)cursor_decode(&cursor, c->bytes);
}

static void use(struct spool *s)
{
    struct spool_row row;
    struct envelope e;
    struct buf out;

    buf_init(&out, FRAME_MAX);
    if (!spool_get(s, 1, &row, &out))
        (void)envelope_parse(&e, fuzz_bytes(&out));
    (void)spool_cursor_each(s, read_cursor, NULL);
    expect(spool_ring(s, spool_state(s)->ring + 1) == SOTTO_OK);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spool_config config = {.path = path, .bytes_max = 1 << 20};
    struct spool *s = NULL;
    struct why why = {""};

    if (size < 1 || data[0] >= sizeof updates / sizeof *updates ||
        sodium_init() < 0)
        return 0;
    snprintf(path, sizeof path, "/dev/shm/sotto-spool-%ld", (long)getpid());
    remove_files();
    expect(spool_open(&s, &config, &why) == SOTTO_OK);
    spool_close(s);
    plant(updates[data[0]], span_of(data + 1, size - 1));
    s = NULL;
    if (spool_open(&s, &config, &why) == SOTTO_OK) {
        use(s);
        spool_close(s);
    } else {
        expect(why.text[0]);
    }
    remove_files();
    return 0;
}
