/* See home.h. Files are written whole (file_replace), secrets with mode 0600.
 */
#include "agent/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#define SMALL_FILE_MAX (64 * 1024)
#define OFFICER_BEFORE "officer.before" /* its keys are being destroyed */

static void file_of(char out[512], const char *dir, const char *name)
{
    snprintf(out, 512, "%s/%s", dir, name);
}

static bool has_file(const char *dir, const char *name)
{
    char file[512];

    file_of(file, dir, name);
    return access(file, F_OK) == 0;
}

static enum sotto_err write_file(const char *dir, const char *name,
                                 struct span bytes, struct why *why)
{
    char file[512];
    enum sotto_err err;

    file_of(file, dir, name);
    err = file_replace(file, bytes.data, bytes.size, 0600);
    return err ? why_say(why, err, "%s: cannot be written: %s", file,
                         strerror(errno))
               : SOTTO_OK;
}

static enum sotto_err make_keys(const char *dir, struct why *why)
{
    struct keys *k = NULL;
    struct buf secret;
    enum sotto_err err;

    if (has_file(dir, "agent.keys"))
        return SOTTO_OK;
    buf_init(&secret, 1024);
    err = keys_make(&k);
    if (!err)
        err = keys_save(k, &secret);
    if (!err)
        err = write_file(dir, "agent.keys", span_of(secret.data, secret.size),
                         why);
    buf_wipe(&secret);
    keys_free(k);
    return err;
}

/* Whether text is token t, however its white space was copied. */
static bool same_token(const struct token *t, struct span text)
{
    struct buf scratch;
    struct token old;
    bool same;

    buf_init(&scratch, SMALL_FILE_MAX);
    same = token_read(&old, text, &scratch) == SOTTO_OK &&
           sodium_memcmp(old.secret, t->secret, sizeof old.secret) == 0 &&
           memcmp(old.sign_pk, t->sign_pk, PK_SIZE) == 0;
    sodium_memzero(&old, sizeof old);
    buf_wipe(&scratch);
    return same;
}

/* The same token again is fine (a lost reply), another is not. */
static enum sotto_err keep_token(const char *dir, struct span text,
                                 struct why *why)
{
    struct buf scratch, old;
    struct token t;
    char file[512];
    enum sotto_err err;

    buf_init(&scratch, SMALL_FILE_MAX);
    buf_init(&old, SMALL_FILE_MAX);
    file_of(file, dir, "token");
    err = token_read(&t, text, &scratch);
    if (err) {
        err = why_say(why, err,
                      "the token file is not one that `sotto-aggregator "
                      "enroll` printed; copy it again, whole");
    } else if (buf_read_file(&old, file) == SOTTO_OK) {
        if (!same_token(&t, span_of(old.data, old.size)))
            err = why_say(why, SOTTO_EEXIST,
                          "%s is enrolled with another token already; use "
                          "another directory or remove this one",
                          dir);
    } else {
        err = write_file(dir, "token", text, why);
    }
    sodium_memzero(&t, sizeof t);
    buf_wipe(&old);
    buf_wipe(&scratch);
    return err;
}

/* Whether dir has a bundle of another tenant than this one. */
static bool has_other_tenant(const char *dir, const char *tenant)
{
    struct bundle old;
    struct buf bytes;
    char file[512];
    bool other = false;

    file_of(file, dir, "officer");
    buf_init(&bytes, BUNDLE_FILE_MAX);
    if (buf_read_file(&bytes, file) == SOTTO_OK &&
        bundle_decode(&old, span_of(bytes.data, bytes.size)) == SOTTO_OK) {
        other = strcmp(old.tenant, tenant) != 0;
        bundle_fini(&old);
    }
    buf_wipe(&bytes);
    return other;
}

static enum sotto_err keep_bundle(const char *dir, struct span file,
                                  const char *code, struct why *why)
{
    struct bundle b;
    struct buf plain;
    enum sotto_err err = bundle_open(&b, file, code);

    if (err)
        return why_say(why, err,
                       err == SOTTO_ECRYPTO
                           ? "the code does not open this bundle; ask the "
                             "officer for the code printed with this file"
                           : "the bundle file is not one that `sotto-policy "
                             "bundle` wrote");
    buf_init(&plain, BUNDLE_FILE_MAX);
    if (has_other_tenant(dir, b.tenant))
        err = why_say(why, SOTTO_EEXIST,
                      "the bundle is for \"%s\", %s belongs to another; use "
                      "another directory",
                      b.tenant, dir);
    if (!err)
        err = bundle_encode(&plain, &b);
    if (!err)
        err = write_file(dir, "officer", span_of(plain.data, plain.size), why);
    buf_wipe(&plain);
    bundle_fini(&b);
    return err;
}

enum sotto_err home_make(const char *dir, struct span token_text,
                         struct span bundle_file, const char *code,
                         struct why *why)
{
    enum sotto_err err;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return why_say(why, SOTTO_EIO, "%s: cannot be made: %s", dir,
                       strerror(errno));
    err = keep_token(dir, token_text, why);
    if (!err)
        err = keep_bundle(dir, bundle_file, code, why);
    if (!err)
        err = make_keys(dir, why);
    return err;
}

static enum sotto_err load_token(struct home *h, struct span text)
{
    struct buf scratch;
    struct token t;
    enum sotto_err err;

