/* fixture DIR ADDRESS: the files of fixture.h, for tests that are scripts.
 * DIR exists; the officer's and aggregator's secrets are not kept. */
#include "fixture.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct fixture f;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR ADDRESS\n", argv[0]);
        return 2;
    }
    fixture_make(&f, argv[1], argv[2], NULL);
    fixture_free(&f);
    return 0;
}
