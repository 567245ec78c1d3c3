/* See audit.h. Invariant: the file holds what tree says, in bytes bytes, and
 * all of it is synced; if that is not known any more, the log is broken. */
#include "aggregator/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/file.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/when.h"

#define REMEMBERED "audit" /* the store's name for it */

enum doer { BY_AGGREGATOR, BY_AGENT, BY_OPERATOR };

static const struct {
    const char *name;
    enum doer doer;
    bool remembered;
} kinds[] = {
    [AUDIT_BEGUN] = {"log begun", BY_AGGREGATOR, true},
    [AUDIT_STARTED] = {"started", BY_AGGREGATOR, true},
    [AUDIT_STOPPED] = {"stopped", BY_AGGREGATOR, true},
    [AUDIT_RESTORED] = {"restore noticed", BY_AGGREGATOR, true},
    [AUDIT_REPAIRED] = {"torn end removed", BY_AGGREGATOR, true},
    [AUDIT_POLICY_ADDED] = {"policy added", BY_OPERATOR, true},
    [AUDIT_TOKEN_MADE] = {"token made", BY_OPERATOR, true},
    [AUDIT_AGENT_ENROLLED] = {"agent enrolled", BY_AGENT, false},
    [AUDIT_MODEL_RELEASED] = {"model released", BY_OPERATOR, false},
    [AUDIT_PROFILE_READ] = {"profile read", BY_OPERATOR, false},
    [AUDIT_LIST_READ] = {"list read", BY_OPERATOR, false},
    [AUDIT_ACCESS_GIVEN] = {"access given", BY_OPERATOR, false},
    [AUDIT_ERASED] = {"erased", BY_OPERATOR, true},
    [AUDIT_COUNTS_RELEASED] = {"counts released", BY_OPERATOR, false},
};

_Static_assert(sizeof kinds / sizeof *kinds == AUDIT_KIND_COUNT,
               "every kind has a row");

struct audit {
    const struct keys *keys;
    struct store *store;
    char *file;
    int fd;
    uv_mutex_t lock; /* of what follows */
    struct merkle tree;
    size_t bytes;
    struct buf owed; /* a line that the store has and the disk did not take:
                        it goes first, for its number is given */
    struct merkle owed_tree;
    bool broken;
};

/* ---- writing ---- */

static enum sotto_err err_of_disk(void)
{
    return errno == ENOSPC || errno == EDQUOT ? SOTTO_EFULL : SOTTO_EIO;
}

/* Puts the line behind what is there, or leaves the file as it was. */
static enum sotto_err write_line(struct audit *a, struct span line)
{
    size_t done = 0;
    enum sotto_err err = SOTTO_OK;

    flock(a->fd, LOCK_EX); /* readers of other processes see whole lines */
    while (!err && done < line.size) {
        ssize_t n = pwrite(a->fd, line.data + done, line.size - done,
                           (off_t)(a->bytes + done));
        if (n < 0 && errno != EINTR)
            err = err_of_disk();
        else if (n > 0)
            done += (size_t)n;
    }
    if (!err && fdatasync(a->fd) != 0)
        err = err_of_disk();
    /* The next line is written over it, and synced. */
    if (err && ftruncate(a->fd, (off_t)a->bytes) != 0)
        a->broken = true;
    flock(a->fd, LOCK_UN);
    return err;
}

static json_t *entry_make(enum audit_kind kind, int64_t uid, int64_t now_ms,
                          json_t *details)
{
    char when[32], actor[40] = "aggregator";

    when_format(when, now_ms);
    if (kinds[kind].doer == BY_AGENT)
        snprintf(actor, sizeof actor, "agent");
    else if (uid != AUDIT_NOBODY)
        snprintf(actor, sizeof actor, "uid %" PRId64, uid);
    return json_pack("{s:I,s:s,s:s,s:s,s:o}", "time_ms", (json_int_t)now_ms,
                     "time", when, "kind", kinds[kind].name, "actor", actor,
                     "details", details ? details : json_object());
}

/* The next line, and the tree with it. */
static enum sotto_err line_make(const struct audit *a, struct buf *line,
                                struct merkle *tree, int64_t now_ms,
                                const char *entry)
{
    struct audit_record r = {.head.time_ms = now_ms, .entry = span_text(entry)};
    uint8_t leaf[MERKLE_HASH_SIZE];

    *tree = a->tree;
    merkle_leaf(leaf, r.entry);
    merkle_append(tree, leaf);
    merkle_root(tree, r.head.root);
    r.head.size = tree->size;
    audit_head_sign(&r.head, a->keys);
    return audit_line_write(line, &r);
}

static enum sotto_err settle(struct audit *a, const struct merkle *tree,
                             struct span line)
{
    enum sotto_err err = write_line(a, line);

    if (!err) {
        a->tree = *tree;
        a->bytes += line.size;
    }
    return err;
}

static enum sotto_err settle_owed(struct audit *a)
{
    enum sotto_err err = SOTTO_OK;

