/* See audit_log.h. */
#include "aggregator/audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/file.h>
#include <unistd.h>

#define HEX_ROOT (2 * MERKLE_HASH_SIZE)
#define HEX_SIGNATURE (2 * AUDIT_SIGNATURE_SIZE)
#define HEX_KEY (2 * PK_SIZE)

/* ---- heads ---- */

static struct span signed_text(const struct audit_head *h, char out[200])
{
    char root[HEX_ROOT + 1];
    int n;

    sodium_bin2hex(root, sizeof root, h->root, sizeof h->root);
    n = snprintf(out, 200, "sotto audit head 1\n%" PRIu64 "\n%" PRId64 "\n%s\n",
                 h->size, h->time_ms, root);
    return span_of(out, (size_t)n);
}

void audit_head_sign(struct audit_head *h, const struct keys *keys)
{
    char text[200];
    struct span s = signed_text(h, text);

    crypto_sign_detached(h->signature, NULL, s.data, s.size, keys->sign_sk);
}

bool audit_head_good(const struct audit_head *h, const uint8_t pk[PK_SIZE])
{
    char text[200];
    struct span s = signed_text(h, text);

    return crypto_sign_verify_detached(h->signature, s.data, s.size, pk) == 0;
}

json_t *audit_head_json(const struct audit_head *h, const uint8_t pk[PK_SIZE])
{
    char root[HEX_ROOT + 1], signature[HEX_SIGNATURE + 1], key[HEX_KEY + 1];

    sodium_bin2hex(root, sizeof root, h->root, sizeof h->root);
    sodium_bin2hex(signature, sizeof signature, h->signature,
                   sizeof h->signature);
    sodium_bin2hex(key, sizeof key, pk, PK_SIZE);
    return json_pack("{s:I,s:I,s:s,s:s,s:s}", "size", (json_int_t)h->size,
                     "time_ms", (json_int_t)h->time_ms, "root", root, "key",
                     key, "signature", signature);
}

/* Exactly 2 * size digits in lower case. */
static bool unhex(uint8_t *out, size_t size, const char *text, size_t digits)
{
    if (digits != 2 * size)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char c = text[i];
        unsigned value;

        if (c >= '0' && c <= '9')
            value = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = (unsigned)(c - 'a' + 10);
        else
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | value : value << 4);
    }
    return true;
}

static bool hex_member(uint8_t *out, size_t size, const json_t *json,
                       const char *name)
{
    const json_t *value = json_object_get(json, name);

    return json_is_string(value) && unhex(out, size, json_string_value(value),
                                          json_string_length(value));
}

enum sotto_err audit_head_read(struct audit_head *h, uint8_t pk[PK_SIZE],
                               const json_t *json)
{
    const json_t *size = json_object_get(json, "size"),
                 *time = json_object_get(json, "time_ms");

    memset(h, 0, sizeof *h);
    if (!json_is_integer(size) || json_integer_value(size) < 1 ||
        !json_is_integer(time) ||
        !hex_member(h->root, sizeof h->root, json, "root") ||
        !hex_member(h->signature, sizeof h->signature, json, "signature") ||
        !hex_member(pk, PK_SIZE, json, "key"))
        return SOTTO_EDECODE;
    h->size = (uint64_t)json_integer_value(size);
    h->time_ms = json_integer_value(time);
    return SOTTO_OK;
}

/* ---- lines ---- */

enum sotto_err audit_line_write(struct buf *out, const struct audit_record *r)
{
    char root[HEX_ROOT + 1], signature[HEX_SIGNATURE + 1];
    char front[HEX_ROOT + HEX_SIGNATURE + 32];
    enum sotto_err err;
    int n;

    sodium_bin2hex(root, sizeof root, r->head.root, sizeof r->head.root);
    sodium_bin2hex(signature, sizeof signature, r->head.signature,
                   sizeof r->head.signature);
    n = snprintf(front, sizeof front, "%" PRIu64 " %s %s ", r->head.size, root,
                 signature);
    if ((size_t)n + r->entry.size + 1 > AUDIT_LINE_MAX)
        return SOTTO_ETOOBIG;
    err = buf_append(out, front, (size_t)n);
    if (!err)
        err = buf_append(out, r->entry.data, r->entry.size);
    if (!err)
        err = buf_append(out, "\n", 1);
    return err;
}

