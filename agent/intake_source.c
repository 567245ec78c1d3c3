/* Bytes from a file, through the decoder that its first bytes ask for.
 *
 * Invariants: `in` holds what was read and not yet decoded; `position` counts
 * all bytes read. A decoder takes from `in` and gives to the caller's buffer,
 * so nothing in between grows. After the end, read gives 0 for ever. */
#include "agent/intake_source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lzma.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define IN_SIZE (64u * 1024)
#define GZIP_WINDOW                                                            \
    (MAX_WBITS + 16) /* zlib.h: 16 asks for the gzip wrapper                   \
                      */

struct intake_source;

/* Decodes some of `in` into out; gives no bytes only at the end. */
typedef enum sotto_err (*decode)(size_t *size, struct intake_source *s,
                                 uint8_t *out, size_t capacity,
                                 struct why *why);

struct intake_source {
    char *name;
    int fd;             /* -1: bytes come from memory */
    struct span memory; /* not yet read */
    uint64_t position, total;
    size_t in_start, in_end;
    bool in_ended; /* the file has no more bytes */
    bool ended;    /* nor has the decoder */
    bool between_members;
    decode decode;
    z_stream gzip;
    lzma_stream xz;
    uint8_t in[IN_SIZE];
};

static enum sotto_err damaged(const struct intake_source *s, struct why *why,
                              const char *what)
{
    return why_say(
        why, SOTTO_EDECODE, "%s: byte %llu: %s", s->name,
        (unsigned long long)(s->position - (s->in_end - s->in_start)), what);
}

/* Reads from the file; no bytes at its end. */
static enum sotto_err file_read(size_t *size, struct intake_source *s,
                                uint8_t *out, size_t capacity, struct why *why)
{
    ssize_t n;

    do
        n = read(s->fd, out, capacity);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return why_say(why, SOTTO_EIO, "%s: byte %llu: cannot be read: %s",
                       s->name, (unsigned long long)s->position,
                       strerror(errno));
    *size = (size_t)n;
    return SOTTO_OK;
}

/* Reads more into the free end of `in`. */
static enum sotto_err fill(struct intake_source *s, struct why *why)
{
    size_t size = 0, room = IN_SIZE - s->in_end;

    if (s->fd >= 0) {
        enum sotto_err err = file_read(&size, s, s->in + s->in_end, room, why);

        if (err)
            return err;
    } else {
        size = s->memory.size < room ? s->memory.size : room;
        if (size > 0)
            memcpy(s->in + s->in_end, s->memory.data, size);
        s->memory = span_of(s->memory.data + size, s->memory.size - size);
    }
    s->in_ended = size == 0;
    s->in_end += size;
    s->position += size;
    return SOTTO_OK;
}

/* Makes sure that `in` has a byte or that in_ended says why not. */
static enum sotto_err refill(struct intake_source *s, struct why *why)
{
    if (s->in_start < s->in_end || s->in_ended)
        return SOTTO_OK;
    s->in_start = s->in_end = 0;
    return fill(s, why);
}

/* What is not packed goes past `in` once that is empty. */
static enum sotto_err read_into(size_t *size, struct intake_source *s,
                                uint8_t *out, size_t capacity, struct why *why)
{
    enum sotto_err err = file_read(size, s, out, capacity, why);

    if (err)
        return err;
    s->position += *size;
    s->in_ended = s->ended = *size == 0;
    return SOTTO_OK;
}

static enum sotto_err decode_plain(size_t *size, struct intake_source *s,
                                   uint8_t *out, size_t capacity,
                                   struct why *why)
{
    size_t n;
    enum sotto_err err;

    if (s->in_start == s->in_end && s->fd >= 0 && !s->in_ended)
        return read_into(size, s, out, capacity, why);
    err = refill(s, why);
    if (err)
        return err;
    n = s->in_end - s->in_start;
    *size = n < capacity ? n : capacity;
    memcpy(out, s->in + s->in_start, *size);
    s->in_start += *size;
    s->ended = n == 0;
    return SOTTO_OK;
}

static enum sotto_err gzip_failed(const struct intake_source *s, int code,
                                  struct why *why)
{
    if (code == Z_MEM_ERROR)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory to unpack it",
                       s->name);
    return damaged(s, why, "the gzip data is damaged; fetch the file again");
}

