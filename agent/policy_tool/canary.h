/* Planted values, and every form in which a program might have kept them.
 *
 * A canary is put in at one end and must not come out at the other. Searched
 * are: the value itself in any case; base64 and base64url at all three
 * alignments; hexadecimal; percent-encoding; UTF-16 in both byte orders; and
 * its digests without a key (MD5, SHA-1, SHA-256, SHA-512, BLAKE2b-256; of the
 * value as given and in lower case), as bytes, hexadecimal and base64. */
#ifndef SOTTO_POLICY_TOOL_CANARY_H
#define SOTTO_POLICY_TOOL_CANARY_H

#include "base/buf.h"

#define CANARY_SIZE_MIN 6 /* below, chance finds it */
#define CANARY_SIZE_MAX 256
#define CANARIES_MAX 1000
#define CANARY_FORM_MAX (3 * CANARY_SIZE_MAX) /* bytes of a form */

struct canaries; /* immutable while it is searched; any thread */

enum sotto_err canaries_make(struct canaries **out); /* empty */
void canaries_free(struct canaries *c);              /* accepts NULL */

/* SOTTO_EINVAL with why: too short, too long, too many. SOTTO_ENOMEM. */
enum sotto_err canaries_add(struct canaries *c, struct span value,
                            struct why *why);

struct canary_hit {
    size_t offset, size;
    unsigned number;  /* of the canary, from 1 */
    const char *form; /* "base64", "SHA-1 in hexadecimal", ... */
};

/* The first hit that begins at or after from and before limit; a form may end
 * behind limit. False if there is none. */
bool canaries_find(const struct canaries *c, struct span bytes, size_t from,
                   size_t limit, struct canary_hit *hit);

#endif