    buf_init(&scratch, SMALL_FILE_MAX);
    err = token_read(&t, text, &scratch);
    if (!err &&
        (t.address.size >= sizeof h->address || t.name.size >= sizeof h->name))
        err = SOTTO_ETOOBIG;
    if (!err) {
        memcpy(h->address, t.address.data, t.address.size);
        memcpy(h->name, t.name.data, t.name.size);
        memcpy(h->secret, t.secret, 32);
        peer_init(&h->aggregator, t.sign_pk, t.box_pk);
    }
    sodium_memzero(&t, sizeof t);
    buf_wipe(&scratch);
    return err;
}

/* Reads DIR/name and hands it to take; text for people on failure. */
static enum sotto_err load_file(struct home *h, const char *name,
                                enum sotto_err (*take)(struct home *h,
                                                       struct span bytes),
                                struct why *why)
{
    struct buf bytes;
    char file[512];
    enum sotto_err err;

    file_of(file, h->dir, name);
    buf_init(&bytes, BUNDLE_FILE_MAX);
    err = buf_read_file(&bytes, file);
    if (err == SOTTO_ENOTFOUND)
        why_say(why, err, "%s: missing; run `sotto-agent enroll` first", file);
    else if (err)
        why_say(why, err, "%s: %s", file, err_text(err));
    else if ((err = take(h, span_of(bytes.data, bytes.size))) != SOTTO_OK)
        why_say(why, err, "%s: damaged (%s); restore it or enrol again", file,
                err_text(err));
    buf_wipe(&bytes);
    return err;
}

static enum sotto_err take_keys(struct home *h, struct span bytes)
{
    enum sotto_err err = keys_load(&h->keys, bytes);

    if (!err)
        crypto_generichash(h->import_key, 32, (const uint8_t *)"sotto import",
                           12, h->keys->sign_sk, 64);
    return err;
}

static enum sotto_err take_officer(struct home *h, struct span bytes)
{
    return bundle_decode(&h->officer, bytes);
}

enum sotto_err home_load(struct home **out, const char *dir, struct why *why)
{
    struct home *h = calloc(1, sizeof *h);
    enum sotto_err err = SOTTO_ENOMEM;

    if (!h)
        return SOTTO_ENOMEM;
    snprintf(h->dir, sizeof h->dir, "%s", dir);
    h->secret = sodium_malloc(32);
    h->import_key = sodium_malloc(32);
    if (!h->secret || !h->import_key)
        goto fail;
    err = load_file(h, "token", load_token, why);
    if (!err)
        err = load_file(h, "agent.keys", take_keys, why);
    if (!err)
        err = load_file(h, "officer", take_officer, why);
    if (err)
        goto fail;
    h->enrolled = has_file(dir, "agent.cert");
    *out = h;
    return SOTTO_OK;

fail:
    home_free(h);
    return err;
}

void home_free(struct home *h)
{
    if (!h)
        return;
    keys_free(h->keys);
    bundle_fini(&h->officer);
    sodium_free(h->secret);
    sodium_free(h->import_key);
    free(h);
}

/* Zeros over a file's bytes before its name goes. What a disk keeps of its own
 * (copies on write, worn cells) is below us. */
static enum sotto_err file_destroy(const char *path)
{
    static const uint8_t zeros[4096];
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    off_t at = 0;
    bool good;

    if (fd < 0)
        return errno == ENOENT ? SOTTO_OK : SOTTO_EIO;
    good = fstat(fd, &st) == 0;
    while (good && at < st.st_size) {
        off_t left = st.st_size - at;
        ssize_t n = pwrite(
            fd, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros,
            at);

        good = n > 0;
        at += n;
    }
    good = good && fsync(fd) == 0;
    close(fd);
    return good && unlink(path) == 0 ? SOTTO_OK : SOTTO_EIO;
}

/* What a crash left of the officer file before. Before the rename both names
 * are the same file, which lives on. */
enum sotto_err home_destroy_rest(const struct home *h)
{
    char now[512], before[512];
    struct stat a, b;

    file_of(now, h->dir, "officer");
    file_of(before, h->dir, OFFICER_BEFORE);
    if (stat(now, &a) == 0 && lstat(before, &b) == 0 && a.st_ino == b.st_ino &&
        a.st_dev == b.st_dev)
        return unlink(before) == 0 ? SOTTO_OK : SOTTO_EIO;
    return file_destroy(before);
}

/* The old file keeps a name until its bytes are gone. */
enum sotto_err home_rekey(const struct home *h, struct pseudonym_keys *keys)
{
    struct bundle with = h->officer;
    char now[512], before[512];
    struct buf plain;
    enum sotto_err err;

    with.keys = keys;
    file_of(now, h->dir, "officer");
    file_of(before, h->dir, OFFICER_BEFORE);
    buf_init(&plain, BUNDLE_FILE_MAX);
    err = bundle_encode(&plain, &with);
    if (!err)
        err = home_destroy_rest(h);
    if (!err && link(now, before) != 0)
        err = SOTTO_EIO;
    if (!err)
        err = write_file(h->dir, "officer", span_of(plain.data, plain.size),
                         NULL);
    if (!err)
        err = home_destroy_rest(h);
    buf_wipe(&plain);
    return err;
}

enum sotto_err home_enrolled(struct home *h, struct span certificate)
{
    enum sotto_err err = write_file(h->dir, "agent.cert", certificate, NULL);

    if (!err)
        h->enrolled = true;
    return err;
}
