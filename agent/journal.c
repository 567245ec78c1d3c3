/* See journal.h. The header page holds, each on a cache line of its own, what
 * the ring is (written once), head (moved by producers), tail (moved by the
 * consumer) and the counters.
 *
 * Invariants: tail <= head <= tail + slots. Slots outside [tail, head) are
 * zero. A producer owns [head, head + k) from the moment its CAS moved head;
 * nobody reads there until position + 1 is stored in the first slot, and that
 * store is the last one. A wrap filler and its record are reserved in one CAS,
 * so no record is ever split. */
#include "agent/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/dict.h"

#define PAGE_SIZE 4096
#define MAGIC UINT64_C(0x31676e69726f7473) /* "storing1", little endian */
#define BYTES_MIN ((size_t)64 * 1024)
#define BYTES_MAX ((size_t)1024 * 1024 * 1024)
/* Positions grow by 64 bytes each: this one lies 2^68 bytes ahead, so a header
 * that names a larger one is damaged. */
#define POSITION_MAX (UINT64_C(1) << 62)

struct ring_what {
    uint64_t magic;
    uint64_t id;
    uint64_t slots;
    uint64_t checksum; /* of the three before */
};

struct ring_page {
    struct ring_what what;
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) struct journal_counters counters;
};
_Static_assert(sizeof(struct ring_page) <= PAGE_SIZE, "one page");

struct record_head {
    _Atomic uint64_t mark; /* position + 1; 0: not written (yet) */
    uint64_t ring;
    uint16_t size; /* of the payload */
    uint16_t kind;
    uint32_t policy;
    uint64_t checksum;
};
_Static_assert(sizeof(struct record_head) == 32, "the format of the file");
_Static_assert(JOURNAL_RECORD_MAX <= UINT16_MAX, "size has 16 bits");
/* A wrap filler is shorter than the record it makes room for, by a slot. */
_Static_assert(JOURNAL_RECORD_MAX % JOURNAL_SLOT + sizeof(struct record_head) <=
                   JOURNAL_SLOT,
               "a filler's size is within the limit of a record's");

struct journal {
    struct ring_page *page;
    uint8_t *slots;
    uint64_t slot_count;
    uint64_t id;
    size_t mapped_size;
    int fd;
};

static struct record_head *slot_at(const struct journal *j, uint64_t position)
{
    return (struct record_head *)(void *)(j->slots + position % j->slot_count *
                                                         JOURNAL_SLOT);
}

static uint64_t slots_for(size_t size)
{
    return (size + sizeof(struct record_head) + JOURNAL_SLOT - 1) /
           JOURNAL_SLOT;
}

static uint64_t record_checksum(uint64_t position, const struct record_head *h)
{
    uint64_t head[3] = {position, h->ring,
                        (uint64_t)h->policy << 32 | (uint32_t)h->kind << 16 |
                            h->size};
    uint64_t seed = hash64(head, sizeof(head), h->ring);

    if (h->kind == JOURNAL_FILLER) /* its size counts, its bytes do not */
        return seed;
    return hash64((const uint8_t *)h + sizeof(*h), h->size, seed);
}

/* Whether a whole record of this position lies in its slots. */
static bool record_valid(const struct journal *j, uint64_t position)
{
    const struct record_head *h = slot_at(j, position);

    return atomic_load_explicit(&h->mark, memory_order_acquire) ==
               position + 1 &&
           h->ring == j->id && h->kind >= JOURNAL_FILLER &&
           h->kind <= JOURNAL_FORGET && h->size <= JOURNAL_RECORD_MAX &&
           position % j->slot_count + slots_for(h->size) <= j->slot_count &&
           h->checksum == record_checksum(position, h);
}

static uint64_t record_next(const struct journal *j, uint64_t position)
{
    return position + slots_for(slot_at(j, position)->size);
}

