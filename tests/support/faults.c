/* See faults.h. */
#include "faults.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>
#include <zstd.h>
#include <zstd_errors.h>

static struct {
    bool counting, on_and_on;
    enum fault_kind kind;
    uint64_t nth, counts[FAULT_KINDS];
} faults;

void faults_arm(enum fault_kind kind, uint64_t nth, bool on_and_on)
{
    memset(&faults, 0, sizeof faults);
    faults.counting = true;
    faults.kind = kind;
    faults.nth = nth;
    faults.on_and_on = on_and_on;
}

void faults_off(void)
{
    faults.counting = false;
}

uint64_t faults_count(enum fault_kind kind)
{
    return faults.counts[kind];
}

/* Counts a call; whether it must fail. */
static bool fails(enum fault_kind kind)
{
    uint64_t at;

    if (!faults.counting)
        return false;
    at = ++faults.counts[kind];
    return kind == faults.kind && faults.nth > 0 &&
           (faults.on_and_on ? at >= faults.nth : at == faults.nth);
}

static bool fails_with(enum fault_kind kind, int number)
{
    bool failed = fails(kind);

    if (failed)
        errno = number;
    return failed;
}

static bool no_memory(void)
{
    return fails_with(FAULT_ALLOCATION, ENOMEM);
}

/* A disk that fails once, or one that stays full. */
static bool no_write(void)
{
    return fails_with(FAULT_WRITE, faults.on_and_on ? ENOSPC : EIO);
}

static bool no_flush(void)
{
    return fails_with(FAULT_FLUSH, EIO);
}

static bool no_open(void)
{
    return fails_with(FAULT_OPEN, EMFILE);
}

/* ---- our own objects, by the linker ---- */

/* Each pair: what the linker calls the real one, and what it calls instead. */
#define WRAP(type, name, ...)                                                  \
    type __real_##name(__VA_ARGS__);                                           \
    type __wrap_##name(__VA_ARGS__);                                           \
    type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t size)
{
    if (no_memory())
        return NULL;
    return __real_malloc(size);
}

WRAP(void *, calloc, size_t count, size_t size)
{
    if (no_memory())
        return NULL;
    return __real_calloc(count, size);
}

WRAP(void *, realloc, void *old, size_t size)
{
    if (no_memory())
        return NULL;
    return __real_realloc(old, size);
}

WRAP(char *, strdup, const char *text)
{
    if (no_memory())
        return NULL;
    return __real_strdup(text);
}

int __wrap_asprintf(char **out, const char *format, ...);
int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;
    int size;

    if (no_memory())
        return -1;
    va_start(args, format);
    size = vasprintf(out, format, args);
    va_end(args);
    return size;
}

/* Plain memory: guard pages take more time than all else, and sanitizers see
 * what is lost or overrun here as well. */
void *__wrap_sodium_malloc(size_t size);
void *__wrap_sodium_malloc(size_t size)
{
    return no_memory() ? NULL : __real_malloc(size);
}

void __wrap_sodium_free(void *secret);
void __wrap_sodium_free(void *secret)
{
    free(secret);
}

WRAP(size_t, ZSTD_compress, void *to, size_t room, const void *from,
     size_t size, int level)
{
    if (fails(FAULT_ALLOCATION))
        return (size_t)-ZSTD_error_memory_allocation;
    return __real_ZSTD_compress(to, room, from, size, level);
}

WRAP(size_t, ZSTD_decompress, void *to, size_t room, const void *from,
     size_t size)
{
    if (fails(FAULT_ALLOCATION))
        return (size_t)-ZSTD_error_memory_allocation;
    return __real_ZSTD_decompress(to, room, from, size);
}

WRAP(void *, mmap, void *at, size_t size, int protection, int flags, int fd,
     off_t offset)
{
    if (no_memory())
        return MAP_FAILED;
    return __real_mmap(at, size, protection, flags, fd, offset);
}

WRAP(ssize_t, write, int fd, const void *bytes, size_t size)
{
    if (fd > STDERR_FILENO && no_write())
        return -1;
    return __real_write(fd, bytes, size);
}

