/* The policy: which events exist, their fields, and what becomes of each
 * field. It is also the schema of every batch: what it does not list does not
 * exist.
 *
 * Officers write YAML; `sotto-policy build` (agent/policy_tool/compile.c)
 * checks it and fills a struct policy; policy_encode makes the canonical
 * msgpack that is hashed and signed. Everybody else loads that form only and
 * never parses text. Immutable after loading, so any thread may read it. */
#ifndef SOTTO_POLICY_POLICY_H
#define SOTTO_POLICY_POLICY_H

#include "base/when.h"
#include "policy/action.h"
#include "wire/keys.h"

#define POLICY_VERSION 1 /* of the compiled form */
#define POLICY_BYTES_MAX (256 * 1024)
#define POLICY_EVENTS_MAX 200
#define POLICY_FIELDS_MAX 48 /* per event */
#define POLICY_KEYS_MAX 16
#define POLICY_PURPOSES_MAX 32 /* consent is a 32-bit set */
#define POLICY_SIGNERS_MAX 8
#define POLICY_IDS_MAX 16  /* distinct (path, key) pairs of pseudonyms */
#define POLICY_EDGES_MAX 64
#define POLICY_VALUES_MAX 64 /* of a randomized answer */
#define POLICY_EPSILON_MIN 10000 /* millionths: 0.01 */
#define POLICY_EPSILON_MAX 10000000
#define NAME_MAX_SIZE 64   /* events, fields, keys, purposes; without zero */
#define PATH_MAX_SIZE 128  /* "properties.product_id" */
#define TEXT_SIZE_MAX 256  /* a kept text, whatever `max` says */
#define PURPOSE_NONE 255
#define FIELD_NONE 255
#define POLICY_EPOCH_MIN (INT64_C(3600) * 1000)
#define POLICY_EPOCH_MAX (366 * DAY_MS)
#define POLICY_WINDOW_MAX 64 /* epochs that destroy_after may take */
#define POLICY_SPAN_MAX (INT64_C(100) * 365 * DAY_MS) /* of any duration */
#define TIME_MAX_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

/* What a field means to the platform. Views bind to roles, never to names. */
enum role {
    ROLE_NONE,
    ROLE_TIME,
    ROLE_SUBJECT,
    ROLE_DAY,
    ROLE_SESSION,
    ROLE_ITEM,
    ROLE_NAME, /* label of the item, for people */
    ROLE_VALUE,
    ROLE_QUANTITY,
    ROLE_CATEGORY,
    ROLE_BRAND,
    ROLE_ORDER,
    ROLE_VARIANT,
    ROLE_POSITION,
    ROLE_COUNT
};
const char *role_name(enum role role);
enum role role_of(struct span name); /* ROLE_COUNT if unknown */
/* The types a role takes, as bits 1 << type: views rely on them. */
uint32_t role_types(enum role role);

/* What an event means to the platform (`role:` of an event in the YAML; by
 * default taken from Segment's e-commerce names by a table in policy.c). */
enum event_role {
    EVENT_OTHER,
    EVENT_VIEW,     /* Product Viewed */
    EVENT_ADD,      /* Product Added */
    EVENT_REMOVE,   /* Product Removed */
    EVENT_PURCHASE, /* Order Completed */
    EVENT_RETURN,   /* Order Refunded */
    EVENT_SEARCH,   /* Products Searched */
    EVENT_ROLE_COUNT
};
const char *event_role_name(enum event_role role);
enum event_role event_role_of(struct span name);    /* COUNT if unknown */
enum event_role event_role_default(struct span event); /* by Segment's names */

enum basis {
    BASIS_CONSENT,
    BASIS_CONTRACT,
    BASIS_LEGAL_OBLIGATION,
    BASIS_LEGITIMATE_INTEREST,
    BASIS_COUNT
};

struct policy_purpose {
    char name[NAME_MAX_SIZE + 1];
    uint8_t basis;         /* enum basis */
    bool needs_consent;    /* true for BASIS_CONSENT */
    int64_t retention_ms;  /* of event time; 0: not limited */
};

struct policy_key {
    char name[NAME_MAX_SIZE + 1];
    int64_t epoch_ms;   /* how long it lasts; 0: stable (`epoch: none`) */
    int64_t destroy_ms; /* after its epoch is over; 0 if stable */
};

/* What an event needs of a field comes first and in few cache lines: after a
 * pause, the first call misses the cache for each of them. */