/* A member ended: another one may follow (RFC 1952, 2.2), and nothing else. */
static enum sotto_err gzip_next_member(struct intake_source *s, struct why *why)
{
    enum sotto_err err = refill(s, why);

    if (err)
        return err;
    if (s->in_start == s->in_end) {
        s->ended = true;
        return SOTTO_OK;
    }
    s->between_members = false;
    if (inflateReset(&s->gzip) != Z_OK)
        return gzip_failed(s, Z_MEM_ERROR, why);
    return SOTTO_OK;
}

/* One turn of zlib over what `in` holds; size counts what it gave. */
static enum sotto_err gzip_turn(size_t *size, struct intake_source *s,
                                uint8_t *out, size_t capacity, struct why *why)
{
    uInt room = capacity < UINT_MAX ? (uInt)capacity : UINT_MAX;
    int code;

    s->gzip.next_in = s->in + s->in_start;
    s->gzip.avail_in = (uInt)(s->in_end - s->in_start);
    s->gzip.next_out = out;
    s->gzip.avail_out = room;
    code = inflate(&s->gzip, Z_NO_FLUSH);
    s->in_start = s->in_end - s->gzip.avail_in;
    *size = room - s->gzip.avail_out;
    if (code == Z_STREAM_END)
        s->between_members = true;
    else if (code == Z_BUF_ERROR && s->in_ended)
        return damaged(s, why,
                       "the gzip data ends early; fetch the file again");
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return gzip_failed(s, code, why);
    return SOTTO_OK;
}

static enum sotto_err decode_gzip(size_t *size, struct intake_source *s,
                                  uint8_t *out, size_t capacity,
                                  struct why *why)
{
    for (*size = 0; *size == 0;) {
        enum sotto_err err =
            s->between_members ? gzip_next_member(s, why) : refill(s, why);

        if (err || s->ended)
            return err;
        err = gzip_turn(size, s, out, capacity, why);
        if (err)
            return err;
    }
    return SOTTO_OK;
}

static enum sotto_err xz_failed(const struct intake_source *s, lzma_ret code,
                                struct why *why)
{
    switch (code) {
    case LZMA_MEM_ERROR:
        return why_say(why, SOTTO_ENOMEM, "%s: no memory to unpack it",
                       s->name);
    case LZMA_MEMLIMIT_ERROR:
        return why_say(why, SOTTO_ETOOBIG,
                       "%s: unpacking it needs more than %u MiB; pack it again "
                       "with xz -9 or less",
                       s->name, SOURCE_XZ_MEMORY_MAX / (1024 * 1024));
    case LZMA_BUF_ERROR:
        return damaged(s, why, "the xz data ends early; fetch the file again");
    default:
        return damaged(s, why, "the xz data is damaged; fetch the file again");
    }
}

static enum sotto_err decode_xz(size_t *size, struct intake_source *s,
                                uint8_t *out, size_t capacity, struct why *why)
{
    for (*size = 0; *size == 0;) {
        enum sotto_err err = refill(s, why);
        lzma_ret code;

        if (err)
            return err;
        s->xz.next_in = s->in + s->in_start;
        s->xz.avail_in = s->in_end - s->in_start;
        s->xz.next_out = out;
        s->xz.avail_out = capacity;
        code = lzma_code(&s->xz, s->in_ended ? LZMA_FINISH : LZMA_RUN);
        s->in_start = s->in_end - s->xz.avail_in;
        *size = capacity - s->xz.avail_out;
        s->ended = code == LZMA_STREAM_END;
        if (s->ended)
            return SOTTO_OK;
        if (code != LZMA_OK)
            return xz_failed(s, code, why);
    }
    return SOTTO_OK;
}

