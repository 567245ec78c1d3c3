/* An anonymized event. There are two types on purpose: struct raw_event
 * (anonymize.h) has no encoder, so nothing raw can be written anywhere.
 *
 * The row form below is what the ring holds; batch.h is what travels. */
#ifndef SOTTO_POLICY_EVENT_H
#define SOTTO_POLICY_EVENT_H

#include "policy/policy.h"

#define EVENT_ROW_MAX 4096

struct event_value {
    bool present;
    int64_t number;   /* INT, MONEY, BOOL, TIME; session numbers */
    uint8_t id[16];   /* TYPE_ID, zero-filled above its bits */
    struct span text; /* TYPE_TEXT; borrowed */
};

struct event {
    uint16_t index;   /* of the event in its policy */
    uint32_t consent; /* purposes granted for its subject, by policy index */
    const struct policy *fits; /* under which all values are known to fit their
                                  fields: anonymize and event_decode say so.
                                  Whoever changes a value sets it to NULL */
    struct event_value values[POLICY_FIELDS_MAX]; /* by field index; those at
                                                     or above field_count are
                                                     not set */
    size_t made_size;
    char made[EVENT_ROW_MAX + TEXT_SIZE_MAX]; /* texts that an action made:
                                                 values may point here, so a
                                                 copy of the struct still
                                                 borrows from it */
};

/* Whether v is what its field can make: 0 or 1 for BOOL; 1970 to 9999 for
 * TIME, and a whole multiple of the rounding; an edge for a bucket; a session
 * number above 0; for TEXT at most the field's max bytes of UTF-8 without
 * zero bytes, and of the form that its action makes; for ID zeros above its
 * bits. An absent value fits. */
bool event_value_fits(const struct policy_field *f,
                      const struct event_value *v);
/* Whether a text has the form that the action of f makes, and its size. */
bool event_text_made(const struct policy_field *f, struct span text);
/* The number of a text among the values of f, or their count. */
unsigned event_value_number(const struct policy_field *f, struct span text);
/* UTF-8 (RFC 3629) of at most TEXT_SIZE_MAX bytes without zero bytes. */
bool event_text_fits(struct span text);
/* How many bytes the UTF-8 character at p takes, of at least one; 0 if it is
 * none: no overlong form, no surrogate, nothing above U+10FFFF. */
size_t event_character_size(const uint8_t *p, size_t left);
/* The index of the bucket of number: its last edge not above it, or 0. */
unsigned bucket_of(const struct policy_field *f, int64_t number);

/* The row form, into out: SOTTO_ETOOBIG if it takes more than capacity or
 * EVENT_ROW_MAX bytes, SOTTO_EINVAL if a value does not fit its field and
 * ev->fits is not p. No allocation. Little endian: u16 index, u32 consent,
 * presence bitmap (lowest bit first), then the present values in order: i64
 * number (BOOL: u8), id of its bits, text after its u16 size. */
enum sotto_err event_encode(const struct policy *p, const struct event *ev,
                            uint8_t *out, size_t capacity, size_t *size);
/* Texts borrow from row. SOTTO_EDECODE. */
enum sotto_err event_decode(const struct policy *p, struct span row,
                            struct event *ev);

/* The value of a role, or NULL if the event has none or it is absent. */
const struct event_value *event_role_value(const struct policy *p,
                                           const struct event *ev,
                                           enum role role);

#endif
