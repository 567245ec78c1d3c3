/* lab_csv: any bytes as a file. The rows that are read, written again with
 * lab_csv_field, read as the same rows; an error always says something. */
#include "aggregator/lab_csv.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

struct rows {
    FILE *out; /* what was read, as CSV */
    uint64_t count;
};

static enum sotto_err take(void *context, const struct lab_row *row)
{
    struct rows *rows = context;

    expect(row->user.size > 0 && row->item.size > 0);
    lab_csv_field(rows->out, row->user);
    putc(',', rows->out);
    lab_csv_field(rows->out, row->item);
    fprintf(rows->out, ",%.9g,%lld\n", (double)row->value,
            (long long)row->day * 86400);
    rows->count++;
    return SOTTO_OK;
}

/* Reads bytes as a file behind a header that names all columns, or none. */
static enum sotto_err read_again(const char *header, const void *bytes,
                                 size_t size, struct rows *rows, char **text,
                                 size_t *text_size)
{
    struct why why = {""};
    enum sotto_err err;
    char path[64];
    int fd = memfd_create("lab_csv", 0);

    expect(fd >= 0);
    expect(write(fd, header, strlen(header)) == (ssize_t)strlen(header));
    expect(size == 0 || write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rows->count = 0;
    rows->out = open_memstream(text, text_size);
    expect(rows->out != NULL);
    err = lab_csv_read(path, 1000, take, rows, &why);
    expect(fclose(rows->out) == 0);
    expect(!err == !why.text[0]);
    close(fd);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;
    struct rows rows;

    if (!read_again("", data, size, &rows, &first, &first_size)) {
        uint64_t count = rows.count;

        expect(count > 0);
        expect(!read_again("user,item,value,time\n", first, first_size, &rows,
                           &second, &second_size));
        expect(rows.count == count && second_size == first_size);
        expect(memcmp(first, second, first_size) == 0);
    }
    free(first);
    free(second);
    return 0;
}
