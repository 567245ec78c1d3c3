/* See disk.h. A file remembers, of each block written since its last sync, what
 * was there before; a sync forgets that, a power cut puts it back. So a sync
 * costs what was written, not what the file holds. */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define BLOCK 4096
#define FILES_MAX 64
#define SHM_REGIONS_MAX 256

struct undo { /* a block as it was synced */
    size_t block;
    uint8_t bytes[BLOCK];
};

struct file {
    char name[256]; /* empty: free */
    struct node *node;
    uint8_t *data;
    size_t size, capacity, synced_size; /* capacity: whole blocks */
    struct undo *undos;
    size_t undo_count, undo_capacity;
    uint8_t *dirty; /* one a block of capacity */
    int opens;
    int shared, reserved, pending, exclusive; /* locks held */
    void *regions[SHM_REGIONS_MAX];
    int region_count, mappers;
    int shm_shared[SQLITE_SHM_NLOCK];
    bool shm_exclusive[SQLITE_SHM_NLOCK];
};

struct handle {
    sqlite3_file base;
    struct file *file;
    int lock;
    bool mapped, remove;
    uint8_t shm_shared, shm_exclusive; /* bits: held by this handle */
};

static struct file files[FILES_MAX];

static struct file *file_find(const char *name)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].name[0] && strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

static bool under(const struct node *n, const char *name)
{
    size_t size = strlen(n->dir);

    return size > 0 && strncmp(name, n->dir, size) == 0 && name[size] == '/';
}

static struct file *file_make(const char *name)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].name[0])
            continue;
        snprintf(files[i].name, sizeof files[i].name, "%s", name);
        for (int k = 0; k < NODES_MAX; k++)
            if (under(&world.nodes[k], name))
                files[i].node = &world.nodes[k];
        return &files[i];
    }
    sim_must(false, "one file more");
    return NULL;
}

static void file_clear(struct file *f)
{
    free(f->data);
    free(f->undos);
    free(f->dirty);
    for (int i = 0; i < f->region_count; i++)
        free(f->regions[i]);
    memset(f, 0, sizeof *f);
}

/* ---- contents ---- */

static void grow(struct file *f, size_t size)
{
    size_t capacity = f->capacity ? f->capacity : 16 * BLOCK;

    if (size <= f->capacity)
        return;
    while (capacity < size)
        capacity *= 2;
    f->data = realloc(f->data, capacity);
    f->dirty = realloc(f->dirty, capacity / BLOCK);
    sim_must(f->data && f->dirty, "memory");
    memset(f->data + f->capacity, 0, capacity - f->capacity);
    memset(f->dirty + f->capacity / BLOCK, 0, (capacity - f->capacity) / BLOCK);
    f->capacity = capacity;
}

/* Remembers the blocks of a range before they change. */
static void keep(struct file *f, size_t from, size_t to)
{
    for (size_t b = from / BLOCK; b * BLOCK < to; b++) {
        if (f->dirty[b])
            continue;
        f->dirty[b] = 1;
        if (f->undo_count == f->undo_capacity) {
            f->undo_capacity = f->undo_capacity ? 2 * f->undo_capacity : 16;
            f->undos = realloc(f->undos, f->undo_capacity * sizeof *f->undos);
            sim_must(f->undos, "memory");
        }
        f->undos[f->undo_count].block = b;
        memcpy(f->undos[f->undo_count++].bytes, f->data + b * BLOCK, BLOCK);
    }
}

static void settled(struct file *f)
{
    for (size_t i = 0; i < f->undo_count; i++)
        f->dirty[f->undos[i].block] = 0;
    f->undo_count = 0;
    f->synced_size = f->size;
}

static void file_resize(struct file *f, size_t size)
{
    grow(f, size);
    if (size < f->size) {
        keep(f, size, f->size);
        memset(f->data + size, 0, f->size - size);
    }
    f->size = size;
}

static void file_power(struct file *f, bool torn)
{
    size_t size = torn && chance_one_in(2) ? f->size : f->synced_size;

    for (size_t i = 0; i < f->undo_count; i++)
        if (!torn || chance_one_in(2))
            memcpy(f->data + f->undos[i].block * BLOCK, f->undos[i].bytes,
                   BLOCK);
    if (size < f->capacity)
        memset(f->data + size, 0, f->capacity - size);
    f->size = size;
    settled(f);
}

void disk_power(struct node *n, bool torn)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].name[0] && files[i].node == n)
            file_power(&files[i], torn);
}

/* ---- faults ---- */

static int operate(const struct file *f, bool longer, int failure)
{
    struct node *n = f->node;

    if (!n)
        return SQLITE_OK;
    n->disk_count++;
    switch (n->disk) {
    case DISK_DEAD:
        return n->disk_count >= n->disk_nth ? failure : SQLITE_OK;
    case DISK_ONCE:
        if (n->disk_count < n->disk_nth)
            return SQLITE_OK;
        n->disk = DISK_FINE;
        return failure;
    case DISK_FULL:
        return longer ? SQLITE_FULL : SQLITE_OK;
    case DISK_FINE:
        break;
    }
    return SQLITE_OK;
}

