/* The one crossing from raw to anonymous, on the caller's thread.
 *
 * anonymize() reads a raw event, which borrows everything from its caller, and
 * makes an event under a policy. No lock, no allocation, no system call. Raw
 * bytes are copied into nothing but the keyed hash and, for kept fields that
 * match their type and pattern, the event itself. */
#ifndef SOTTO_POLICY_ANONYMIZE_H
#define SOTTO_POLICY_ANONYMIZE_H

#include "policy/chance.h"
#include "policy/event.h"
#include "policy/reason.h"

enum raw_kind {
    RAW_TEXT,
    RAW_INT,
    RAW_MONEY, /* millionths */
    RAW_REAL,
    RAW_BOOL,
};

struct raw_field {
    struct span path; /* "userId", "properties.price", … */
    uint8_t kind;     /* enum raw_kind */
    struct span text; /* RAW_TEXT */
    int64_t number;   /* RAW_INT, RAW_MONEY, RAW_BOOL */
    double real;      /* RAW_REAL */
};

#define RAW_FIELDS_MAX 128
struct raw_event {
    struct span name;
    int64_t time_ms; /* WHEN_NONE: now */
    const struct raw_field *fields;
    size_t field_count;
};

/* Pseudonym keys in use, by name as in the bundle. In sodium_malloc memory. */
struct pseudonym_keys {
    uint32_t count;
    char names[POLICY_KEYS_MAX][NAME_MAX_SIZE + 1];
    uint8_t secrets[POLICY_KEYS_MAX][32];
    int64_t epoch_ms[POLICY_KEYS_MAX]; /* 0: stable */
    int64_t destroy_ms[POLICY_KEYS_MAX];
    uint64_t first[POLICY_KEYS_MAX]; /* the epoch of the secret: epoch.h */
};
struct pseudonym_keys *pseudonym_keys_make(void); /* empty; NULL: no memory */
void pseudonym_keys_free(struct pseudonym_keys *k);
/* Index by name or -1. */
int pseudonym_keys_find(const struct pseudonym_keys *k, const char *name);

/* The person at the device: pseudonyms cached at identify, after which the raw
 * id is forgotten; consent. Immutable once published. */
struct person {
    uint32_t consent; /* purposes granted, by index of this policy */
    uint32_t known;   /* bit i: ids[i] is cached */
    uint8_t ids[POLICY_IDS_MAX][16];
    uint32_t followed; /* bit i: next[i] is cached */
    uint8_t next[POLICY_IDS_MAX][16]; /* of the epoch after */
    uint64_t epoch[POLICY_IDS_MAX];   /* of ids; 0 of a stable key */
};

/* The cached pseudonym of an event at a time, or NULL. */
const uint8_t *person_id(const struct person *person, const struct policy *p,
                         int id, int64_t time_ms);

#define RAW_ID_MAX 512

/* Keyed BLAKE2b-128 over tenant | 0 | path (id type) | 0 | epoch (u64 LE, 0 for
 * stable) | normalized id. A field of 64 bits takes the first 8 bytes.
 * SOTTO_EINVAL for an id that is empty after normalization or over RAW_ID_MAX
 * bytes; SOTTO_ENOTFOUND if keys lack the key, or that of the time's epoch is
 * destroyed. RFC 7693. */
enum sotto_err pseudonym_at(uint8_t out[16], const struct policy *p,
                            const struct pseudonym_keys *keys, int id,
                            struct span raw_id, int64_t time_ms);
/* The same of a stable key. */
enum sotto_err pseudonym_make(uint8_t out[16], const struct policy *p,
                              const struct pseudonym_keys *keys, int id,
                              struct span raw_id);

/* The seed of the noise of a memoized answer: keyed BLAKE2b-256, with the
 * personalization "sotto randomize", under the secret of the pseudonym id, over
 * tenant | 0 | path of the answer | 0 | value | 0 | id. The true value is part
 * of it, as in RAPPOR's permanent response (Erlingsson, Pihur, Korolova, CCS
 * 2014): under a common seed two answers of one person would show the truth
 * wherever they differ. SOTTO_ENOTFOUND if keys lack the key
 * at that time. */
enum sotto_err answer_seed(uint8_t out[CHANCE_KEY], const struct policy *p,
                           const struct pseudonym_keys *keys,
                           const struct policy_field *memo,
                           const uint8_t id[16],
                           const struct policy_field *answer,
                           struct span value, int64_t time_ms);

/* Caches in person each pseudonym of the policy that comes from path, of the
 * epoch of now and of the next; what was cached from that path before is gone,
 * also when the id is refused. Errors as of pseudonym_at. */
enum sotto_err person_identify(struct person *person, const struct policy *p,
                               const struct pseudonym_keys *keys,
                               struct span path, struct span raw_id,
                               int64_t now_ms);

/* The numbers of sessions: small, never random. */
struct sessions {
    /* The last number given. Without a table: the visit of the one person at
     * the device, 0 for none. */
    uint64_t current;
    /* Number for a raw session id: a new one gets ++current. An event without
     * a raw id then has no session: current is somebody else's. NULL when a
     * caller has no raw ids. */
    struct raw_memory *memory;
};

/* What the last few thousand raw ids became, session numbers and pseudonyms,
 * by their keyed hash (SipHash-x-2-4): the raw ids are not in it. It lives as
 * long as an import, with one set of pseudonym keys. Thread: the caller's. */
struct raw_memory *raw_memory_make(const uint8_t key[16]); /* or NULL */
void raw_memory_free(struct raw_memory *m); /* wipes; accepts NULL */

struct anonymizer {
    const struct policy *policy;
    const struct pseudonym_keys *keys;
    const struct person *person;
    uint32_t granted; /* consent of this event: person's or the import's,
                         with policy_granted_always() */
    struct sessions *sessions;    /* NULL: session fields stay empty */
    struct chance_source *chance; /* NULL: what is random stays empty */
    int64_t now_ms;               /* best guess, for time_ms unset */
    int64_t sure_ms; /* it is at least this late: for what is over, policy
                        and retention. 0: no better known than now_ms */
};

/* Checks (event known, policy in force, consent, age), then makes the event.
 * Texts in ev borrow from raw and from ev. A field whose purpose is not
 * granted, or whose purpose's retention is over, stays empty; a required one
 * drops the event. fields_emptied grows by the values that were given but did
 * not fit, and by the pseudonyms of a known person whose epoch is over. Whether a value that is not among the `values` of a randomized field
 * was given is hidden in the noise too. Of two raw fields with one path the
 * first counts. Returns why not, or DROP_NOT. */
enum drop_reason anonymize(const struct anonymizer *a,
                           const struct raw_event *raw, struct event *ev,
                           uint32_t *fields_emptied);

#endif
