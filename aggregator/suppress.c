/* See suppress.h. File and copy are the same sealed form: the entries one
 * after the other, 48 bytes each.
 *
 * Two locks. `table` guards the entries, for a look. `gate` is held for
 * reading from a question to the commit of what follows from it, and an
 * addition passes it once: nobody holds `table` while he waits for `gate` or
 * for the database. */
#include "aggregator/suppress.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/dict.h"
#include "base/log.h"

#define LABEL "suppress"
#define DONE "suppressed" /* the copy in the database */
#define ENTRY_SIZE                                                             \
    (SUPPRESS_HASH_SIZE + RECEIPT_ID_SIZE + RECEIPT_PROOF_SIZE + 8)
#define ENTRIES_MAX (UINT32_C(1) << 24)
#define BYTES_MAX ((size_t)ENTRIES_MAX * ENTRY_SIZE + 64)

struct suppress {
    struct store *store;
    char *file;
    pthread_rwlock_t table, gate;
    struct dict numbers; /* of hashes */
    struct buf entries;
    _Atomic uint32_t count;
    _Atomic uint32_t done; /* the first so many */
};

static void entry_write(uint8_t *to, const struct suppressed *e)
{
    uint64_t ms = htole64((uint64_t)e->erased_ms);

    memcpy(to, e->hash, SUPPRESS_HASH_SIZE);
    to += SUPPRESS_HASH_SIZE;
    memcpy(to, e->receipt, RECEIPT_ID_SIZE);
    to += RECEIPT_ID_SIZE;
    memcpy(to, e->proof, RECEIPT_PROOF_SIZE);
    memcpy(to + RECEIPT_PROOF_SIZE, &ms, sizeof ms);
}

static void entry_read(struct suppressed *e, const uint8_t *from)
{
    uint64_t ms;

    memcpy(e->hash, from, SUPPRESS_HASH_SIZE);
    from += SUPPRESS_HASH_SIZE;
    memcpy(e->receipt, from, RECEIPT_ID_SIZE);
    from += RECEIPT_ID_SIZE;
    memcpy(e->proof, from, RECEIPT_PROOF_SIZE);
    memcpy(&ms, from + RECEIPT_PROOF_SIZE, sizeof ms);
    e->erased_ms = (int64_t)le64toh(ms);
}

/* Under the table's lock, or before others know of it. */
static enum sotto_err append(struct suppress *s, const uint8_t *entry)
{
    uint32_t number;
    enum sotto_err err = buf_append(&s->entries, entry, ENTRY_SIZE);

    if (!err)
        err = dict_intern(&s->numbers, span_of(entry, SUPPRESS_HASH_SIZE),
                          &number);
    if (err) /* the list is as long as the dictionary */
        s->entries.size = (size_t)s->numbers.count * ENTRY_SIZE;
    else
        s->count = s->numbers.count;
    return err;
}

static enum sotto_err append_all(struct suppress *s, const struct buf *plain)
{
    enum sotto_err err = plain->size % ENTRY_SIZE ? SOTTO_EDECODE : SOTTO_OK;

    for (size_t at = 0; at < plain->size && !err; at += ENTRY_SIZE)
        if (dict_find(&s->numbers, span_of(plain->data + at,
                                           SUPPRESS_HASH_SIZE)) == DICT_NONE)
            err = append(s, plain->data + at);
    return err;
}

/* ---- the file ---- */

static enum sotto_err file_write(struct suppress *s, struct span entries)
{
    struct buf sealed;
    enum sotto_err err;

    buf_init(&sealed, BYTES_MAX);
    err = store_seal(s->store, LABEL, entries, &sealed);
    if (!err)
        err = file_replace(s->file, sealed.data, sealed.size, 0600);
    buf_fini(&sealed);
    return err;
}

static enum sotto_err file_read(struct suppress *s, struct buf *plain)
{
    struct buf sealed;
    enum sotto_err err;

    if (access(s->file, F_OK) != 0)
        return errno == ENOENT ? SOTTO_OK : SOTTO_EIO;
    buf_init(&sealed, BYTES_MAX);
    err = buf_read_file(&sealed, s->file);
    if (!err)
        err = store_unseal(s->store, LABEL, span_of(sealed.data, sealed.size),
                           plain);
    buf_fini(&sealed);
    return err;
}

/* Those that are removed from the database first, in its copy's order: the
 * rest of the file is pending. */
static enum sotto_err load(struct suppress *s, struct why *why)
{
    struct buf in_file, in_store;
    uint32_t in_both;
    enum sotto_err err;

    buf_init(&in_file, BYTES_MAX);
    buf_init(&in_store, BYTES_MAX);
    err = file_read(s, &in_file);
    if (err)
        why_say(why, err,
                "%s: the table of the erased cannot be read: %s; put it back "
                "from its own backup, or take it away if it is of another "
                "store: without it the erased would return",
                s->file, err_text(err));
    if (!err)
        err = store_get(s->store, DONE, &in_store);
    if (err == SOTTO_ENOTFOUND)
        err = SOTTO_OK;
    if (!err)
        err = append_all(s, &in_store);
    in_both = s->numbers.count;
    if (!err)
        err = append_all(s, &in_file);
    s->done = in_both;
    /* What the copy has and the file lacks. */
    if (!err && (size_t)s->numbers.count * ENTRY_SIZE > in_file.size) {
        log_warn("suppress", "%s lacked entries; completed from the database",
                 s->file);
        err = file_write(s, span_of(s->entries.data, s->entries.size));
    }
    buf_fini(&in_file);
    buf_fini(&in_store);
    return err;
}

/* Those who ask are never done with asking: an addition goes before the next.
 */
