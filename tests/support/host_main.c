/* sotto-host DIR TOKEN_FILE BUNDLE_FILE CODE LEDGER COUNT PAUSE_US FLUSH_MS
 *
 * An application that is killed at any time, or goes without a clock: tracks
 * COUNT purchases, one each PAUSE_US, then waits FLUSH_MS for the aggregator.
 * LEDGER is a file of a byte an event, mapped, in which it keeps what became of
 * each: BEGUN when it was killed inside the call, TAKEN, or NOT_TAKEN. It goes
 * on where the ledger ends. Event n costs n units of money, so that a sum
 * tells which ones arrived. Exit code 2: the library did not open. */
#include <sotto/sotto.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTHING, BEGUN, TAKEN, NOT_TAKEN };

#define UNIT INT64_C(1000000) /* millionths */

struct ledger {
    volatile uint8_t *events;
    size_t size, next;
};

static int ledger_open(struct ledger *l, const char *file)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    struct stat st;
    void *at;

    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    l->size = (size_t)st.st_size;
    at = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return -1;
    l->events = at;
    for (l->next = 1; l->next < l->size && l->events[l->next]; l->next++)
        ;
    return 0;
}

static void buy(struct sotto *s, struct ledger *l)
{
    char order[32];
    struct sotto_property properties[] = {
        sotto_text("order_id", order),
        sotto_text("product_id", "22423"),
        sotto_money("price", (int64_t)l->next * UNIT),
        sotto_int("quantity", 1),
    };
    struct sotto_event e = {.size = sizeof e,
                            .name = "Order Completed",
                            .properties = properties,
                            .property_count = 4};

    snprintf(order, sizeof order, "order-%zu", l->next);
    l->events[l->next] = BEGUN;
    l->events[l->next] = sotto_track(s, &e) ? NOT_TAKEN : TAKEN;
    l->next++;
}

int main(int argc, char **argv)
{
    struct sotto_options options = {.size = sizeof options};
    struct ledger ledger;
    struct sotto_why why;
    struct sotto *s;

    if (argc != 9 || ledger_open(&ledger, argv[5])) {
        fprintf(stderr, "usage: sotto-host DIR TOKEN_FILE BUNDLE_FILE CODE "
                        "LEDGER COUNT PAUSE_US FLUSH_MS\n");
        return 2;
    }
    options.dir = argv[1];
    options.token_file = argv[2];
    options.bundle_file = argv[3];
    options.bundle_code = argv[4];
    if (sotto_open(&s, &options, &why)) {
        fprintf(stderr, "sotto-host: %s\n", why.text);
        return 2;
    }
    sotto_consent(s, "personalise", true);
    sotto_identify(s, "visitor-17");
    for (long left = atol(argv[6]); left > 0 && ledger.next < ledger.size;
         left--) {
        buy(s, &ledger);
        usleep((useconds_t)atol(argv[7]));
    }
    sotto_flush(s, (uint32_t)atol(argv[8]));
    sotto_close(s, 0, NULL);
    return 0;
}