/* The header is filled, then published: a reader sees all or nothing. */
static void record_publish(const struct journal *j, uint64_t position,
                           enum journal_kind kind, uint32_t policy, size_t size)
{
    struct record_head *h = slot_at(j, position);

    h->ring = j->id;
    h->size = (uint16_t)size;
    h->kind = (uint16_t)kind;
    h->policy = policy;
    h->checksum = record_checksum(position, h);
    atomic_store_explicit(&h->mark, position + 1, memory_order_release);
}

/* Zeroes slots from..to, at most one lap. */
static void slots_wipe(struct journal *j, uint64_t from, uint64_t to)
{
    uint64_t start = from % j->slot_count;
    uint64_t count = to - from < j->slot_count ? to - from : j->slot_count;
    uint64_t first =
        count < j->slot_count - start ? count : j->slot_count - start;

    memset(j->slots + start * JOURNAL_SLOT, 0, (size_t)first * JOURNAL_SLOT);
    memset(j->slots, 0, (size_t)(count - first) * JOURNAL_SLOT);
}

static uint64_t what_checksum(const struct ring_what *w)
{
    return hash64(w, offsetof(struct ring_what, checksum), MAGIC);
}

/* ---- opening ---- */

enum file_state { FILE_NEW, FILE_RING, FILE_OTHER };

static enum file_state file_look(int fd, struct ring_what *what)
{
    uint8_t page[PAGE_SIZE];
    static const uint8_t zeros[PAGE_SIZE];
    struct stat st;
    ssize_t got = pread(fd, page, sizeof(page), 0);

    if (got == 0)
        return FILE_NEW;
    if (got != (ssize_t)sizeof(page) || fstat(fd, &st))
        return FILE_OTHER;
    if (!memcmp(page, zeros, sizeof(page)))
        return FILE_NEW; /* its maker died before it wrote what it is */
    memcpy(what, page, sizeof(*what));
    if (what->magic != MAGIC || what->checksum != what_checksum(what) ||
        !what->id || what->slots < BYTES_MIN / JOURNAL_SLOT ||
        what->slots > BYTES_MAX / JOURNAL_SLOT ||
        (uint64_t)st.st_size < PAGE_SIZE + what->slots * JOURNAL_SLOT)
        return FILE_OTHER;
    return FILE_RING;
}

static enum sotto_err file_lock(int *fd, const char *path, struct why *why)
{
    *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0)
        return why_say(why, errno == ENOSPC ? SOTTO_EFULL : SOTTO_EIO,
                       "%s: cannot open the journal ring: %s", path,
                       strerror(errno));
    if (!flock(*fd, LOCK_EX | LOCK_NB))
        return SOTTO_OK;
    if (errno == EWOULDBLOCK)
        return why_say(why, SOTTO_ELOCKED,
                       "%s: another process uses this journal ring; stop it "
                       "first",
                       path);
    return why_say(why, SOTTO_EIO, "%s: cannot lock the journal ring: %s", path,
                   strerror(errno));
}

/* Renames what is no ring and opens a new file in its place. */
static enum sotto_err file_set_aside(int *fd, const char *path, struct why *why)
{
    char aside[4096];
    int n = snprintf(aside, sizeof(aside), "%s.bad", path);

    if (n < 0 || (size_t)n >= sizeof(aside) || rename(path, aside))
        return why_say(why, SOTTO_EDECODE,
                       "%s: this is no journal ring, and it cannot be renamed; "
                       "move it away",
                       path);
    close(*fd);
    *fd = -1;
    why_say(why, SOTTO_OK,
            "%s: this was no journal ring; it was set aside as %s.bad and a "
            "new one was made",
            path, path);
    return file_lock(fd, path, why);
}

/* Every page is reserved now: a sparse mapped file would end the process with
 * SIGBUS when the disk fills. */