/* Cuts what comes before the next space off rest. */
static bool word(struct span *out, struct span *rest)
{
    const uint8_t *space = memchr(rest->data, ' ', rest->size);
    size_t size = space ? (size_t)(space - rest->data) : 0;

    if (!space)
        return false;
    *out = span_of(rest->data, size);
    *rest = span_of(space + 1, rest->size - size - 1);
    return true;
}

static bool decimal(uint64_t *out, struct span text)
{
    *out = 0;
    if (text.size < 1 || text.size > 18 || text.data[0] == '0')
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *out = *out * 10 + (text.data[i] - '0');
    }
    return true;
}

static bool entry_time(int64_t *ms, struct span entry)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)entry.data, entry.size,
                              JSON_REJECT_DUPLICATES, &error);
    const json_t *time = json_object_get(json, "time_ms");
    bool good = json_is_integer(time);

    *ms = json_integer_value(time);
    json_decref(json);
    return good;
}

enum sotto_err audit_line_read(struct audit_record *r, struct span line)
{
    struct span size, root, signature;
    struct audit_head *h = &r->head;

    if (line.size >= AUDIT_LINE_MAX || !word(&size, &line) ||
        !word(&root, &line) || !word(&signature, &line) ||
        !decimal(&h->size, size) ||
        !unhex(h->root, sizeof h->root, (const char *)root.data, root.size) ||
        !unhex(h->signature, sizeof h->signature, (const char *)signature.data,
               signature.size) ||
        !entry_time(&h->time_ms, line))
        return SOTTO_EDECODE;
    r->entry = line;
    return SOTTO_OK;
}

/* ---- a log ---- */

static void log_init(struct audit_log *l)
{
    memset(l, 0, sizeof *l);
    buf_init(&l->bytes, AUDIT_FILE_MAX);
    merkle_init(&l->tree);
}

enum sotto_err audit_log_read(struct audit_log *l, const char *file,
                              struct why *why)
{
    enum sotto_err err;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    log_init(l);
    if (fd < 0)
        return why_say(why, errno == ENOENT ? SOTTO_ENOTFOUND : SOTTO_EIO,
                       "%s: the audit log cannot be read: %s", file,
                       strerror(errno));
    flock(fd, LOCK_SH); /* where there are no locks, it is read without */
    err = buf_read_file(&l->bytes, file);
    close(fd);
    if (err)
        why_say(why, err, "%s: the audit log cannot be read: %s", file,
                err_text(err));
    return err;
}

enum sotto_err audit_log_parse(struct audit_log *l, struct span bytes)
{
    log_init(l);
    return buf_append(&l->bytes, bytes.data, bytes.size);
}

void audit_log_fini(struct audit_log *l)
{
    buf_fini(&l->bytes);
    free(l->places);
    free(l->leaves);
    memset(l, 0, sizeof *l);
}

static enum sotto_err grow(struct audit_log *l)
{
    uint32_t capacity = l->capacity ? l->capacity * 2 : 64;
    void *places, *leaves;

    if (l->count < l->capacity)
        return SOTTO_OK;
    places = realloc(l->places, capacity * sizeof *l->places);
    if (places)
        l->places = places;
    leaves = realloc(l->leaves, capacity * sizeof *l->leaves);
    if (leaves)
        l->leaves = leaves;
    if (!places || !leaves)
        return SOTTO_ENOMEM;
    l->capacity = capacity;
    return SOTTO_OK;
}

static enum sotto_err wrong(struct audit_fault *fault, uint64_t entry,
                            size_t offset, struct why *why, const char *what)
{
    fault->entry = entry;
    fault->offset = offset;
    return why_say(why, SOTTO_ECRYPTO, "entry %" PRIu64 ", at offset %zu: %s",
                   entry, offset, what);
}

