/* See audit_tool.h. Each verb loads the log, checks it with the key and
 * against the head that was kept, and then prints. */
#include "aggregator/audit_tool.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "aggregator/aggregator.h"
#include "base/when.h"
#include "link/tool.h"

#define READ_TRIES 20 /* the owner is just writing what it remembers */
#define READ_PAUSE_US 50000

struct looked {
    struct audit_log log;
    struct audit_head kept; /* size 0: none */
    uint8_t pk[PK_SIZE];
    bool keyed;
    struct buf remembered;
    char file[PATH_MAX];
    struct audit_fault fault;
    struct why why;
};

/* ---- the key and the head ---- */

static enum sotto_err read_key(struct looked *l, const char *given)
{
    char text[2 * PK_SIZE + 3] = "";
    size_t size = 0;
    struct buf bytes;
    enum sotto_err err = SOTTO_OK;

    if (strlen(given) == 2 * PK_SIZE) {
        snprintf(text, sizeof text, "%s", given);
    } else {
        buf_init(&bytes, sizeof text - 1);
        err = buf_read_file(&bytes, given);
        if (!err && bytes.size > 0)
            memcpy(text, bytes.data, bytes.size);
        buf_fini(&bytes);
    }
    text[strcspn(text, "\n")] = 0;
    if (!err && (sodium_hex2bin(l->pk, PK_SIZE, text, strlen(text), NULL, &size,
                                NULL) != 0 ||
                 size != PK_SIZE))
        err = SOTTO_EINVAL;
    if (err)
        return why_say(&l->why, SOTTO_EINVAL,
                       "--key %s: is not a public key of %d hex digits, nor a "
                       "file of one; `audit head` prints it",
                       given, 2 * PK_SIZE);
    l->keyed = true;
    return SOTTO_OK;
}

static enum sotto_err read_head(struct looked *l, const char *file)
{
    uint8_t pk[PK_SIZE];
    json_error_t error;
    json_t *json = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
    enum sotto_err err = audit_head_read(&l->kept, pk, json);

    json_decref(json);
    if (err)
        return why_say(&l->why, SOTTO_EINVAL,
                       "%s: is not a head that `audit head` printed", file);
    if (l->keyed && memcmp(pk, l->pk, PK_SIZE) != 0)
        return why_say(&l->why, SOTTO_ECRYPTO,
                       "%s: is the head of another aggregator's log", file);
    memcpy(l->pk, pk, PK_SIZE);
    l->keyed = true;
    if (!audit_head_good(&l->kept, pk))
        return why_say(&l->why, SOTTO_ECRYPTO,
                       "%s: its signature does not hold: it was changed", file);
    return SOTTO_OK;
}

/* Where the log is, and with which key and head it is checked. */
static enum sotto_err prepare(struct looked *l, const struct audit_ask *ask)
{
    struct settings settings;
    enum sotto_err err = SOTTO_OK;

    memset(l, 0, sizeof *l);
    buf_init(&l->remembered, AUDIT_LINE_MAX);
    if (sodium_init() < 0)
        return SOTTO_ECRYPTO;
    if (ask->file) {
        snprintf(l->file, sizeof l->file, "%s", ask->file);
    } else {
        err = aggregator_settings_load(&settings, ask->dir, &l->why);
        snprintf(l->file, sizeof l->file, "%s", settings.audit_log);
    }
    if (!err && ask->key) {
        err = read_key(l, ask->key);
    } else if (!err && !ask->file) {
        err = aggregator_signs(ask->dir, l->pk, &l->remembered, &l->why);
        l->keyed = !err;
        if (err && !*l->why.text)
            why_say(&l->why, err, "%s: %s", ask->dir, err_text(err));
    }
    if (!err && ask->head)
        err = read_head(l, ask->head);
    if (!err && !l->keyed)
        err = why_say(&l->why, SOTTO_EINVAL,
                      "%s: name the public key with --key, or a head that was "
                      "kept with --head",
                      l->file);
    return err;
}

/* ---- looking ---- */

static enum sotto_err torn(struct looked *l)
{
    l->fault.entry = (uint64_t)l->log.count + 1;
    l->fault.offset = l->log.bytes.size - l->log.torn;
    return why_say(&l->why, SOTTO_ECRYPTO,
                   "entry %" PRIu64 ", at offset %zu: ends in the middle: the "
                   "log was cut, or a crash interrupted the entry; then the "
                   "aggregator's next start removes it and says so",
                   l->fault.entry, l->fault.offset);
}

static enum sotto_err empty(struct looked *l)
{
    l->fault.entry = 1;
    return why_say(&l->why, SOTTO_ECRYPTO,
                   "the log is empty: it was cut, for it begins with its first "
                   "entry");
}

/* The owner tells the store of an entry before it writes it. */
static bool behind_store(const struct looked *l)
{
    struct audit_record r;

    return l->remembered.size > 0 &&
           audit_line_read(&r, span_of(l->remembered.data,
                                       l->remembered.size)) == SOTTO_OK &&
           r.head.size == (uint64_t)l->log.count + 1;
}

