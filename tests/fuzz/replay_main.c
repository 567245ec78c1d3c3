/* Feeds files to a fuzz target once each, for compilers without libFuzzer:
 *     <target>_fuzz FILE-OR-FOLDER...
 * A folder stands for the files in it. Exit 2 if nothing could be read, so
 * that a lost corpus is not a passed test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (16 * 1024 * 1024)

/* How many inputs were run; -1 if the file cannot be read. */
static int replay_file(const char *path)
{
    struct buf b;
    int runs = -1;

    buf_init(&b, INPUT_MAX);
    if (buf_read_file(&b, path) == SOTTO_OK) {
        /* A copy of the exact size, so that reading past it is seen. */
        uint8_t *exact = malloc(b.size ? b.size : 1);

        if (exact) {
            for (size_t i = 0; i < b.size; i++)
                exact[i] = b.data[i];
            LLVMFuzzerTestOneInput(exact, b.size);
            runs = 1;
        }
        free(exact);
    }
    buf_fini(&b);
    return runs;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int runs = 0;

    if (!folder)
        return -1;
    while (runs >= 0 && (entry = readdir(folder))) {
        char file[4096];
        int length = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        int ran;

        if (entry->d_name[0] == '.')
            continue;
        ran = length < (int)sizeof file ? replay_file(file) : -1;
        runs = ran < 0 ? -1 : runs + ran;
    }
    closedir(folder);
    return runs;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        int runs = -1;

        if (stat(argv[i], &st) == 0)
            runs = S_ISDIR(st.st_mode) ? replay_folder(argv[i])
                                       : replay_file(argv[i]);
        if (runs < 0) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 2;
        }
        total += runs;
    }
    printf("%d inputs\n", total);
    return total ? 0 : 2;
}