static void gate_init(pthread_rwlock_t *gate)
{
    pthread_rwlockattr_t attributes;

    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes,
                                  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(gate, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

enum sotto_err suppress_open(struct suppress **out, const char *file,
                             struct store *store, struct why *why)
{
    struct suppress *s = calloc(1, sizeof *s);
    enum sotto_err err;

    if (!s)
        return SOTTO_ENOMEM;
    s->store = store;
    pthread_rwlock_init(&s->table, NULL);
    gate_init(&s->gate);
    dict_init(&s->numbers, ENTRIES_MAX,
              (size_t)ENTRIES_MAX * SUPPRESS_HASH_SIZE, 5);
    buf_init(&s->entries, BYTES_MAX);
    s->file = strdup(file);
    err = s->file ? load(s, why) : SOTTO_ENOMEM;
    if (err) {
        suppress_close(s);
        return err;
    }
    *out = s;
    return SOTTO_OK;
}

void suppress_close(struct suppress *s)
{
    if (!s)
        return;
    dict_fini(&s->numbers);
    buf_fini(&s->entries);
    pthread_rwlock_destroy(&s->table);
    pthread_rwlock_destroy(&s->gate);
    free(s->file);
    free(s);
}

/* ---- asking ---- */

enum sotto_err suppress_find(struct suppress *s,
                             const uint8_t subject[SUPPRESS_SUBJECT_SIZE],
                             uint32_t *number)
{
    uint8_t hash[SUPPRESS_HASH_SIZE];

    if (!s || !s->count)
        return SOTTO_ENOTFOUND;
    store_blind(s->store, LABEL, span_of(subject, SUPPRESS_SUBJECT_SIZE), hash);
    pthread_rwlock_rdlock(&s->table);
    *number = dict_find(&s->numbers, span_of(hash, sizeof hash));
    pthread_rwlock_unlock(&s->table);
    return *number == DICT_NONE ? SOTTO_ENOTFOUND : SOTTO_OK;
}

bool suppress_has(struct suppress *s,
                  const uint8_t subject[SUPPRESS_SUBJECT_SIZE])
{
    uint32_t number;

    return suppress_find(s, subject, &number) == SOTTO_OK;
}

uint32_t suppress_count(struct suppress *s)
{
    return s ? s->count : 0;
}

void suppress_get(struct suppress *s, uint32_t number, struct suppressed *out)
{
    pthread_rwlock_rdlock(&s->table);
    entry_read(out, s->entries.data + (size_t)number * ENTRY_SIZE);
    pthread_rwlock_unlock(&s->table);
}

void suppress_hold(struct suppress *s)
{
    if (s)
        pthread_rwlock_rdlock(&s->gate);
}

void suppress_release(struct suppress *s)
{
    if (s)
        pthread_rwlock_unlock(&s->gate);
}

/* ---- adding ---- */

void receipt_proof(uint8_t out[RECEIPT_PROOF_SIZE],
                   const uint8_t receipt[RECEIPT_ID_SIZE],
                   const uint8_t subject[SUPPRESS_SUBJECT_SIZE])
{
    uint8_t both[RECEIPT_ID_SIZE + SUPPRESS_SUBJECT_SIZE];

    memcpy(both, receipt, RECEIPT_ID_SIZE);
    memcpy(both + RECEIPT_ID_SIZE, subject, SUPPRESS_SUBJECT_SIZE);
    crypto_generichash(out, RECEIPT_PROOF_SIZE, both, sizeof both, NULL, 0);
    sodium_memzero(both, sizeof both);
}

/* The file first: what is asked for and not durable would be forgotten. */
static enum sotto_err add(struct suppress *s, const struct suppressed *e)
{
    uint8_t entry[ENTRY_SIZE];
    struct buf all;
    enum sotto_err err;

    entry_write(entry, e);
    buf_init(&all, BYTES_MAX);
    err = buf_append(&all, s->entries.data, s->entries.size);
    if (!err)
        err = buf_append(&all, entry, ENTRY_SIZE);
    if (!err)
        err = file_write(s, span_of(all.data, all.size));
    buf_fini(&all);
    if (err)
        return err;
    pthread_rwlock_wrlock(&s->table);
    err = append(s, entry);
    pthread_rwlock_unlock(&s->table);
    return err;
}

enum sotto_err suppress_add(struct suppress *s,
                            const uint8_t subject[SUPPRESS_SUBJECT_SIZE],
                            int64_t now_ms, uint32_t *number)
{
    struct suppressed e = {.erased_ms = now_ms};
    enum sotto_err err;

    if (!suppress_find(s, subject, number))
        return SOTTO_EEXIST;
    store_blind(s->store, LABEL, span_of(subject, SUPPRESS_SUBJECT_SIZE),
                e.hash);
    randombytes_buf(e.receipt, sizeof e.receipt);
    receipt_proof(e.proof, e.receipt, subject);
    err = add(s, &e);
    if (err)
        return err;
    *number = s->count - 1;
    pthread_rwlock_wrlock(&s->gate); /* those who asked before have written */
    pthread_rwlock_unlock(&s->gate);
    return SOTTO_OK;
}

/* ---- done ---- */

uint32_t suppress_pending(struct suppress *s)
{
    return s->done;
}

enum sotto_err suppress_done(struct suppress *s, struct store *store,
                             uint32_t count)
{
    struct buf copy;
    enum sotto_err err;

    buf_init(&copy, BYTES_MAX);
    pthread_rwlock_rdlock(&s->table);
    err = buf_append(&copy, s->entries.data, (size_t)count * ENTRY_SIZE);
    pthread_rwlock_unlock(&s->table);
    if (!err)
        err = store_put(store, DONE, span_of(copy.data, copy.size));
    buf_fini(&copy);
    if (!err)
        s->done = count;
    return err;
}