    if (a->owed.size > 0)
        err = settle(a, &a->owed_tree, span_of(a->owed.data, a->owed.size));
    if (!err)
        buf_clear(&a->owed);
    return err;
}

static enum sotto_err remember(struct audit *a, const struct merkle *tree,
                               const struct buf *line)
{
    /* Reserved before: the line must not be lost when the store has it. */
    enum sotto_err err = buf_reserve(&a->owed, line->size);

    if (!err)
        err = store_put(a->store, REMEMBERED,
                        span_of(line->data, line->size - 1));
    if (!err)
        err = buf_append(&a->owed, line->data, line->size);
    if (!err)
        a->owed_tree = *tree;
    return err;
}

/* Under the lock. */
static enum sotto_err append(struct audit *a, enum audit_kind kind,
                             int64_t now_ms, const char *entry)
{
    struct merkle tree;
    struct buf line;
    enum sotto_err err;

    if (a->broken)
        return SOTTO_EIO;
    buf_init(&line, AUDIT_LINE_MAX);
    err = settle_owed(a);
    if (!err)
        err = line_make(a, &line, &tree, now_ms, entry);
    if (!err && a->bytes + line.size > AUDIT_FILE_MAX)
        err = SOTTO_EFULL; /* more would not be read again */
    if (!err && kinds[kind].remembered)
        err = remember(a, &tree, &line);
    if (!err)
        err = kinds[kind].remembered
                  ? settle_owed(a)
                  : settle(a, &tree, span_of(line.data, line.size));
    buf_fini(&line);
    return err;
}

enum sotto_err audit_append(struct audit *a, enum audit_kind kind, int64_t uid,
                            json_t *details, struct why *why)
{
    int64_t now_ms = clock_wall_ms(&clock_system);
    json_t *json = entry_make(kind, uid, now_ms, details);
    char *entry =
        json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    enum sotto_err err = SOTTO_ENOMEM;

    json_decref(json);
    if (entry) {
        uv_mutex_lock(&a->lock);
        err = append(a, kind, now_ms, entry);
        uv_mutex_unlock(&a->lock);
    }
    free(entry);
    if (err)
        why_say(why, err,
                "%s: \"%s\" cannot be recorded (%s), so it is not done; mend "
                "the disk and ask again%s",
                a->file, kinds[kind].name, err_text(err),
                a->broken ? ", after a restart" : "");
    return err;
}

json_t *audit_subject(const struct audit *a, struct span subject)
{
    uint8_t blind[STORE_BLIND_SIZE];
    char text[2 * STORE_BLIND_SIZE + 1];

    store_blind(a->store, "audit", subject, blind);
    sodium_bin2hex(text, sizeof text, blind, sizeof blind);
    return json_pack("{s:s}", "subject", text);
}

uint64_t audit_size(const struct audit *a)
{
    return a->tree.size;
}

/* ---- opening ---- */

enum sotto_err audit_remembered(struct store *store, struct buf *line,
                                struct audit_record *r)
{
    enum sotto_err err = store_get(store, REMEMBERED, line);

    return err ? err : audit_line_read(r, span_of(line->data, line->size));
}

static bool kind_remembered(struct span line)
{
    struct audit_record r;
    json_error_t error;
    const char *name;
    json_t *entry;
    bool found = false;

    if (audit_line_read(&r, line))
        return false;
    entry = json_loadb((const char *)r.entry.data, r.entry.size, 0, &error);
    name = json_string_value(json_object_get(entry, "kind"));
    for (size_t i = 0; name && i < AUDIT_KIND_COUNT && !found; i++)
        found = kinds[i].remembered && strcmp(kinds[i].name, name) == 0;
    json_decref(entry);
    return found;
}

/* The store is one ahead: the same line again, if it follows. */
static enum sotto_err write_again(struct audit *a, const struct buf *line,
                                  const struct audit_record *r)
{
    uint8_t leaf[MERKLE_HASH_SIZE], root[MERKLE_HASH_SIZE];
    struct merkle tree = a->tree;
    struct buf whole;
    enum sotto_err err;

    merkle_leaf(leaf, r->entry);
    merkle_append(&tree, leaf);
    merkle_root(&tree, root);
    if (memcmp(root, r->head.root, sizeof root) != 0)
        return SOTTO_ECRYPTO;
    buf_init(&whole, AUDIT_LINE_MAX);
    err = buf_append(&whole, line->data, line->size);
    if (!err)
        err = buf_append(&whole, "\n", 1);
    if (!err)
        err = settle(a, &tree, span_of(whole.data, whole.size));
    buf_fini(&whole);
    return err;
}

static enum sotto_err forked(const struct audit *a,
                             const struct audit_record *r, struct why *why)
{
    return why_say(why, SOTTO_ECRYPTO,
                   "%s: is not the log that the store remembers: entry "
                   "%" PRIu64 " is another one; put the newest copy back "
                   "there",
                   a->file, r->head.size);
}