WRAP(ssize_t, pwrite, int fd, const void *bytes, size_t size, off_t at)
{
    if (no_write())
        return -1;
    return __real_pwrite(fd, bytes, size, at);
}

WRAP(int, ftruncate, int fd, off_t size)
{
    if (no_write())
        return -1;
    return __real_ftruncate(fd, size);
}

WRAP(int, posix_fallocate, int fd, off_t at, off_t size)
{
    return no_write() ? errno : __real_posix_fallocate(fd, at, size);
}

WRAP(int, rename, const char *from, const char *to)
{
    if (no_write())
        return -1;
    return __real_rename(from, to);
}

WRAP(int, fsync, int fd)
{
    if (no_flush())
        return -1;
    return __real_fsync(fd);
}

WRAP(int, fdatasync, int fd)
{
    if (no_flush())
        return -1;
    return __real_fdatasync(fd);
}

WRAP(int, mkdir, const char *path, mode_t mode)
{
    if (no_open())
        return -1;
    return __real_mkdir(path, mode);
}

WRAP(int, mkostemp, char *path, int flags)
{
    if (no_open())
        return -1;
    return __real_mkostemp(path, flags);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & O_CREAT ? va_arg(args, mode_t) : 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    if (no_open())
        return -1;
    return __real_open(path, flags, mode);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    if (no_open())
        return -1;
    return __real_openat(dir, path, flags, mode);
}

/* ---- SQLite: memory ---- */

static sqlite3_mem_methods memory;

static void *sqlite_malloc(int size)
{
    return fails(FAULT_ALLOCATION) ? NULL : memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return fails(FAULT_ALLOCATION) ? NULL : memory.xRealloc(old, size);
}

/* ---- SQLite: a VFS over the system's ---- */

struct file { /* the system's own follows it */
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs over;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)(void *)f)->real;
}

static int file_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int file_read(sqlite3_file *f, void *out, int size, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), out, size, at);
}

static int file_write(sqlite3_file *f, const void *bytes, int size,
                      sqlite3_int64 at)
{
    if (fails(FAULT_WRITE))
        return faults.on_and_on ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return real_of(f)->pMethods->xWrite(real_of(f), bytes, size, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (fails(FAULT_WRITE))
        return SQLITE_IOERR_TRUNCATE;
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    if (fails(FAULT_FLUSH))
        return SQLITE_IOERR_FSYNC;
    return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int file_reserved(sqlite3_file *f, int *reserved)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), reserved);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_map(sqlite3_file *f, int region, int size, int extend,
                        void volatile **out)
{
    if (extend && fails(FAULT_OPEN))
        return SQLITE_IOERR_SHMOPEN;
    return real_of(f)->pMethods->xShmMap(real_of(f), region, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int at, int count, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), at, count, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int over_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f,
                     int flags, int *out_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct file *mine = (struct file *)(void *)f;
    int rc;

    f->pMethods = NULL;
    if (fails(FAULT_OPEN))
        return SQLITE_CANTOPEN;
    mine->real = (sqlite3_file *)(void *)(mine + 1);
    rc = real->xOpen(real, name, mine->real, flags, out_flags);
    if (mine->real->pMethods)
        f->pMethods = &methods;
    return rc;
}

static int over_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    sqlite3_vfs *real = vfs->pAppData;

    return fails(FAULT_WRITE) ? SQLITE_IOERR_DELETE
                              : real->xDelete(real, name, sync);
}

void faults_install(void)
{
    sqlite3_mem_methods counted;
    sqlite3_vfs *real;

    assert(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) == SQLITE_OK);
    counted = memory;
    counted.xMalloc = sqlite_malloc;
    counted.xRealloc = sqlite_realloc;
    assert(sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) == SQLITE_OK);
    assert(sqlite3_initialize() == SQLITE_OK);
    real = sqlite3_vfs_find(NULL);
    over = *real;
    over.iVersion = 2; /* without the overridable system calls */
    over.zName = "faults";
    over.pAppData = real;
    over.szOsFile += (int)sizeof(struct file);
    over.xOpen = over_open;
    over.xDelete = over_delete;
    assert(sqlite3_vfs_register(&over, 1) == SQLITE_OK);
}