static enum sotto_err against_store(struct looked *l)
{
    struct audit_record r;

    if (l->remembered.size == 0)
        return SOTTO_OK;
    if (audit_line_read(&r, span_of(l->remembered.data, l->remembered.size)))
        return why_say(&l->why, SOTTO_ECRYPTO,
                       "what the store remembers of the log is damaged");
    if (!behind_store(l))
        return audit_log_follows(&l->log, &r.head, &l->fault, &l->why);
    l->fault.entry = r.head.size;
    l->fault.offset = l->log.bytes.size;
    return why_say(&l->why, SOTTO_ECRYPTO,
                   "ends after entry %" PRIu32
                   ", at offset %zu, and the store remembers one more: it was "
                   "cut, or a crash or a full disk kept it out; the "
                   "aggregator's next start writes it again",
                   l->log.count, l->fault.offset);
}

static enum sotto_err look_once(struct looked *l)
{
    enum sotto_err err = audit_log_read(&l->log, l->file, &l->why);

    if (err == SOTTO_ENOTFOUND && l->remembered.size > 0)
        err = why_say(&l->why, SOTTO_ECRYPTO,
                      "is missing, and the store remembers its entries: it was "
                      "removed, or `audit_log` names another place");
    if (!err)
        err = audit_log_check(&l->log, l->pk, true, &l->fault, &l->why);
    if (!err && l->log.torn > 0)
        err = torn(l);
    if (!err && l->log.count == 0)
        err = empty(l);
    if (!err)
        err = against_store(l);
    if (!err && l->kept.size > 0)
        err = audit_log_follows(&l->log, &l->kept, &l->fault, &l->why);
    return err;
}

static enum sotto_err look(struct looked *l, const struct audit_ask *ask)
{
    enum sotto_err err = prepare(l, ask);

    if (!err)
        err = look_once(l);
    for (int i = 0; err == SOTTO_ECRYPTO && behind_store(l) && i < READ_TRIES;
         i++) {
        audit_log_fini(&l->log);
        usleep(READ_PAUSE_US);
        err = look_once(l);
    }
    return err;
}

static void looked_fini(struct looked *l)
{
    audit_log_fini(&l->log);
    buf_fini(&l->remembered);
}

/* ---- printing ---- */

static int print_json(json_t *json, int code)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
    return code;
}

static int complain(const struct looked *l, const struct audit_ask *ask,
                    enum sotto_err err)
{
    const int code = (int)err_exit(err);
    const char *text = *l->why.text ? l->why.text : err_text(err);

    if (ask->json && err == SOTTO_ECRYPTO)
        return print_json(json_pack("{s:b,s:s,s:I,s:I,s:s}", "verified", 0,
                                    "file", l->file, "entry",
                                    (json_int_t)l->fault.entry, "offset",
                                    (json_int_t)l->fault.offset, "why", text),
                          code);
    fprintf(stderr, "%s: audit log %s: %s\n", ask->program, l->file, text);
    return code;
}

static void hex_text(char out[2 * MERKLE_HASH_SIZE + 1],
                     const uint8_t hash[MERKLE_HASH_SIZE])
{
    sodium_bin2hex(out, 2 * MERKLE_HASH_SIZE + 1, hash, MERKLE_HASH_SIZE);
}

