/* Secrets go from sodium_malloc memory to the file and back; the buffers in
 * between are reserved whole and wiped. */
#include "agent/policy_tool/officer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/epoch.h"

#define MASTER_FILE "pseudonym.secret"
#define KEY_FILE_MAX 4096
#define EPOCH_LINE_MAX 160

/* A file that was not there before. Removed again if it cannot be whole. */
static enum sotto_err file_make(const char *path, const struct buf *text,
                                mode_t mode, struct why *why)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    size_t written = 0;
    bool failed = false;

    if (fd < 0 && errno == EEXIST)
        return why_say(why, SOTTO_EEXIST,
                       "%s: exists and is not overwritten; choose another "
                       "directory or name",
                       path);
    if (fd < 0)
        return why_say(why, SOTTO_EIO, "%s: cannot be made: %s", path,
                       strerror(errno));
    while (!failed && written < text->size) {
        ssize_t n = write(fd, text->data + written, text->size - written);

        if (n > 0)
            written += (size_t)n;
        else
            failed = !(n < 0 && errno == EINTR);
    }
    failed |= fsync(fd) != 0;
    failed |= close(fd) != 0;
    if (!failed)
        return SOTTO_OK;
    unlink(path);
    return why_say(why, SOTTO_EIO, "%s: cannot be written: %s", path,
                   strerror(errno));
}

/* Over the bytes that are there, of a line whose length hardly changes: the key
 * before must not survive in a file of its own. A crash in between leaves a
 * line that does not parse, and the officer's backup of it. */
static enum sotto_err file_overwrite(const char *path, const struct buf *text,
                                     struct why *why)
{
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 &&
                pwrite(fd, text->data, text->size, 0) == (ssize_t)text->size &&
                ftruncate(fd, (off_t)text->size) == 0 && fsync(fd) == 0;

    if (fd >= 0)
        good = close(fd) == 0 && good;
    return good ? SOTTO_OK
                : why_say(why, SOTTO_EIO, "%s: cannot be written: %s", path,
                          strerror(errno));
}

static enum sotto_err path_of(char out[OFFICER_PATH_MAX], const char *dir,
                              const char *name, const char *suffix,
                              struct why *why)
{
    int n = snprintf(out, OFFICER_PATH_MAX, "%s/%s%s", dir, name, suffix);

    if (n < 0 || n >= OFFICER_PATH_MAX)
        return why_say(why, SOTTO_ETOOBIG, "the path of %s%s is too long", name,
                       suffix);
    return SOTTO_OK;
}

/* What is there already is found before anything is made. */
static enum sotto_err must_be_free(const char *path, struct why *why)
{
    struct stat st;

    if (lstat(path, &st) == 0)
        return why_say(why, SOTTO_EEXIST,
                       "%s: exists and is not overwritten; choose another "
                       "directory or name",
                       path);
    return SOTTO_OK;
}

static bool name_is_plain(const char *name)
{
    return *name && strlen(name) <= NAME_MAX_SIZE && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-.") == strlen(name);
}

static enum sotto_err master_write(const char *path, struct why *why)
{
    const size_t text_size =
        sodium_base64_ENCODED_LEN(MASTER_SIZE, sodium_base64_VARIANT_ORIGINAL);
    uint8_t *master = sodium_malloc(MASTER_SIZE);
    struct buf text;
    enum sotto_err err;

    buf_init(&text, KEY_FILE_MAX);
    err = master ? buf_reserve(&text, text_size) : SOTTO_ENOMEM;
    if (err) {
        why_say(why, err, "%s: %s", path, err_text(err));
        goto done;
    }
    randombytes_buf(master, MASTER_SIZE);
    sodium_bin2base64((char *)text.data, text_size, master, MASTER_SIZE,
                      sodium_base64_VARIANT_ORIGINAL);
    text.data[text_size - 1] = '\n'; /* in place of the final zero */
    text.size = text_size;
    err = file_make(path, &text, 0600, why);

done:
    sodium_free(master);
    buf_wipe(&text);
    return err;
}

static enum sotto_err pair_write(const char *sec_path, const char *pub_path,
                                 struct minisign_pk *pk, struct why *why)
{
    struct minisign_sk *sk = NULL;
    struct buf secret, public;
    enum sotto_err err = minisign_make(&sk, pk);

    buf_init(&secret, KEY_FILE_MAX);
    buf_init(&public, KEY_FILE_MAX);
    if (!err)
        err = minisign_sk_write(&secret, sk);
    if (!err)
        err = minisign_pk_write(&public, pk);
    if (err) {
        why_say(why, err, "%s: %s", sec_path, err_text(err));
    } else {
        err = file_make(sec_path, &secret, 0600, why);
        if (!err)
            err = file_make(pub_path, &public, 0644, why);
    }
    minisign_free(sk);
    buf_wipe(&secret);
    buf_fini(&public);
    return err;
}

enum sotto_err officer_keygen(const char *dir, const char *name,
                              bool without_master, struct minisign_pk *pk,
                              struct why *why)
{
    char sec[OFFICER_PATH_MAX], pub[OFFICER_PATH_MAX], master[OFFICER_PATH_MAX];
    enum sotto_err err;

