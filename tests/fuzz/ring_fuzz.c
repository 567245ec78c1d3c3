/* Any bytes as a ring file: set aside, or a ring that can be read to its end,
 * appended to and opened again. The first byte of an input is a mode: 0 the
 * rest is the file; else the rest lies in the slots of a good, empty ring. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "agent/journal.h"

#define RING_BYTES (64 * 1024)
#define SLOTS_AT 4096

static char path[64], aside[80];

static void paths_make(void)
{
    if (path[0])
        return;
    snprintf(path, sizeof path, "/dev/shm/sotto-ring-%ld", (long)getpid());
    snprintf(aside, sizeof aside, "%s.bad", path);
}

static void ring_write(const uint8_t *data, size_t size, off_t at, int flags)
{
    int fd = open(path, O_RDWR | O_CREAT | flags, 0600);

    expect(fd >= 0);
    expect(pwrite(fd, data, size, at) == (ssize_t)size);
    close(fd);
}

static void ring_use(void)
{
    struct journal_record rec;
    struct journal *j;
    uint64_t recovered = 0, read = 0, position;
    enum sotto_err err;
    struct why why;

    if (journal_open(&j, path, RING_BYTES, &recovered, &why))
        return;
    position = journal_tail(j);
    expect(position <= journal_head(j));
    expect(journal_used(j) <= journal_capacity(j));
    while ((err = journal_read(j, position, &rec)) != SOTTO_EAGAIN) {
        expect(err == SOTTO_OK && rec.next > position);
        expect(rec.payload.size <= JOURNAL_RECORD_MAX);
        position = rec.next;
        read++;
    }
    expect(read == recovered);
    journal_release(j, journal_head(j));
    expect(journal_used(j) == 0);
    expect(journal_append(j, JOURNAL_EVENT, 1, span_of("one", 3),
                          span_of(NULL, 0)) == SOTTO_OK);
    journal_close(j);
    expect(journal_open(&j, path, RING_BYTES, &recovered, &why) == SOTTO_OK);
    expect(recovered == 1 && !why.text[0]);
    journal_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal *j;
    uint64_t recovered;

    paths_make();
    if (size < 1 || size > SLOTS_AT + RING_BYTES || sodium_init() < 0)
        return 0;
    unlink(path);
    if (data[0] == 0) {
        ring_write(data + 1, size - 1, 0, O_TRUNC);
    } else {
        size_t rest = size - 1 < RING_BYTES ? size - 1 : RING_BYTES;

        expect(!journal_open(&j, path, RING_BYTES, &recovered, NULL));
        journal_close(j);
        ring_write(data + 1, rest, SLOTS_AT, 0);
    }
    ring_use();
    unlink(path);
    unlink(aside);
    return 0;
}
