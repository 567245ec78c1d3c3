/* Any text as a token: refused, or the same when written and read again. */
#include "fuzz.h"

#include <string.h>

#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token t, again;
    struct buf scratch, second, text;

    buf_init(&scratch, 1 << 16);
    buf_init(&second, 1 << 16);
    buf_init(&text, 1 << 16);
    if (token_read(&t, span_of(data, size), &scratch) == SOTTO_OK) {
        expect(token_write(&text, &t) == SOTTO_OK);
        expect(token_read(&again, fuzz_bytes(&text), &second) == SOTTO_OK);
        expect(span_equal(t.address, again.address));
        expect(span_equal(t.name, again.name));
        expect(memcmp(t.secret, again.secret, sizeof t.secret) == 0);
        expect(memcmp(t.sign_pk, again.sign_pk, PK_SIZE) == 0);
        expect(memcmp(t.box_pk, again.box_pk, PK_SIZE) == 0);
        expect(t.expires_ms == again.expires_ms);
    }
    buf_wipe(&scratch);
    buf_wipe(&second);
    buf_wipe(&text);
    return 0;
}