struct policy_field {
    uint8_t action;               /* enum action; never ACTION_DROP */
    uint8_t type;                 /* enum value_type, of what is made */
    uint8_t role;                 /* enum role */
    uint8_t purpose;              /* index */
    bool required;                /* without a value the event is dropped */
    uint8_t from_size;            /* derived */
    uint8_t key;                  /* ACTION_PSEUDONYM: index of the key */
    uint8_t id;                   /* ACTION_PSEUDONYM: index into ids */
    uint8_t bits;                 /* ACTION_PSEUDONYM: 64 or 128; of a token
                                     always 64 */
    uint8_t normalize;            /* enum normalize */
    uint8_t edge_count;           /* ACTION_BUCKET */
    uint8_t v4, v6;               /* ACTION_IP: bits kept */
    uint8_t parts;                /* ACTION_URL: set of enum url_part */
    uint8_t value_count;          /* ACTION_RANDOMIZE */
    bool memoize;                 /* ACTION_RANDOMIZE */
    uint16_t max;                 /* bytes of a text; derived but for
                                     ACTION_KEEP, _URL and _REDACT */
    uint16_t detect;              /* ACTION_REDACT: set of detect_kind */
    uint32_t epsilon;             /* ACTION_RANDOMIZE: millionths */
    int64_t round_ms;             /* ACTION_TIME; at least 1 */
    struct pattern *pattern;      /* ACTION_KEEP text; NULL: any */
    int64_t *edges;               /* in the field's unit, rising */
    char (*values)[NAME_MAX_SIZE + 1]; /* ACTION_RANDOMIZE: distinct */
    char from[PATH_MAX_SIZE + 1]; /* Segment path; "" for time; for session
                                     "" or the path of a raw session id */
    char name[NAME_MAX_SIZE + 1];
    char pattern_text[NAME_MAX_SIZE + 1];
};

struct policy_event {
    char name[NAME_MAX_SIZE + 1];
    uint8_t role;    /* enum event_role */
    uint8_t purpose; /* the gate of the whole event */
    uint8_t field_count;
    struct policy_field *fields; /* the columns, in the officer's order */
    uint8_t by_role[ROLE_COUNT]; /* role -> field index, or FIELD_NONE */
};

/* A pseudonym that some field needs: which path under which key. */
struct policy_id {
    char from[PATH_MAX_SIZE + 1];
    uint8_t key;
    uint8_t normalize;
};

struct policy_signer {
    char name[NAME_MAX_SIZE + 1];
    uint8_t key_id[8]; /* minisign's */
    uint8_t pk[PK_SIZE];
};

#define POLICY_SLOTS 512 /* a power of two over twice POLICY_EVENTS_MAX */

struct policy {
    char tenant[NAME_MAX_SIZE + 1]; /* `policy:` */
    uint64_t version;
    uint8_t previous[HASH_SIZE]; /* zeros: the first */
    int64_t effective_ms, expires_ms; /* expires: WHEN_NONE only if stated */
    int64_t session_timeout_ms;
    int64_t spool_ms; /* retention.spool */
    uint8_t signers_needed;
    uint8_t signer_count, key_count, purpose_count, id_count;
    uint16_t event_count;
    struct policy_signer signers[POLICY_SIGNERS_MAX];
    struct policy_key keys[POLICY_KEYS_MAX];
    struct policy_purpose purposes[POLICY_PURPOSES_MAX];
    struct policy_id ids[POLICY_IDS_MAX];
    struct policy_event *events;
    uint16_t slots[POLICY_SLOTS]; /* name's hash -> event index + 1, or 0 */
    uint8_t hash[HASH_SIZE]; /* of the compiled bytes */
    struct buf compiled;     /* the canonical bytes themselves */
};

/* Appends the canonical bytes of p, reading no derived member (type of a
 * pseudonym, time or session field, id, from_size, by_role, pattern, max and
 * bits where the action gives them, slots, compiled, hash). Checks nothing:
 * policy_load does. */
enum sotto_err policy_encode(struct buf *out, const struct policy *p);

/* Loads compiled bytes: checks structure, ranges, indexes, and that encoding
 * again gives the same bytes. Fills derived members. SOTTO_EDECODE,
 * SOTTO_ETOOBIG, SOTTO_EVERSION, SOTTO_ENOMEM. */
enum sotto_err policy_load(struct policy **out, struct span compiled);
/* Frees p and what it owns: compiled, events, and of each field pattern,
 * edges and values. All of it is from malloc. Accepts NULL and half-built policies. */
void policy_free(struct policy *p);

/* Index of an event by name, or -1; of a loaded policy. Constant-ish time, no
 * allocation. */
int policy_event_find(const struct policy *p, struct span name);
/* Index of a purpose by name, or -1. */
int policy_purpose_find(const struct policy *p, struct span name);
/* The set of purposes that need no consent. */
uint32_t policy_granted_always(const struct policy *p);
/* The field of the one whose answers are kept the same: the subject, else the
 * day's; NULL if the event has neither. */
const struct policy_field *policy_memo_field(const struct policy_event *event);
/* The subject's field of the first event that has one, or NULL. */
const struct policy_field *policy_subject_field(const struct policy *p);
/* The policy_id of the subject role of the first event that has one, or -1:
 * the pseudonym under which lists are kept. */
int policy_subject_id(const struct policy *p);

#endif