/* ---- a file's methods ---- */

static struct handle *handle_of(sqlite3_file *f)
{
    return (struct handle *)(void *)f;
}

static int x_unlock(sqlite3_file *file, int level);
static int x_shm_unmap(sqlite3_file *file, int remove);

static int x_close(sqlite3_file *file)
{
    struct handle *h = handle_of(file);

    x_unlock(file, SQLITE_LOCK_NONE);
    if (h->mapped)
        x_shm_unmap(file, 0);
    h->file->opens--;
    if (h->remove)
        file_clear(h->file);
    return SQLITE_OK;
}

static int x_read(sqlite3_file *file, void *out, int size, sqlite3_int64 at)
{
    const struct file *f = handle_of(file)->file;
    size_t want = (size_t)size, from = (size_t)at;
    size_t has = from < f->size ? f->size - from : 0;

    if (has >= want) {
        memcpy(out, f->data + from, want);
        return SQLITE_OK;
    }
    memset(out, 0, want);
    if (has)
        memcpy(out, f->data + from, has);
    return SQLITE_IOERR_SHORT_READ;
}

static int x_write(sqlite3_file *file, const void *bytes, int size,
                   sqlite3_int64 at)
{
    struct file *f = handle_of(file)->file;
    size_t from = (size_t)at, to = from + (size_t)size;
    int rc = operate(f, to > f->size, SQLITE_IOERR_WRITE);

    if (rc)
        return rc;
    if (to > f->size)
        file_resize(f, to);
    keep(f, from, to);
    memcpy(f->data + from, bytes, (size_t)size);
    return SQLITE_OK;
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct file *f = handle_of(file)->file;
    int rc = operate(f, (size_t)size > f->size, SQLITE_IOERR_TRUNCATE);

    if (!rc)
        file_resize(f, (size_t)size);
    return rc;
}

static int x_sync(sqlite3_file *file, int flags)
{
    struct file *f = handle_of(file)->file;
    int rc = operate(f, false, SQLITE_IOERR_FSYNC);

    (void)flags;
    if (!rc && !broken("never-synced"))
        settled(f);
    return rc;
}

static int x_size(sqlite3_file *file, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)handle_of(file)->file->size;
    return SQLITE_OK;
}

/* SHARED by many, RESERVED by one beside them, EXCLUSIVE by one alone. */
static int x_lock(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    struct file *f = h->file;

    if (h->lock >= level)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (f->exclusive || f->pending)
            return SQLITE_BUSY;
        f->shared++;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (f->reserved)
            return SQLITE_BUSY;
        f->reserved = 1;
    } else {
        if (f->reserved && h->lock < SQLITE_LOCK_RESERVED)
            return SQLITE_BUSY;
        if (f->shared > 1)
            return SQLITE_BUSY;
        f->reserved = f->exclusive = 1;
    }
    h->lock = level;
    return SQLITE_OK;
}

static int x_unlock(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    struct file *f = h->file;

    if (h->lock <= level)
        return SQLITE_OK;
    if (h->lock >= SQLITE_LOCK_RESERVED)
        f->reserved = 0;
    if (h->lock >= SQLITE_LOCK_EXCLUSIVE)
        f->exclusive = 0;
    if (level == SQLITE_LOCK_NONE)
        f->shared--;
    h->lock = level;
    return SQLITE_OK;
}

static int x_reserved(sqlite3_file *file, int *reserved)
{
    *reserved = handle_of(file)->file->reserved;
    return SQLITE_OK;
}