static enum sotto_err file_reserve(int fd, const char *path, uint64_t slots,
                                   bool made, struct why *why)
{
    int failed =
        posix_fallocate(fd, 0, (off_t)(PAGE_SIZE + slots * JOURNAL_SLOT));

    if (!failed)
        return SOTTO_OK;
    if (made)
        unlink(path);
    return why_say(why, failed == ENOSPC ? SOTTO_EFULL : SOTTO_EIO,
                   "%s: cannot reserve %llu bytes for the journal ring: %s; "
                   "free memory there or make the ring smaller",
                   path, (unsigned long long)(slots * JOURNAL_SLOT),
                   strerror(failed));
}

static enum sotto_err file_make(int fd, const char *path, size_t bytes,
                                struct ring_what *what, struct why *why)
{
    enum sotto_err err;

    memset(what, 0, sizeof(*what));
    what->magic = MAGIC;
    what->slots = (bytes + JOURNAL_SLOT - 1) / JOURNAL_SLOT;
    do
        randombytes_buf(&what->id, sizeof(what->id));
    while (!what->id);
    what->checksum = what_checksum(what);
    err = file_reserve(fd, path, what->slots, true, why);
    if (err)
        return err;
    if (pwrite(fd, what, sizeof(*what), 0) == (ssize_t)sizeof(*what))
        return SOTTO_OK;
    return why_say(why, SOTTO_EIO, "%s: cannot write the journal ring: %s",
                   path, strerror(errno));
}

static enum sotto_err ring_map(struct journal *j, const char *path,
                               const struct ring_what *what, struct why *why)
{
    void *at;

    j->mapped_size = PAGE_SIZE + (size_t)what->slots * JOURNAL_SLOT;
    /* Populated, so that the first lap faults no page in track(). */
    at = mmap(NULL, j->mapped_size, PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_POPULATE, j->fd, 0);
    if (at == MAP_FAILED)
        return why_say(why, errno == ENOMEM ? SOTTO_ENOMEM : SOTTO_EIO,
                       "%s: cannot map the journal ring: %s", path,
                       strerror(errno));
    madvise(at, j->mapped_size, MADV_DONTDUMP);
    j->page = at;
    j->slots = (uint8_t *)at + PAGE_SIZE;
    j->slot_count = what->slots;
    j->id = what->id;
    return SOTTO_OK;
}

/* ---- recovery ---- */

struct extent {
    uint64_t first, end; /* of what survived; first > end: nothing did */
};

/* The lowest and the highest record. Only positions of the last lap count:
 * head never runs further ahead of tail. */
static struct extent ring_scan(const struct journal *j)
{
    struct extent x = {UINT64_MAX, 0};
    uint64_t slot, position;

    for (slot = 0; slot < j->slot_count; slot++) {
        position = atomic_load(&slot_at(j, slot)->mark) - 1;
        if (position >= POSITION_MAX || position % j->slot_count != slot ||
            !record_valid(j, position))
            continue;
        if (position < x.first)
            x.first = position;
        if (record_next(j, position) > x.end)
            x.end = record_next(j, position);
    }
    if (x.first < x.end && x.end - x.first > j->slot_count)
        x.first = x.end - j->slot_count;
    return x;
}

/* Whether a record was written into a slot that no whole record covers. The
 * mark is stored last, so what a dead producer left has none; what others left
 * behind is zero. One flipped bit leaves the mark or the ring's id right. */
static bool slot_damaged(const struct journal *j, uint64_t slot,
                         const struct extent *x)
{
    const struct record_head *h = slot_at(j, slot);
    uint64_t mark = atomic_load(&h->mark), position = mark - 1;

    if (!mark)
        return false;
    return h->ring == j->id ||
           (position % j->slot_count == slot && position < POSITION_MAX &&
            position + j->slot_count >= x->first &&
            position <= x->end + j->slot_count);
}