/* What the store remembers against what the file has; *restored: the file has
 * gone on without this store. */
static enum sotto_err compare(struct audit *a, const struct audit_log *l,
                              bool *restored, struct why *why)
{
    struct audit_record r = {0};
    struct buf line;
    enum sotto_err err;

    buf_init(&line, AUDIT_LINE_MAX);
    err = audit_remembered(a->store, &line, &r);
    if (err == SOTTO_ENOTFOUND) /* new, or older than any audit log */
        err = SOTTO_OK;
    else if (!err && r.head.size > (uint64_t)l->count + 1)
        err = why_say(why, SOTTO_ECRYPTO,
                      "%s: ends after entry %" PRIu32
                      ", but the store remembers entry %" PRIu64
                      ": it was cut, or put back from a backup; put the "
                      "newest copy back there",
                      a->file, l->count, r.head.size);
    else if (!err && r.head.size == (uint64_t)l->count + 1)
        err = write_again(a, &line, &r);
    else if (!err && !span_equal(span_of(line.data, line.size),
                                 audit_log_line(l, r.head.size)))
        err = SOTTO_ECRYPTO;
    if (err == SOTTO_ECRYPTO && !*why->text)
        forked(a, &r, why);
    *restored = false;
    for (uint64_t n = r.head.size + 1; !err && !*restored && n <= l->count; n++)
        *restored = kind_remembered(audit_log_line(l, n));
    buf_fini(&line);
    return err;
}

static enum sotto_err note(struct audit *a, const struct audit_log *l,
                           bool restored, struct why *why)
{
    enum sotto_err err = SOTTO_OK;

    if (l->torn > 0) {
        log_warn("audit", "%s: the last %zu bytes are half an entry: removed",
                 a->file, l->torn);
        err =
            audit_append(a, AUDIT_REPAIRED, AUDIT_NOBODY,
                         json_pack("{s:I}", "bytes", (json_int_t)l->torn), why);
    }
    if (!err && a->tree.size == 0)
        err = audit_append(a, AUDIT_BEGUN, AUDIT_NOBODY, NULL, why);
    if (!err && restored) {
        log_warn("audit",
                 "the store is older than its audit log: the directory was "
                 "restored from a backup; what it took since then is not in "
                 "it");
        err = audit_append(a, AUDIT_RESTORED, AUDIT_NOBODY, NULL, why);
    }
    return err;
}

static enum sotto_err open_file(struct audit *a, struct why *why)
{
    enum sotto_err err = SOTTO_OK;

    if (access(a->file, F_OK) != 0) /* so that its name is durable too */
        err = file_replace(a->file, "", 0, 0600);
    if (!err) {
        a->fd = open(a->file, O_RDWR | O_CLOEXEC);
        err = a->fd < 0 ? SOTTO_EIO : SOTTO_OK;
    }
    if (err)
        why_say(why, err,
                "%s: the audit log cannot be written: %s; name a place for it "
                "at `audit_log` in aggregator.yaml, outside the directory",
                a->file, err == SOTTO_EIO ? strerror(errno) : err_text(err));
    return err;
}

static enum sotto_err load(struct audit *a, struct why *why)
{
    struct audit_fault fault;
    struct audit_log l;
    struct why said = {0};
    bool restored;
    enum sotto_err err = audit_log_read(&l, a->file, why);

    if (!err) {
        err = audit_log_check(&l, a->keys->sign_pk, false, &fault, &said);
        if (err)
            why_say(why, err, "%s: %s", a->file, said.text);
    }
    if (!err) {
        a->tree = l.tree;
        a->bytes = l.bytes.size - l.torn;
        if (l.torn > 0 && ftruncate(a->fd, (off_t)a->bytes) != 0)
            err = why_say(why, SOTTO_EIO, "%s: cannot be mended: %s", a->file,
                          strerror(errno));
    }
    if (!err)
        err = compare(a, &l, &restored, why);
    if (!err)
        err = note(a, &l, restored, why);
    audit_log_fini(&l);
    return err;
}

enum sotto_err audit_open(struct audit **out, const char *file,
                          const struct keys *keys, struct store *store,
                          struct why *why)
{
    struct audit *a = calloc(1, sizeof *a);
    enum sotto_err err;

    if (!a)
        return SOTTO_ENOMEM;
    why->text[0] = 0;
    a->fd = -1;
    buf_init(&a->owed, AUDIT_LINE_MAX);
    a->keys = keys;
    a->store = store;
    if (uv_mutex_init(&a->lock) != 0) {
        free(a);
        return SOTTO_ENOMEM;
    }
    a->file = strdup(file);
    err = a->file ? open_file(a, why) : SOTTO_ENOMEM;
    if (!err)
        err = load(a, why);
    if (err) {
        audit_close(a);
        return err;
    }
    *out = a;
    return SOTTO_OK;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    uv_mutex_destroy(&a->lock);
    buf_fini(&a->owed);
    free(a->file);
    free(a);
}
