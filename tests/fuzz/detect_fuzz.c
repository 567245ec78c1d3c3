/* Any bytes as a text: detections lie in bounds, in order and apart, go on
 * where they stopped, and begin and end between characters; what is redacted
 * holds nothing, fits, and is UTF-8 if the text was. */
#include "policy/detect.h"

#include "fuzz.h"

#define FOUND_MAX 64

static bool is_middle(const uint8_t *data, size_t size, size_t at)
{
    return at < size && (data[at] & 0xc0) == 0x80;
}

/* RFC 3629, without the rules on which code points exist. */
static bool is_utf8(struct span text)
{
    size_t i = 0;

    while (i < text.size) {
        uint8_t lead = text.data[i];
        size_t size = lead < 0x80                    ? 1
                      : lead >= 0xc2 && lead <= 0xdf ? 2
                      : lead >= 0xe0 && lead <= 0xef ? 3
                      : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                     : 0;

        if (size == 0 || size > text.size - i)
            return false;
        for (size_t k = 1; k < size; k++)
            if ((text.data[i + k] & 0xc0) != 0x80)
                return false;
        i += size;
    }
    return true;
}

static void check_redacted(struct span text, uint32_t kinds, size_t max,
                           bool utf8)
{
    uint8_t *out = malloc(max ? max : 1);
    struct detection found;
    size_t size;

    expect(out != NULL);
    size = detect_redact(out, max, text, kinds);
    expect(size <= max);
    expect(detect(span_of(out, size), kinds, &found, 1) == 0);
    expect(!utf8 || is_utf8(span_of(out, size)));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct detection found[FOUND_MAX], one;
    struct span text;
    uint32_t kinds;
    size_t max, end = 0, count;
    bool utf8;

    if (size < 3)
        return 0;
    kinds = data[0] == 'a' ? DETECT_ALL
                           : (uint32_t)(data[0] | data[1] << 8) & DETECT_ALL;
    max = data[2];
    text = span_of(data + 3, size - 3);
    utf8 = is_utf8(text);
    count = detect(text, kinds, found, FOUND_MAX);
    for (size_t i = 0; i < count; i++) {
        expect(kinds >> found[i].kind & 1);
        expect(found[i].size > 0 && found[i].start >= end);
        expect(detect(span_of(text.data + end, text.size - end), kinds, &one,
                      1) == 1);
        expect(end + one.start == found[i].start && one.size == found[i].size);
        expect(!utf8 || !is_middle(text.data, text.size, found[i].start));
        end = found[i].start + found[i].size;
        expect(end <= text.size);
        expect(!utf8 || !is_middle(text.data, text.size, end));
    }
    check_redacted(text, kinds, max, utf8);
    check_redacted(text, kinds, 2 * text.size + 8, utf8);
    return 0;
}