/* Records that were written and are not whole now. */
static uint64_t ring_damaged(const struct journal *j, const struct extent *x)
{
    uint64_t slot = 0, position, count = 0;

    while (slot < j->slot_count) {
        position = atomic_load(&slot_at(j, slot)->mark) - 1;
        if (position < POSITION_MAX && position % j->slot_count == slot &&
            record_valid(j, position)) {
            slot += slots_for(slot_at(j, slot)->size);
        } else {
            count += slot_damaged(j, slot, x);
            slot++;
        }
    }
    return count;
}

/* Where the next whole record begins, or head. */
static uint64_t next_valid(const struct journal *j, uint64_t position,
                           uint64_t head)
{
    while (position < head &&
           !(record_valid(j, position) && record_next(j, position) <= head))
        position++;
    return position;
}

/* Walks tail..head, keeps what is whole and turns the holes into fillers of
 * one slot each: wherever the consumer's mark falls, a record begins there. */
static uint64_t ring_mend(struct journal *j, uint64_t tail, uint64_t head)
{
    uint64_t position = tail, kept = 0, found;

    while (position < head) {
        found = next_valid(j, position, head);
        slots_wipe(j, position, found);
        for (; position < found; position++)
            record_publish(j, position, JOURNAL_FILLER, 0, 0);
        if (found == head)
            break;
        kept += slot_at(j, found)->kind != JOURNAL_FILLER;
        position = record_next(j, found);
    }
    slots_wipe(j, head, tail + j->slot_count);
    return kept;
}

/* The header's head counts only when no record is left to tell it. What was
 * reserved beyond the last whole record was never anybody's, and is given
 * again. */
static uint64_t ring_recover(struct journal *j, uint64_t *damaged)
{
    struct extent x = ring_scan(j);
    uint64_t head = atomic_load(&j->page->head);

    if (x.first > x.end)
        x.first = x.end = head < POSITION_MAX ? head : 0;
    *damaged = ring_damaged(j, &x);
    atomic_fetch_add(&j->page->counters.damaged, *damaged);
    atomic_store(&j->page->tail, x.first);
    atomic_store(&j->page->head, x.end);
    return ring_mend(j, x.first, x.end);
}

enum sotto_err journal_open(struct journal **out, const char *path,
                            size_t bytes, uint64_t *recovered, struct why *why)
{
    enum sotto_err err = SOTTO_ENOMEM;
    enum file_state state;
    struct ring_what what;
    uint64_t damaged = 0;
    struct journal *j;

    *recovered = 0;
    if (why)
        why->text[0] = '\0';
    if (bytes < BYTES_MIN || bytes > BYTES_MAX)
        return why_say(why, SOTTO_EINVAL,
                       "%s: a journal ring has 64 KiB to 1 GiB", path);
    j = calloc(1, sizeof(*j));
    if (!j)
        return why_say(why, err, "%s: no memory", path);
    err = file_lock(&j->fd, path, why);
    if (err)
        goto fail;
    state = file_look(j->fd, &what);
    if (state == FILE_OTHER)
        err = file_set_aside(&j->fd, path, why);
    if (err)
        goto fail;
    err = state == FILE_RING ? file_reserve(j->fd, path, what.slots, false, why)
                             : file_make(j->fd, path, bytes, &what, why);
    if (!err)
        err = ring_map(j, path, &what, why);
    if (err)
        goto fail;
    if (state == FILE_RING)
        *recovered = ring_recover(j, &damaged);
    if (damaged)
        why_say(why, SOTTO_OK,
                "%s: %llu records of the ring were damaged; they are lost, and "
                "counted as ring_damaged",
                path, (unsigned long long)damaged);
    *out = j;
    return SOTTO_OK;
fail:
    journal_close(j);
    return err;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->page)
        munmap(j->page, j->mapped_size);
    if (j->fd >= 0)
        close(j->fd);
    free(j);
}

uint64_t journal_id(const struct journal *j)
{
    return j->id;
}

struct journal_counters *journal_counters(struct journal *j)
{
    return &j->page->counters;
}

size_t journal_capacity(const struct journal *j)
{
    return (size_t)j->slot_count * JOURNAL_SLOT;
}

