/* message: the first byte of an input is the type of the record that the rest
 * is, or MESSAGE_COUNT for a token's text. What is read can be written, and
 * read again as the same. */
#include "fuzz.h"

#include "wire/message.h"

static union {
    struct reply reply;
    struct poll poll;
    struct enrol enrol;
    struct enrolled enrolled;
    struct void_body void_body;
    struct documents_head head;
    struct token token;
} record;

static void fuzz_record(enum message_type type, struct span bytes)
{
    struct buf once, twice;

    if (message_decode(&record, type, bytes) != SOTTO_OK)
        return;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    expect(message_encode(&once, type, &record) == SOTTO_OK);
    expect(message_decode(&record, type, fuzz_bytes(&once)) == SOTTO_OK);
    expect(message_encode(&twice, type, &record) == SOTTO_OK);
    expect(span_equal(fuzz_bytes(&once), fuzz_bytes(&twice)));
    buf_fini(&once);
    buf_fini(&twice);
}

static void fuzz_token(struct span text)
{
    struct buf scratch, again;
    struct token t;

    buf_init(&scratch, 1 << 20);
    buf_init(&again, 1 << 20);
    if (token_read(&t, text, &scratch) == SOTTO_OK)
        expect(token_write(&again, &t) == SOTTO_OK);
    buf_wipe(&again);
    buf_wipe(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] < MESSAGE_COUNT)
        fuzz_record((enum message_type)data[0], span_of(data + 1, size - 1));
    else if (data[0] == MESSAGE_COUNT)
        fuzz_token(span_of(data + 1, size - 1));
    return 0;
}
