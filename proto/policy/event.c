/* What an event may hold, and its row form.
 *
 * Invariant: whatever event_decode gives back fits the policy, and encodes to
 * the row it came from. */
#include "policy/event.h"

#include <endian.h>
#include <string.h>

#include "policy/network.h"
#include "policy/url.h"
#include "policy/useragent.h"

#define HEAD_SIZE 6 /* index and consent */

size_t event_character_size(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    size_t size;

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    size = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (left < size)
        return 0;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* Whether eight bytes are ASCII and not zero: no top bit, and none of a byte
 * less one; see "Determine if a word has a zero byte" (Anderson, Bit Twiddling
 * Hacks). */
static bool word_plain(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 255;

    return !((word | (word - ones)) & ones * 0x80);
}

/* Four to eight bytes as a word, those in the middle perhaps twice. */
static uint64_t short_word(struct span text)
{
    uint32_t first, last;

    memcpy(&first, text.data, sizeof(first));
    memcpy(&last, text.data + text.size - sizeof(last), sizeof(last));
    return (uint64_t)first << 32 | last;
}

bool event_text_fits(struct span text)
{
    size_t at = 0;
    uint64_t word;

    if (text.size > TEXT_SIZE_MAX)
        return false;
    if (text.size >= 4 && text.size <= 8 && word_plain(short_word(text)))
        return true;
    for (; text.size - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text.data + at, sizeof(word));
        if (!word_plain(word))
            break;
    }
    while (at < text.size) {
        size_t size = event_character_size(text.data + at, text.size - at);

        if (size == 0 || text.data[at] == 0)
            return false;
        at += size;
    }
    return true;
}

unsigned bucket_of(const struct policy_field *f, int64_t number)
{
    unsigned low = 0, high = f->edge_count;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (f->edges[middle] <= number)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool number_fits(const struct policy_field *f, int64_t number)
{
    if (f->type == TYPE_BOOL && (number < 0 || number > 1))
        return false;
    if (f->type == TYPE_TIME && (number < 0 || number > TIME_MAX_MS))
        return false;
    switch (f->action) {
    case ACTION_TIME:
        return number % f->round_ms == 0;
    case ACTION_BUCKET:
        return f->edges[bucket_of(f, number)] == number;
    case ACTION_SESSION:
        return number > 0;
    default:
        return true;
    }
}

static bool id_fits(const struct policy_field *f, const uint8_t id[16])
{
    uint64_t above;

    memcpy(&above, id + 8, sizeof(above));
    return f->bits == 128 || above == 0;
}

unsigned event_value_number(const struct policy_field *f, struct span text)
{
    unsigned i = 0;

    while (i < f->value_count && !span_equal(span_text(f->values[i]), text))
        i++;
    return i;
}

bool event_text_made(const struct policy_field *f, struct span text)
{
    if (text.size > f->max)
        return false;
    switch (f->action) {
    case ACTION_IP:
        return network_fits(text, f->v4, f->v6);
    case ACTION_UA_FAMILY:
        return useragent_fits(text);
    case ACTION_URL:
        return url_fits(text, f->parts);
    case ACTION_RANDOMIZE:
        return event_value_number(f, text) < f->value_count;
    default:
        return true;
    }
}

bool event_value_fits(const struct policy_field *f, const struct event_value *v)
{
    if (!v->present)
        return true;
    switch (f->type) {
    case TYPE_TEXT:
        return event_text_fits(v->text) && event_text_made(f, v->text);
    case TYPE_ID:
        return id_fits(f, v->id);
    default:
        return number_fits(f, v->number);
    }
}

static void put16(uint8_t *to, uint16_t value)
{
    value = htole16(value);
    memcpy(to, &value, sizeof(value));
}

static uint16_t take16(const uint8_t *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return le16toh(value);
}

/* Pseudonyms have 8 or 16 bytes: copied as such, not as so many. */
static size_t copy_id(uint8_t *to, const uint8_t *from,
                      const struct policy_field *f)
{
    memcpy(to, from, 8);
    if (f->bits == 128)
        memcpy(to + 8, from + 8, 8);
    return f->bits / 8;
}

/* Writes a present value; returns its bytes in the row, 0 if there is no room
 * for them. */
static size_t put_value(uint8_t *to, size_t room, const struct policy_field *f,
                        const struct event_value *v)
{
    uint64_t number;

    switch (f->type) {
    case TYPE_TEXT:
        if (room < 2 || v->text.size > room - 2)
            return 0;
        put16(to, (uint16_t)v->text.size);
        if (v->text.size > 0)
            memcpy(to + 2, v->text.data, v->text.size);
        return 2 + v->text.size;
    case TYPE_ID:
        return room < f->bits / 8 ? 0 : copy_id(to, v->id, f);
    case TYPE_BOOL:
        if (room < 1)
            return 0;
        *to = (uint8_t)v->number;
        return 1;
    default:
        if (room < sizeof(number))
            return 0;
        number = htole64((uint64_t)v->number);
        memcpy(to, &number, sizeof(number));
        return sizeof(number);
    }
}

enum sotto_err event_encode(const struct policy *p, const struct event *ev,
                            uint8_t *out, size_t capacity, size_t *size)
{
    const struct policy_event *event = &p->events[ev->index];
    uint8_t *presence = out + HEAD_SIZE;
    size_t at = HEAD_SIZE + (event->field_count + 7u) / 8;
    uint32_t consent = htole32(ev->consent);

    if (capacity > EVENT_ROW_MAX)
        capacity = EVENT_ROW_MAX;
    if (at > capacity)
        return SOTTO_ETOOBIG;
    put16(out, ev->index);
    memcpy(out + 2, &consent, sizeof(consent));
    memset(presence, 0, at - HEAD_SIZE);
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct event_value *v = &ev->values[i];
        size_t size_here;

        if (!v->present)
            continue;
        if (ev->fits != p && !event_value_fits(&event->fields[i], v))
            return SOTTO_EINVAL;
        size_here = put_value(out + at, capacity - at, &event->fields[i], v);
        if (size_here == 0)
            return SOTTO_ETOOBIG;
        presence[i / 8] |= (uint8_t)(1u << (i % 8));
        at += size_here;
    }
    *size = at;
    return SOTTO_OK;
}

