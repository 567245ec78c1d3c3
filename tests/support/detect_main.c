/* sotto-detect: the detectors on standard input, for scripts.
 *
 *     sotto-detect          reads JSON strings, one a line; writes for each
 *                           {"spans": [[START, SIZE, KIND], ...] in bytes,
 *                            "redacted": TEXT, "again": what a second scan
 *                            of that finds}
 *     sotto-detect --speed  reads one text; prints nanoseconds a byte */
#include "policy/detect.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX (1 << 20)
#define FOUND_MAX 4096
#define ROUNDS 20

static struct detection found[FOUND_MAX];
static uint8_t redacted[TEXT_MAX + 1];

static json_t *spans_json(size_t count)
{
    json_t *spans = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(spans,
                              json_pack("[I, I, s]", (json_int_t)found[i].start,
                                        (json_int_t)found[i].size,
                                        detect_name(found[i].kind)));
    return spans;
}

static int answer(const char *line)
{
    json_t *text = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_t *spans;
    struct span in;
    size_t size, again;

    if (!json_is_string(text)) {
        json_decref(text);
        fprintf(stderr, "sotto-detect: a line is not a JSON string\n");
        return 2;
    }
    in = span_of(json_string_value(text), json_string_length(text));
    spans = spans_json(detect(in, DETECT_ALL, found, FOUND_MAX));
    size = detect_redact(redacted, TEXT_MAX, in, DETECT_ALL);
    again = detect(span_of(redacted, size), DETECT_ALL, found, FOUND_MAX);
    json_decref(text);
    text = json_pack("{s:o, s:s%, s:I}", "spans", spans, "redacted", redacted,
                     size, "again", (json_int_t)again);
    if (!text || json_dumpf(text, stdout, JSON_COMPACT) != 0 ||
        putchar('\n') == EOF) {
        json_decref(text);
        fprintf(stderr, "sotto-detect: the answer cannot be written\n");
        return 2;
    }
    json_decref(text);
    return 0;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Whole passes over the text, in steps of FOUND_MAX detections. */
static size_t scan_all(struct span text)
{
    size_t at = 0, count, total = 0;

    do {
        count = detect(span_of(text.data + at, text.size - at), DETECT_ALL,
                       found, FOUND_MAX);
        total += count;
        if (count > 0)
            at += found[count - 1].start + found[count - 1].size;
    } while (count == FOUND_MAX);
    return total;
}

static int speed(void)
{
    struct buf b;
    double start, best = 1e9;
    size_t total = 0;

    buf_init(&b, (size_t)1 << 28);
    if (buf_read_file(&b, "/dev/stdin") || b.size == 0) {
        fprintf(stderr, "sotto-detect: no text on standard input\n");
        return 2;
    }
    for (int i = 0; i < ROUNDS; i++) {
        double took;

        start = seconds();
        total = scan_all(span_of(b.data, b.size));
        took = seconds() - start;
        best = took < best ? took : best;
    }
    printf("%zu bytes, %zu detections, %.2f ns a byte\n", b.size, total,
           best * 1e9 / (double)b.size);
    buf_fini(&b);
    return 0;
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    int code = 0;

    if (argc > 1 && strcmp(argv[1], "--speed") == 0)
        return speed();
    while (code == 0 && getline(&line, &room, stdin) > 0)
        code = answer(line);
    free(line);
    return code;
}