    if (!name_is_plain(name))
        return why_say(why, SOTTO_EINVAL,
                       "--name: use letters, digits, `_`, `-` and `.`, at most "
                       "%d",
                       NAME_MAX_SIZE);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return why_say(why, SOTTO_EIO, "%s: cannot be made: %s", dir,
                       strerror(errno));
    err = path_of(sec, dir, name, ".sec", why);
    if (!err)
        err = path_of(pub, dir, name, ".pub", why);
    if (!err)
        err = path_of(master, dir, MASTER_FILE, "", why);
    if (!err)
        err = must_be_free(sec, why);
    if (!err)
        err = must_be_free(pub, why);
    if (!err && !without_master)
        err = must_be_free(master, why);
    if (!err)
        err = pair_write(sec, pub, pk, why);
    if (!err && !without_master)
        err = master_write(master, why);
    return err;
}

enum sotto_err officer_master_load(uint8_t **master, const char *dir,
                                   struct why *why)
{
    char path[OFFICER_PATH_MAX];
    struct buf text;
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum sotto_err err = path_of(path, dir, MASTER_FILE, "", why);

    if (err)
        return err;
    buf_init(&text, KEY_FILE_MAX);
    err = buf_reserve(&text, KEY_FILE_MAX);
    if (!err)
        err = buf_read_file(&text, path);
    if (!err && !(bytes = sodium_malloc(MASTER_SIZE)))
        err = SOTTO_ENOMEM;
    if (err) {
        why_say(why, err, "%s: cannot be read: %s", path, err_text(err));
        goto done;
    }
    if (sodium_base642bin(bytes, MASTER_SIZE, (const char *)text.data,
                          text.size, "\r\n", &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) ||
        size != MASTER_SIZE) {
        sodium_free(bytes);
        err = why_say(why, SOTTO_EDECODE,
                      "%s: is not a pseudonym secret (base64 of %d bytes); "
                      "restore it from its backup",
                      path, MASTER_SIZE);
        goto done;
    }
    *master = bytes;

done:
    buf_wipe(&text);
    return err;
}

void officer_key_derive(uint8_t out[32], const uint8_t master[MASTER_SIZE],
                        const char *tenant, const char *key)
{
    static const char label[] = "sotto pseudonym key";
    crypto_generichash_state h;

    /* Each part with its final zero but the last. */
    crypto_generichash_init(&h, master, MASTER_SIZE, 32);
    crypto_generichash_update(&h, (const uint8_t *)label, sizeof(label));
    crypto_generichash_update(&h, (const uint8_t *)tenant, strlen(tenant) + 1);
    crypto_generichash_update(&h, (const uint8_t *)key, strlen(key));
    crypto_generichash_final(&h, out, 32);
    sodium_memzero(&h, sizeof(h));
}

/* NAME.epoch is one line: the epoch's length and its number, destroy_after, all
 * in milliseconds but the number, and the secret as hexadecimal digits:
 *   86400000 20780 172800000 5f0c... */
static enum sotto_err epoch_write(const char *path,
                                  const struct pseudonym_keys *k, uint32_t i,
                                  bool first, struct why *why)
{
    struct buf text;
    enum sotto_err err;
    int n;

    buf_init(&text, KEY_FILE_MAX);
    err = buf_reserve(&text, EPOCH_LINE_MAX);
    if (err) {
        why_say(why, err, "%s: %s", path, err_text(err));
        goto done;
    }
    n = snprintf((char *)text.data, EPOCH_LINE_MAX - 65, "%lld %llu %lld ",
                 (long long)k->epoch_ms[i], (unsigned long long)k->first[i],
                 (long long)k->destroy_ms[i]);
    sodium_bin2hex((char *)text.data + n, 65, k->secrets[i], 32);
    text.size = (size_t)n + 65;
    text.data[text.size - 1] = '\n';
    err = first ? file_make(path, &text, 0600, why)
                : file_overwrite(path, &text, why);

done:
    buf_wipe(&text);
    return err;
}

static enum sotto_err epoch_parse(struct pseudonym_keys *k, uint32_t i,
                                  const char *line)
{
    unsigned long long first;
    long long epoch, destroy;
    size_t size = 0;
    int at = 0;

    if (sscanf(line, "%lld %llu %lld %n", &epoch, &first, &destroy, &at) != 3 ||
        at == 0 || epoch < POLICY_EPOCH_MIN || epoch > POLICY_EPOCH_MAX ||
        sodium_hex2bin(k->secrets[i], 32, line + at, strlen(line + at), "\n",
                       &size, NULL) != 0 ||
        size != 32)
        return SOTTO_EDECODE;
    k->epoch_ms[i] = epoch;
    k->first[i] = first;
    k->destroy_ms[i] = destroy;
    return SOTTO_OK;
}