static json_t *proof_json(const struct merkle_proof *p)
{
    json_t *list = json_array();
    char text[2 * MERKLE_HASH_SIZE + 1];

    for (uint32_t i = 0; i < p->count; i++) {
        hex_text(text, p->hash[i]);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static void print_proof(const struct merkle_proof *p)
{
    char text[2 * MERKLE_HASH_SIZE + 1];

    for (uint32_t i = 0; i < p->count; i++) {
        hex_text(text, p->hash[i]);
        printf("  %s\n", text);
    }
}

static json_t *entry_json(const struct audit_log *l, uint64_t number)
{
    struct audit_record r;
    json_error_t error;
    json_t *entry;

    if (audit_line_read(&r, audit_log_line(l, number)))
        return NULL;
    entry = json_loadb((const char *)r.entry.data, r.entry.size, 0, &error);
    json_object_set_new(entry, "entry", json_integer((json_int_t)number));
    return entry;
}

static void print_entry(const json_t *entry)
{
    const json_t *details = json_object_get(entry, "details");
    char *text = json_dumps(details, JSON_COMPACT);

    printf("%6lld  %-20s  %-16s %-11s %s\n", int_at(entry, "entry"),
           text_at(entry, "time"), text_at(entry, "kind"),
           text_at(entry, "actor"),
           text && json_object_size(details) > 0 ? text : "");
    free(text);
}

/* ---- verbs ---- */

/* What is good is shown, also of a log that is not. */
int audit_tool_list(const struct audit_ask *ask)
{
    struct looked l;
    enum sotto_err err = look(&l, ask);
    json_t *list = json_array();
    int code = EXIT_GOOD;

    for (uint64_t n = 1; n <= l.log.count; n++)
        json_array_append_new(list, entry_json(&l.log, n));
    if (!ask->json)
        for (size_t i = 0; i < json_array_size(list); i++)
            print_entry(json_array_get(list, i));
    if (err)
        code = complain(&l, ask, err);
    else if (ask->json)
        print_json(json_incref(list), code);
    json_decref(list);
    looked_fini(&l);
    return code;
}

int audit_tool_verify(const struct audit_ask *ask)
{
    struct looked l;
    enum sotto_err err = look(&l, ask);
    char root[2 * MERKLE_HASH_SIZE + 1], when[32];
    int code = EXIT_GOOD;

    if (err) {
        code = complain(&l, ask, err);
    } else if (ask->json) {
        code =
            print_json(json_pack("{s:b,s:s,s:I,s:o,s:I}", "verified", 1, "file",
                                 l.file, "entries", (json_int_t)l.log.count,
                                 "head", audit_head_json(&l.log.head, l.pk),
                                 "follows", (json_int_t)l.kept.size),
                       code);
    } else {
        hex_text(root, l.log.head.root);
        when_format(when, l.log.head.time_ms);
        printf("%s: %" PRIu32 " entries, the last of %s: every entry, number, "
               "root and signature holds\nroot %s\n",
               l.file, l.log.count, when, root);
        if (l.kept.size > 0)
            printf("it goes on from the head of %" PRIu64 " entries in %s\n",
                   l.kept.size, ask->head);
        else
            printf("no head was given: a log that was cut after an entry, or "
                   "signed anew, is only seen with --head\n");
    }
    looked_fini(&l);
    return code;
}

int audit_tool_head(const struct audit_ask *ask)
{
    struct looked l;
    enum sotto_err err = look(&l, ask);
    int code = err ? complain(&l, ask, err)
                   : print_json(audit_head_json(&l.log.head, l.pk), EXIT_GOOD);

    looked_fini(&l);
    return code;
}

static const uint8_t (*leaves(const struct looked *l))[MERKLE_HASH_SIZE]
{
    return (const uint8_t(*)[MERKLE_HASH_SIZE])l->log.leaves;
}

static int print_inclusion(const struct looked *l, const struct audit_ask *ask,
                           uint64_t number)
{
    char leaf[2 * MERKLE_HASH_SIZE + 1], root[2 * MERKLE_HASH_SIZE + 1];
    const uint64_t count = l->log.count;
    struct merkle_proof proof;
    json_t *entry = entry_json(&l->log, number);

    merkle_inclusion(leaves(l), count, number - 1, &proof);
    hex_text(leaf, l->log.leaves[number - 1]);
    hex_text(root, l->log.head.root);
    if (ask->json)
        return print_json(json_pack("{s:o,s:I,s:s,s:o,s:o}", "entry", entry,
                                    "leaf_index", (json_int_t)number - 1,
                                    "leaf", leaf, "path", proof_json(&proof),
                                    "head",
                                    audit_head_json(&l->log.head, l->pk)),
                          EXIT_GOOD);
    print_entry(entry);
    json_decref(entry);
    printf("is entry %" PRIu64 " of %" PRIu64 ": leaf %s\nwith\n", number,
           count, leaf);
    print_proof(&proof);
    printf("makes the signed root\n  %s\n", root);
    return EXIT_GOOD;
}

int audit_tool_prove(const struct audit_ask *ask, const char *number)
{
    struct looked l;
    enum sotto_err err = look(&l, ask);
    int64_t wanted = 0;
    int code;

    if (!err && (int_parse(&wanted, span_text(number)) || wanted < 1 ||
                 wanted > l.log.count))
        err = why_say(&l.why, SOTTO_EINVAL,
                      "%s: the entries have numbers from 1 to %" PRIu32, number,
                      l.log.count);
    code = err ? complain(&l, ask, err)
               : print_inclusion(&l, ask, (uint64_t)wanted);
    looked_fini(&l);
    return code;
}

static int print_consistency(const struct looked *l,
                             const struct audit_ask *ask)
{
    char from[2 * MERKLE_HASH_SIZE + 1], to[2 * MERKLE_HASH_SIZE + 1];
    struct merkle_proof proof;

    merkle_consistency(leaves(l), l->log.count, l->kept.size, &proof);
    hex_text(from, l->kept.root);
    hex_text(to, l->log.head.root);
    if (ask->json)
        return print_json(json_pack("{s:o,s:o,s:o}", "from",
                                    audit_head_json(&l->kept, l->pk), "proof",
                                    proof_json(&proof), "head",
                                    audit_head_json(&l->log.head, l->pk)),
                          EXIT_GOOD);
    printf("the signed root of %" PRIu64 " entries\n  %s\nwith\n", l->kept.size,
           from);
    print_proof(&proof);
    printf("is the beginning of that of %" PRIu32 "\n  %s\n", l->log.count, to);
    return EXIT_GOOD;
}

int audit_tool_consistency(const struct audit_ask *ask)
{
    struct looked l;
    enum sotto_err err = look(&l, ask);
    int code = err ? complain(&l, ask, err) : print_consistency(&l, ask);

    looked_fini(&l);
    return code;
}