/* What the first bytes say: how to decode, or why not. */
struct magic {
    const char *bytes;
    size_t size;
    decode decode;
    const char *refusal;
};
static const struct magic magics[] = {
    {"\x1f\x8b", 2, decode_gzip, NULL},
    {"\xfd"
     "7zXZ\0",
     6, decode_xz, NULL},
    {"\x28\xb5\x2f\xfd", 4, NULL, "this is zstd; unpack it with zstd -d first"},
    {"PK\3\4", 4, NULL, "this is a zip archive; unpack it first"},
    {"\xff\xfe", 2, NULL, "this is UTF-16; save it as UTF-8"},
    {"\xfe\xff", 2, NULL, "this is UTF-16; save it as UTF-8"},
};
#define MAGIC_SIZE_MAX 6

static enum sotto_err decoder_start(struct intake_source *s, struct why *why)
{
    s->decode = decode_plain;
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const struct magic *m = &magics[i];

        if (s->in_end < m->size || memcmp(s->in, m->bytes, m->size) != 0)
            continue;
        if (m->refusal)
            return why_say(why, SOTTO_EDECODE, "%s: %s", s->name, m->refusal);
        s->decode = m->decode;
    }
    if (s->decode == decode_gzip && inflateInit2(&s->gzip, GZIP_WINDOW) != Z_OK)
        return gzip_failed(s, Z_MEM_ERROR, why);
    if (s->decode == decode_xz) {
        lzma_ret code = lzma_stream_decoder(&s->xz, SOURCE_XZ_MEMORY_MAX,
                                            LZMA_CONCATENATED);
        if (code != LZMA_OK)
            return xz_failed(s, code, why);
    }
    return SOTTO_OK;
}

static struct intake_source *source_make(const char *name)
{
    static const lzma_stream xz_empty = LZMA_STREAM_INIT;
    struct intake_source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->fd = -1;
    s->xz = xz_empty;
    s->name = strdup(name);
    if (!s->name) {
        free(s);
        return NULL;
    }
    return s;
}

static enum sotto_err file_open(struct intake_source *s, const char *file,
                                struct why *why)
{
    struct stat st;

    s->fd = strcmp(file, "-") == 0
                ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (s->fd < 0)
        return why_say(why, errno == ENOENT ? SOTTO_ENOTFOUND : SOTTO_EIO,
                       "%s: cannot be opened: %s", s->name, strerror(errno));
    if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        s->total = (uint64_t)st.st_size;
    return SOTTO_OK;
}

/* Reads the first bytes (a pipe may give them one by one) and decides. */
static enum sotto_err source_begin(struct intake_source **out,
                                   struct intake_source *s, struct why *why)
{
    enum sotto_err err = SOTTO_OK;

    while (!err && !s->in_ended && s->in_end < MAGIC_SIZE_MAX)
        err = fill(s, why);
    if (!err)
        err = decoder_start(s, why);
    if (err)
        intake_source_close(s);
    else
        *out = s;
    return err;
}

enum sotto_err intake_source_open(struct intake_source **out, const char *file,
                                  struct why *why)
{
    bool is_stdin = strcmp(file, "-") == 0;
    struct intake_source *s = source_make(is_stdin ? "standard input" : file);
    enum sotto_err err;

    if (!s)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory to read it", file);
    err = file_open(s, file, why);
    if (err) {
        intake_source_close(s);
        return err;
    }
    return source_begin(out, s, why);
}

enum sotto_err intake_source_open_bytes(struct intake_source **out,
                                        const char *name, struct span bytes,
                                        struct why *why)
{
    struct intake_source *s = source_make(name);

    if (!s)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory to read it", name);
    s->memory = bytes;
    s->total = bytes.size;
    return source_begin(out, s, why);
}

void intake_source_close(struct intake_source *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    inflateEnd(&s->gzip); /* harmless on one that was never begun */
    lzma_end(&s->xz);
    free(s->name);
    sodium_memzero(s, sizeof(*s)); /* rows of people went through here */
    free(s);
}

enum sotto_err intake_source_read(size_t *size, struct intake_source *s,
                                  uint8_t *out, size_t capacity,
                                  struct why *why)
{
    assert(capacity > 0);
    *size = 0;
    return s->ended ? SOTTO_OK : s->decode(size, s, out, capacity, why);
}

uint64_t intake_source_position(const struct intake_source *s)
{
    return s->position;
}

uint64_t intake_source_total(const struct intake_source *s)
{
    return s->total;
}

const char *intake_source_name(const struct intake_source *s)
{
    return s->name;
}