size_t journal_used(const struct journal *j)
{
    uint64_t tail = atomic_load(&j->page->tail); /* first: it never passes */

    return (size_t)(atomic_load(&j->page->head) - tail) * JOURNAL_SLOT;
}

/* ---- producers ---- */

/* Reserves need slots in one piece; *skipped: slots of filler before them. */
static enum sotto_err reserve(struct journal *j, uint64_t need,
                              uint64_t *position, uint64_t *skipped)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_acquire);
    uint64_t left, skip, tail;

    do {
        left = j->slot_count - head % j->slot_count;
        skip = need > left ? left : 0;
        /* Loaded after head: a stale head meets a newer tail, never the other
         * way round, so a ring with room is never called full. The acquire
         * pairs with the wipe. */
        tail = atomic_load_explicit(&j->page->tail, memory_order_acquire);
        if (head >= tail && head + skip + need - tail > j->slot_count)
            return SOTTO_EFULL;
    } while (!atomic_compare_exchange_weak_explicit(
        &j->page->head, &head, head + skip + need, memory_order_acquire,
        memory_order_acquire));
    *position = head;
    *skipped = skip;
    return SOTTO_OK;
}

enum sotto_err journal_append(struct journal *j, enum journal_kind kind,
                              uint32_t policy, struct span a, struct span b)
{
    uint64_t position, skipped;
    enum sotto_err err;
    uint8_t *payload;

    if (a.size > JOURNAL_RECORD_MAX || b.size > JOURNAL_RECORD_MAX - a.size)
        return SOTTO_ETOOBIG;
    err = reserve(j, slots_for(a.size + b.size), &position, &skipped);
    if (err)
        return err;
    if (skipped)
        record_publish(j, position, JOURNAL_FILLER, 0,
                       (size_t)skipped * JOURNAL_SLOT -
                           sizeof(struct record_head));
    position += skipped;
    payload = (uint8_t *)slot_at(j, position) + sizeof(struct record_head);
    if (a.size)
        memcpy(payload, a.data, a.size);
    if (b.size)
        memcpy(payload + a.size, b.data, b.size);
    record_publish(j, position, kind, policy, a.size + b.size);
    return SOTTO_OK;
}
/* ---- the consumer ---- */

enum sotto_err journal_read(struct journal *j, uint64_t position,
                            struct journal_record *rec)
{
    uint64_t head, mark;
    const struct record_head *h;

    for (;;) {
        head = atomic_load_explicit(&j->page->head, memory_order_acquire);
        if (position >= head)
            return SOTTO_EAGAIN;
        h = slot_at(j, position);
        mark = atomic_load_explicit(&h->mark, memory_order_acquire);
        if (!mark)
            return SOTTO_EAGAIN;
        rec->position = position;
        if (!record_valid(j, position)) {
            rec->next = next_valid(j, position + 1, head);
            return SOTTO_EDECODE;
        }
        position = record_next(j, position);
        if (h->kind != JOURNAL_FILLER)
            break;
    }
    rec->next = position;
    rec->policy = h->policy;
    rec->kind = (enum journal_kind)h->kind;
    rec->payload = span_of((const uint8_t *)h + sizeof(*h), h->size);
    return SOTTO_OK;
}

uint64_t journal_tail(const struct journal *j)
{
    return atomic_load(&j->page->tail);
}

uint64_t journal_head(const struct journal *j)
{
    return atomic_load(&j->page->head);
}

void journal_release(struct journal *j, uint64_t upto)
{
    uint64_t tail = atomic_load(&j->page->tail);
    uint64_t head = atomic_load(&j->page->head);

    if (upto <= tail)
        return;
    slots_wipe(j, tail, upto);
    if (upto > head) /* at open only: the header had lost the position */
        atomic_store(&j->page->head, upto);
    atomic_store_explicit(&j->page->tail, upto, memory_order_release);
}
