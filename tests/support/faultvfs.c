/* See faultvfs.h. */
#include "faultvfs.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define FILES_MAX 4
#define FILE_BYTES_MAX (64 * 1024 * 1024)
#define BLOCK 4096

struct content {
    uint8_t *data;
    size_t size;
};

struct memfile {
    char name[256]; /* empty: free */
    struct content now, synced;
};

struct faultdisk {
    sqlite3_vfs vfs;
    struct memfile files[FILES_MAX];
    enum fault fault;
    uint64_t nth, count;
};

struct handle {
    sqlite3_file base;
    struct faultdisk *disk;
    struct memfile *file;
    bool remove; /* at close */
};

static void content_resize(struct content *c, size_t size)
{
    assert(size <= FILE_BYTES_MAX);
    c->data = realloc(c->data, size ? size : 1);
    assert(c->data);
    if (size > c->size)
        memset(c->data + c->size, 0, size - c->size);
    c->size = size;
}

static void content_copy(struct content *to, const struct content *from)
{
    content_resize(to, from->size);
    if (from->size)
        memcpy(to->data, from->data, from->size);
}

static void memfile_clear(struct memfile *f)
{
    free(f->now.data);
    free(f->synced.data);
    memset(f, 0, sizeof(*f));
}

/* Counts an operation; the result code it must fail with, or SQLITE_OK. */
static int operate(struct faultdisk *d, bool writes, int failure)
{
    uint64_t at = ++d->count;

    if (d->fault == FAULT_ONCE && at == d->nth)
        return failure;
    if (d->fault == FAULT_CUT && at >= d->nth)
        return failure;
    if (d->fault == FAULT_FULL && at >= d->nth && writes)
        return SQLITE_FULL;
    return SQLITE_OK;
}

static struct memfile *memfile_find(struct faultdisk *d, const char *name)
{
    int i;

    for (i = 0; i < FILES_MAX; i++)
        if (d->files[i].name[0] && !strcmp(d->files[i].name, name))
            return &d->files[i];
    return NULL;
}

static struct memfile *memfile_make(struct faultdisk *d, const char *name)
{
    int i;

    for (i = 0; i < FILES_MAX; i++)
        if (!d->files[i].name[0]) {
            snprintf(d->files[i].name, sizeof(d->files[i].name), "%s", name);
            return &d->files[i];
        }
    abort(); /* more files than a database has */
}

/* ---- a file ---- */

static struct handle *handle_of(sqlite3_file *f)
{
    return (struct handle *)(void *)f;
}

static int file_close(sqlite3_file *f)
{
    if (handle_of(f)->remove)
        memfile_clear(handle_of(f)->file);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *out, int size, sqlite3_int64 at)
{
    struct content *c = &handle_of(f)->file->now;
    size_t want = (size_t)size, from = (size_t)at, has;

    has = from < c->size ? c->size - from : 0;
    if (has >= want) {
        memcpy(out, c->data + from, want);
        return SQLITE_OK;
    }
    memset(out, 0, want);
    if (has)
        memcpy(out, c->data + from, has);
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *bytes, int size,
                      sqlite3_int64 at)
{
    struct handle *h = handle_of(f);
    size_t end = (size_t)at + (size_t)size;
    int rc = operate(h->disk, true, SQLITE_IOERR_WRITE);

    if (rc)
        return rc;
    if (end > h->file->now.size)
        content_resize(&h->file->now, end);
    memcpy(h->file->now.data + at, bytes, (size_t)size);
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = operate(handle_of(f)->disk, false, SQLITE_IOERR_TRUNCATE);

    if (!rc)
        content_resize(&handle_of(f)->file->now, (size_t)size);
    return rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct handle *h = handle_of(f);
    int rc = operate(h->disk, false, SQLITE_IOERR_FSYNC);

    (void)flags;
    if (!rc)
        content_copy(&h->file->synced, &h->file->now);
    return rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)handle_of(f)->file->now.size;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int level)
{
    (void)f;
    (void)level;
    return SQLITE_OK;
}