static enum sotto_err epoch_read(struct pseudonym_keys *k, uint32_t i,
                                 const char *path, struct why *why)
{
    struct buf text;
    enum sotto_err err;

    buf_init(&text, KEY_FILE_MAX);
    err = buf_reserve(&text, KEY_FILE_MAX);
    if (!err)
        err = buf_read_file(&text, path);
    if (err == SOTTO_ENOTFOUND)
        goto done;
    if (!err)
        err = buf_append(&text, "", 1);
    if (!err)
        err = epoch_parse(k, i, (const char *)text.data);
    if (err)
        why_say(why, err, "%s: cannot be read: %s; restore it from its backup",
                path, err_text(err));

done:
    buf_wipe(&text);
    return err;
}

/* A key of its own for each epoch, from its file or made now. */
static enum sotto_err epoch_key(struct pseudonym_keys *k, uint32_t i,
                                const struct policy_key *key, const char *dir,
                                struct why *why)
{
    int64_t now_ms = clock_wall_ms(&clock_system);
    uint64_t kept = epoch_kept(now_ms, key->epoch_ms, key->destroy_ms);
    char path[OFFICER_PATH_MAX];
    enum sotto_err err = SOTTO_ENOTFOUND;

    if (dir)
        err = path_of(path, dir, key->name, ".epoch", why);
    if (dir && !err)
        err = epoch_read(k, i, path, why);
    if (err == SOTTO_ENOTFOUND) {
        randombytes_buf(k->secrets[i], sizeof(k->secrets[i]));
        k->epoch_ms[i] = key->epoch_ms;
        k->destroy_ms[i] = key->destroy_ms;
        k->first[i] = kept;
        return dir ? epoch_write(path, k, i, true, why) : SOTTO_OK;
    }
    if (err)
        return err;
    if (k->epoch_ms[i] != key->epoch_ms)
        return why_say(why, SOTTO_EINVAL,
                       "%s: is of another length of epoch; give the key of the "
                       "policy a new name",
                       path);
    k->destroy_ms[i] = key->destroy_ms;
    if (kept <= k->first[i])
        return SOTTO_OK;
    if (kept - k->first[i] > EPOCH_STEPS_MAX)
        return why_say(why, SOTTO_EINVAL,
                       "%s: is %llu epochs behind this machine's clock; set "
                       "the clock, or remove the file to begin anew",
                       path, (unsigned long long)(kept - k->first[i]));
    epoch_turn(k->secrets[i], kept - k->first[i]);
    k->first[i] = kept;
    return epoch_write(path, k, i, false, why);
}

enum sotto_err officer_keys(struct pseudonym_keys **out, const struct policy *p,
                            const char *dir, struct why *why)
{
    struct pseudonym_keys *keys = NULL;
    uint8_t *master = NULL;
    enum sotto_err err = SOTTO_OK;

    if (dir) {
        err = officer_master_load(&master, dir, why);
    } else if ((master = sodium_malloc(MASTER_SIZE))) {
        randombytes_buf(master, MASTER_SIZE);
    } else {
        err = why_say(why, SOTTO_ENOMEM, "no memory for keys");
    }
    if (err)
        return err;
    keys = pseudonym_keys_make();
    if (!keys) {
        sodium_free(master);
        return why_say(why, SOTTO_ENOMEM, "no memory for keys");
    }
    for (int i = 0; !err && i < p->key_count; i++) {
        const struct policy_key *key = &p->keys[i];

        memcpy(keys->names[i], key->name, sizeof(keys->names[i]));
        keys->count++;
        if (key->epoch_ms > 0)
            err = epoch_key(keys, (uint32_t)i, key, dir, why);
        else
            officer_key_derive(keys->secrets[i], master, p->tenant, key->name);
    }
    sodium_free(master);
    if (err) {
        pseudonym_keys_free(keys);
        return err;
    }
    *out = keys;
    return SOTTO_OK;
}

enum sotto_err officer_pk_load(struct minisign_pk *pk, const char *file,
                               struct why *why)
{
    struct buf text;
    enum sotto_err err;

    buf_init(&text, KEY_FILE_MAX);
    err = buf_read_file(&text, file);
    if (err) {
        why_say(why, err, "%s: cannot be read: %s", file, err_text(err));
    } else {
        err = minisign_pk_read(pk, span_of(text.data, text.size));
        if (err)
            why_say(why, err,
                    "%s: is not a minisign public key; give the NAME.pub that "
                    "`keygen` made",
                    file);
    }
    buf_fini(&text);
    return err;
}

enum sotto_err officer_sk_load(struct minisign_sk **sk, const char *file,
                               struct why *why)
{
    struct buf text;
    enum sotto_err err;

    buf_init(&text, KEY_FILE_MAX);
    err = buf_reserve(&text, KEY_FILE_MAX);
    if (!err)
        err = buf_read_file(&text, file);
    if (err) {
        why_say(why, err, "%s: cannot be read: %s", file, err_text(err));
    } else {
        err = minisign_sk_read(sk, span_of(text.data, text.size));
        if (err == SOTTO_EVERSION)
            why_say(why, err,
                    "%s: is under a password; sign with minisign itself and "
                    "name the signature FILE.NAME.minisig",
                    file);
        else if (err)
            why_say(why, err,
                    "%s: is not a minisign secret key; give the NAME.sec that "
                    "`keygen` made",
                    file);
    }
    buf_wipe(&text);
    return err;
}