static enum sotto_err check_line(struct audit_log *l, size_t offset,
                                 size_t size, const uint8_t *pk,
                                 struct audit_fault *fault, struct why *why)
{
    const uint64_t number = (uint64_t)l->count + 1;
    uint8_t leaf[MERKLE_HASH_SIZE], root[MERKLE_HASH_SIZE];
    struct merkle tree = l->tree;
    struct audit_record r;
    enum sotto_err err;

    if (audit_line_read(&r, span_of(l->bytes.data + offset, size)))
        return wrong(fault, number, offset, why,
                     "is not a line of an audit log: it was changed");
    if (r.head.size != number)
        return wrong(fault, number, offset, why,
                     "has another number: entries were removed, put in or "
                     "moved here");
    merkle_leaf(leaf, r.entry);
    merkle_append(&tree, leaf);
    merkle_root(&tree, root);
    if (memcmp(root, r.head.root, sizeof root) != 0)
        return wrong(fault, number, offset, why,
                     "its root is not that of the entries up to it: the entry "
                     "or its root was changed, or one before it replaced");
    if (pk && !audit_head_good(&r.head, pk))
        return wrong(fault, number, offset, why,
                     "the signature of its head does not hold: it was "
                     "changed, or is of another aggregator");
    err = grow(l);
    if (err)
        return err;
    l->places[l->count].offset = offset;
    l->places[l->count].size = size;
    memcpy(l->leaves[l->count++], leaf, sizeof leaf);
    l->tree = tree;
    l->head = r.head;
    return SOTTO_OK;
}

enum sotto_err audit_log_check(struct audit_log *l, const uint8_t *pk,
                               bool every, struct audit_fault *fault,
                               struct why *why)
{
    enum sotto_err err = SOTTO_OK;
    size_t at = 0;

    memset(fault, 0, sizeof *fault);
    while (!err && at < l->bytes.size) {
        const uint8_t *line = l->bytes.data + at,
                      *end = memchr(line, '\n', l->bytes.size - at);

        if (!end) {
            l->torn = l->bytes.size - at;
            break;
        }
        err = check_line(l, at, (size_t)(end - line), every ? pk : NULL, fault,
                         why);
        at += (size_t)(end - line) + 1;
    }
    if (!err && pk && !every && l->count > 0 && !audit_head_good(&l->head, pk))
        err = wrong(fault, l->count, l->places[l->count - 1].offset, why,
                    "the signature of its head does not hold: it was "
                    "changed, or is of another aggregator");
    return err;
}

enum sotto_err audit_log_follows(const struct audit_log *l,
                                 const struct audit_head *kept,
                                 struct audit_fault *fault, struct why *why)
{
    uint8_t root[MERKLE_HASH_SIZE];

    memset(fault, 0, sizeof *fault);
    if (kept->size > l->count) {
        fault->entry = (uint64_t)l->count + 1;
        fault->offset = l->bytes.size - l->torn;
        return why_say(why, SOTTO_ECRYPTO,
                       "the log ends after entry %" PRIu32
                       ", at offset %zu, but a signed head says there were "
                       "%" PRIu64 ": it was cut, or put back from a backup",
                       l->count, fault->offset, kept->size);
    }
    merkle_root_of((const uint8_t(*)[MERKLE_HASH_SIZE])l->leaves, kept->size,
                   root);
    if (memcmp(root, kept->root, sizeof root) == 0)
        return SOTTO_OK;
    return why_say(why, SOTTO_ECRYPTO,
                   "forked: the first %" PRIu64
                   " entries, up to offset %zu, are not those that a signed "
                   "head of that size speaks for: there are two histories",
                   kept->size,
                   l->places[kept->size - 1].offset +
                       l->places[kept->size - 1].size + 1);
}

struct span audit_log_line(const struct audit_log *l, uint64_t number)
{
    const struct audit_place *p = &l->places[number - 1];

    return span_of(l->bytes.data + p->offset, p->size);
}