static int file_reserved(sqlite3_file *f, int *reserved)
{
    (void)f;
    *reserved = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *f)
{
    (void)f;
    return BLOCK;
}

static int file_traits(sqlite3_file *f)
{
    (void)f;
    return 0;
}

static const sqlite3_io_methods methods = {
    .iVersion = 1, /* no shared memory: exclusive locking only */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
};

/* ---- the disk ---- */

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f,
                     int flags, int *out_flags)
{
    struct faultdisk *d = vfs->pAppData;
    struct handle *h = handle_of(f);
    int rc = operate(d, false, SQLITE_CANTOPEN);

    f->pMethods = NULL;
    if (rc)
        return rc;
    name = name ? name : "(temporary)";
    h->disk = d;
    h->file = memfile_find(d, name);
    if (!h->file && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (!h->file)
        h->file = memfile_make(d, name);
    h->remove = flags & SQLITE_OPEN_DELETEONCLOSE;
    f->pMethods = &methods;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    struct faultdisk *d = vfs->pAppData;
    struct memfile *f = memfile_find(d, name);
    int rc = operate(d, false, SQLITE_IOERR_DELETE);

    (void)sync;
    if (rc)
        return rc;
    if (!f)
        return SQLITE_IOERR_DELETE_NOENT;
    memfile_clear(f);
    return SQLITE_OK;
}

static int disk_access(sqlite3_vfs *vfs, const char *name, int flags, int *yes)
{
    const struct memfile *f = memfile_find(vfs->pAppData, name);

    *yes = f && (flags != SQLITE_ACCESS_EXISTS || f->now.size > 0);
    return SQLITE_OK;
}

static int disk_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

struct faultdisk *faultdisk_make(const char *name)
{
    struct faultdisk *d = calloc(1, sizeof(*d));
    const sqlite3_vfs *real;

    assert(d);
    sqlite3_initialize();
    real = sqlite3_vfs_find(NULL);
    d->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 255,
        .zName = name,
        .pAppData = d,
        .xOpen = disk_open,
        .xDelete = disk_delete,
        .xAccess = disk_access,
        .xFullPathname = disk_path,
        .xRandomness = real->xRandomness,
        .xSleep = real->xSleep,
        .xCurrentTime = real->xCurrentTime,
    };
    sqlite3_vfs_register(&d->vfs, 0);
    return d;
}

void faultdisk_free(struct faultdisk *d)
{
    int i;

    sqlite3_vfs_unregister(&d->vfs);
    for (i = 0; i < FILES_MAX; i++)
        memfile_clear(&d->files[i]);
    free(d);
}

void faultdisk_arm(struct faultdisk *d, enum fault fault, uint64_t nth)
{
    d->fault = fault;
    d->nth = nth;
    d->count = 0;
}

uint64_t faultdisk_count(const struct faultdisk *d)
{
    return d->count;
}

static bool coin(uint64_t *seed)
{
    if (!*seed)
        return false;
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *seed >> 63;
}

/* Blocks of what was written that did reach the disk, by the coin. */
static void memfile_settle(struct memfile *f, uint64_t *seed)
{
    size_t at, part;

    for (at = 0; at < f->now.size; at += BLOCK) {
        if (!coin(seed))
            continue;
        part = f->now.size - at < BLOCK ? f->now.size - at : BLOCK;
        if (at + part > f->synced.size)
            content_resize(&f->synced, at + part);
        memcpy(f->synced.data + at, f->now.data + at, part);
    }
    content_copy(&f->now, &f->synced);
}

void faultdisk_power(struct faultdisk *d, uint64_t seed)
{
    int i;

    for (i = 0; i < FILES_MAX; i++)
        if (d->files[i].name[0])
            memfile_settle(&d->files[i], &seed);
    faultdisk_arm(d, FAULT_NONE, 0);
}
