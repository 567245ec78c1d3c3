/* The bounded buffer, and whole files read and replaced.
 *
 * Invariants: size <= capacity <= max; data is NULL only while capacity is
 * zero; a failed call leaves size and contents as they were. */
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY_FIRST 64
#define READ_SIZE ((size_t)64 * 1024)

void buf_init(struct buf *b, size_t max)
{
    b->data = NULL;
    b->size = 0;
    b->capacity = 0;
    b->max = max;
}

void buf_fini(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buf_fini(b);
}

void buf_clear(struct buf *b)
{
    b->size = 0;
}

enum sotto_err buf_reserve(struct buf *b, size_t more)
{
    size_t capacity = b->capacity;
    uint8_t *data;

    if (b->size > b->max || more > b->max - b->size)
        return SOTTO_ETOOBIG;
    if (more <= capacity - b->size)
        return SOTTO_OK;
    if (capacity < CAPACITY_FIRST)
        capacity = CAPACITY_FIRST;
    while (capacity < b->size + more)
        capacity = capacity > b->max / 2 ? b->max : capacity * 2;
    if (capacity > b->max)
        capacity = b->max;
    data = realloc(b->data, capacity);
    if (!data)
        return SOTTO_ENOMEM;
    b->data = data;
    b->capacity = capacity;
    return SOTTO_OK;
}

static ssize_t read_again(int fd, void *into, size_t size)
{
    ssize_t n;

    do
        n = read(fd, into, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Reads to the end without believing st_size: it is zero for files of /proc
 * and stale for a file that grows. */
static enum sotto_err read_all(struct buf *b, int fd)
{
    for (;;) {
        size_t room = b->max - b->size;
        uint8_t one_more;
        enum sotto_err err;
        ssize_t n;

        if (room == 0) {
            n = read_again(fd, &one_more, 1);
            return n < 0 ? SOTTO_EIO : n > 0 ? SOTTO_ETOOBIG : SOTTO_OK;
        }
        err = buf_reserve(b, room < READ_SIZE ? room : READ_SIZE);
        if (err)
            return err;
        n = read_again(fd, b->data + b->size, b->capacity - b->size);
        if (n <= 0)
            return n < 0 ? SOTTO_EIO : SOTTO_OK;
        b->size += (size_t)n;
    }
}

enum sotto_err buf_read_file(struct buf *b, const char *path)
{
    enum sotto_err err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    buf_clear(b);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? SOTTO_ENOTFOUND
                                                   : SOTTO_EIO;
    err = read_all(b, fd);
    close(fd);
    if (err)
        buf_clear(b);
    return err;
}

static enum sotto_err err_from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
        return SOTTO_EFULL;
    case ENOENT:
    case ENOTDIR:
        return SOTTO_ENOTFOUND;
    default:
        return SOTTO_EIO;
    }
}

static enum sotto_err write_whole(int fd, const uint8_t *bytes, size_t size,
                                  unsigned mode)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno();
        bytes += n;
        size -= (size_t)n;
    }
    if (fchmod(fd, (mode_t)mode) || fdatasync(fd))
        return err_from_errno();
    return SOTTO_OK;
}

/* The rename is only durable once the directory is. path is cut in place. */
static enum sotto_err sync_directory(char *path)
{
    char *slash = strrchr(path, '/');
    const char *dir = slash ? path : ".";
    enum sotto_err err = SOTTO_OK;
    int fd;

    if (slash)
        slash[slash == path ? 1 : 0] = '\0';
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return SOTTO_EIO;
    if (fsync(fd))
        err = SOTTO_EIO;
    close(fd);
    return err;
}

enum sotto_err file_replace(const char *path, const void *bytes, size_t size,
                            unsigned mode)
{
    enum sotto_err err;
    char *beside; /* a name of its own, so two writers never share a file */
    int fd;

    if (asprintf(&beside, "%s.XXXXXX", path) < 0)
        return SOTTO_ENOMEM;
    fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        err = err_from_errno();
        free(beside);
        return err;
    }
    err = write_whole(fd, bytes, size, mode);
    if (close(fd) && !err)
        err = err_from_errno();
    if (!err && rename(beside, path))
        err = err_from_errno();
    if (err)
        unlink(beside);
    else
        err = sync_directory(beside);
    free(beside);
    return err;
}