static int x_control(sqlite3_file *file, int op, void *argument)
{
    (void)file;
    (void)op;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int x_sector(sqlite3_file *file)
{
    (void)file;
    return BLOCK;
}

static int x_traits(sqlite3_file *file)
{
    (void)file;
    return 0;
}

/* ---- shared memory ---- */

static int x_shm_map(sqlite3_file *file, int region, int size, int extend,
                     void volatile **out)
{
    struct handle *h = handle_of(file);
    struct file *f = h->file;

    sim_must(region < SHM_REGIONS_MAX, "one region more");
    if (!h->mapped) {
        h->mapped = true;
        f->mappers++;
    }
    while (extend && f->region_count <= region) {
        f->regions[f->region_count] = calloc(1, (size_t)size);
        sim_must(f->regions[f->region_count++], "memory");
    }
    *out = region < f->region_count ? f->regions[region] : NULL;
    return SQLITE_OK;
}

static int x_shm_lock(sqlite3_file *file, int from, int count, int flags)
{
    struct handle *h = handle_of(file);
    struct file *f = h->file;

    for (int i = from; i < from + count && flags & SQLITE_SHM_LOCK; i++) {
        uint8_t bit = (uint8_t)(1u << i);
        int others = f->shm_shared[i] - ((h->shm_shared & bit) != 0);
        if (f->shm_exclusive[i] && !(h->shm_exclusive & bit))
            return SQLITE_BUSY;
        if ((flags & SQLITE_SHM_EXCLUSIVE) && others > 0)
            return SQLITE_BUSY;
    }
    for (int i = from; i < from + count; i++) {
        uint8_t bit = (uint8_t)(1u << i);
        bool take = flags & SQLITE_SHM_LOCK;
        if (flags & SQLITE_SHM_EXCLUSIVE) {
            f->shm_exclusive[i] = take;
            h->shm_exclusive =
                (uint8_t)(take ? h->shm_exclusive | bit
                               : h->shm_exclusive & (uint8_t)~bit);
        } else if (take != ((h->shm_shared & bit) != 0)) {
            f->shm_shared[i] += take ? 1 : -1;
            h->shm_shared = (uint8_t)(h->shm_shared ^ bit);
        }
    }
    return SQLITE_OK;
}

static void x_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int x_shm_unmap(sqlite3_file *file, int remove)
{
    struct handle *h = handle_of(file);
    struct file *f = h->file;

    (void)remove;
    if (!h->mapped)
        return SQLITE_OK;
    h->mapped = false;
    if (--f->mappers > 0)
        return SQLITE_OK;
    for (int i = 0; i < f->region_count; i++)
        free(f->regions[i]);
    f->region_count = 0;
    return SQLITE_OK;
}

/* ---- the file system ---- */

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_reserved,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_traits,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
                  int flags, int *out_flags)
{
    struct handle *h = handle_of(file);
    struct file *f;
    char unnamed[64];
    static unsigned counter;

    (void)vfs;
    memset(h, 0, sizeof *h);
    if (!name) {
        snprintf(unnamed, sizeof unnamed, "unnamed-%u", ++counter);
        name = unnamed;
    }
    f = file_find(name);
    if (!f && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (!f)
        f = file_make(name);
    if (operate(f, false, SQLITE_CANTOPEN))
        return SQLITE_CANTOPEN;
    h->base.pMethods = &methods;
    h->file = f;
    h->remove = flags & SQLITE_OPEN_DELETEONCLOSE;
    f->opens++;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    struct file *f = file_find(name);

    (void)vfs;
    (void)sync;
    if (!f)
        return SQLITE_IOERR_DELETE_NOENT;
    if (operate(f, false, SQLITE_IOERR_DELETE))
        return SQLITE_IOERR_DELETE;
    sim_must(f->opens == 0, "removing a file that is closed");
    file_clear(f);
    return SQLITE_OK;
}

static int x_access(sqlite3_vfs *vfs, const char *name, int flags, int *yes)
{
    const struct file *f = file_find(name);

    (void)vfs;
    *yes = f && (flags != SQLITE_ACCESS_EXISTS || f->size > 0);
    return SQLITE_OK;
}

static int x_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static int x_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    memset(out, 7, (size_t)size);
    return size;
}

static int x_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int x_time(sqlite3_vfs *vfs, double *julian_day)
{
    (void)vfs;
    *julian_day = 2460800.5;
    return SQLITE_OK;
}

static sqlite3_vfs disk = {
    .iVersion = 1,
    .szOsFile = sizeof(struct handle),
    .mxPathname = 255,
    .zName = "sim",
    .xOpen = x_open,
    .xDelete = x_delete,
    .xAccess = x_access,
    .xFullPathname = x_path,
    .xRandomness = x_randomness,
    .xSleep = x_sleep,
    .xCurrentTime = x_time,
};

void disk_init(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
    sqlite3_vfs_register(&disk, 1);
}

void disk_fini(void)
{
    for (int i = 0; i < FILES_MAX; i++)
        file_clear(&files[i]);
}

/* ---- backups ---- */

struct copy {
    char name[256]; /* below the node's folder */
    uint8_t *data;
    size_t size;
};

struct backup {
    struct copy copies[FILES_MAX];
    int count;
};

struct backup *disk_backup(const struct node *n)
{
    struct backup *b = calloc(1, sizeof *b);

    sim_must(b, "memory");
    for (int i = 0; i < FILES_MAX; i++) {
        const struct file *f = &files[i];
        struct copy *c = &b->copies[b->count];
        if (!f->name[0] || f->node != n)
            continue;
        snprintf(c->name, sizeof c->name, "%s", f->name + strlen(n->dir));
        c->size = f->size;
        c->data = malloc(f->size ? f->size : 1);
        sim_must(c->data, "memory");
        if (f->size)
            memcpy(c->data, f->data, f->size);
        b->count++;
    }
    return b;
}

void disk_restore(struct node *to, const struct backup *b)
{
    char name[512];

    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].name[0] && files[i].node == to) {
            sim_must(files[i].opens == 0, "restoring closed files");
            file_clear(&files[i]);
        }
    for (int i = 0; i < b->count; i++) {
        const struct copy *c = &b->copies[i];
        struct file *f;
        snprintf(name, sizeof name, "%s%s", to->dir, c->name);
        f = file_make(name);
        grow(f, c->size);
        if (c->size)
            memcpy(f->data, c->data, c->size);
        f->size = f->synced_size = c->size;
    }
}

void backup_free(struct backup *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->count; i++)
        free(b->copies[i].data);
    free(b);
}

uint64_t disk_bytes(const struct node *n)
{
    uint64_t bytes = 0;

    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].name[0] && files[i].node == n)
            bytes += files[i].size;
    return bytes;
}