/* Reads a present value; returns its bytes in the row, 0 if it runs over. */
static size_t take_value(const uint8_t *from, size_t left,
                         const struct policy_field *f, struct event_value *v)
{
    uint64_t number;
    size_t size;

    v->text = span_of(NULL, 0);
    switch (f->type) {
    case TYPE_TEXT:
        if (left < 2)
            return 0;
        size = take16(from);
        v->text = span_of(from + 2, size);
        return size > left - 2 ? 0 : 2 + size;
    case TYPE_ID:
        if (left < f->bits / 8)
            return 0;
        memset(v->id, 0, sizeof(v->id));
        return copy_id(v->id, from, f);
    case TYPE_BOOL:
        if (left < 1)
            return 0;
        v->number = *from;
        return 1;
    default:
        if (left < sizeof(number))
            return 0;
        memcpy(&number, from, sizeof(number));
        v->number = (int64_t)le64toh(number);
        return sizeof(number);
    }
}

static enum sotto_err take_head(const struct policy *p, struct span row,
                                struct event *ev)
{
    uint32_t consent;

    if (row.size < HEAD_SIZE)
        return SOTTO_EDECODE;
    ev->index = take16(row.data);
    memcpy(&consent, row.data + 2, sizeof(consent));
    ev->consent = le32toh(consent);
    if (ev->index >= p->event_count ||
        (uint64_t)ev->consent >> p->purpose_count)
        return SOTTO_EDECODE;
    return SOTTO_OK;
}

enum sotto_err event_decode(const struct policy *p, struct span row,
                            struct event *ev)
{
    const struct policy_event *event;
    const uint8_t *presence = row.data + HEAD_SIZE;
    size_t at;

    ev->fits = NULL;
    if (take_head(p, row, ev))
        return SOTTO_EDECODE;
    event = &p->events[ev->index];
    at = HEAD_SIZE + (event->field_count + 7u) / 8;
    if (row.size < at || row.size > EVENT_ROW_MAX)
        return SOTTO_EDECODE;
    if (event->field_count % 8 && row.data[at - 1] >> event->field_count % 8)
        return SOTTO_EDECODE;
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct policy_field *f = &event->fields[i];
        struct event_value *v = &ev->values[i];
        size_t size;

        v->present = presence[i / 8] >> (i % 8) & 1;
        if (!v->present)
            continue;
        size = take_value(row.data + at, row.size - at, f, v);
        if (size == 0 || !event_value_fits(f, v))
            return SOTTO_EDECODE;
        at += size;
    }
    if (at != row.size)
        return SOTTO_EDECODE;
    ev->fits = p;
    return SOTTO_OK;
}

const struct event_value *
event_role_value(const struct policy *p, const struct event *ev, enum role role)
{
    uint8_t field = p->events[ev->index].by_role[role];

    if (field == FIELD_NONE || !ev->values[field].present)
        return NULL;
    return &ev->values[field];
}
