/* Sotto for applications: behaviour events leave a device anonymized, or not
 * at all, and personalized lists come back. This header is the whole public
 * interface and its manual.
 *
 * FOUR CALLS
 *
 *     struct sotto_options o = {.size = sizeof o,
 *                               .dir = "/var/lib/kiosk/sotto",
 *                               .token_file = "token.txt",
 *                               .bundle_file = "shop.bundle",
 *                               .bundle_code = code};
 *     struct sotto_property p[] = {sotto_text("product_id", "85123A"),
 *                                  sotto_money("price", 2550000)};
 *     struct sotto_event viewed = {.size = sizeof viewed,
 *                                  .name = "Product Viewed",
 *                                  .properties = p,
 *                                  .property_count = 2};
 *     struct sotto *s;
 *
 *     sotto_open(&s, &o, NULL);
 *     sotto_track(s, &viewed);
 *     sotto_flush(s, 2000);
 *     sotto_close(s, 0, NULL);
 *
 * WHERE AN EVENT GOES. sotto_track() checks the officer's policy and the
 * person's consent and anonymizes, all on the caller's thread, and appends the
 * result to a ring in memory-backed storage. A thread of the library drains the
 * ring into batches, which are compressed, sealed for the aggregator and signed
 * before they touch the disk (the spool, in the directory), and sends them when
 * there is a network. Raw values, a user's id among them, are in no buffer,
 * file or log of the library once the call has returned.
 *
 * WHAT SURVIVES WHAT. The end of the process, kill -9 too: everything accepted.
 * A power cut: what is in the spool; the newest events in the ring (about a
 * second's) and their count may be lost. sotto_track_sync() waits for the
 * spool, sotto_flush() for the aggregator's acknowledgement.
 *
 * THE DIRECTORY holds keys, certificate, spool and lists (mode 0700), and may
 * hold settings in agent.yaml. One handle owns it at a time; a process may have
 * several handles on several directories. The ring lies in the folder that
 * `ring_dir` of agent.yaml names, by default /dev/shm.
 *
 * THREADS. Every function may be called by any thread at any time on an open
 * handle. Before sotto_close() is called the application makes sure that no
 * other thread is inside a call, or makes another one afterwards. What "waits"
 * below may block for a disk commit or until its deadline; the others take
 * microseconds. Threads of the library block all signals. Nothing here may be
 * called from a signal handler, or be cancelled (pthread_cancel). The library
 * writes warnings and errors, a line each, to standard error.
 *
 * FORK. A handle belongs to the process that opened it: in a child of fork()
 * every call on it returns SOTTO_ECLOSED and does nothing. A child that wants
 * a handle of its own calls exec first. A child that neither execs nor exits
 * keeps the directory locked after its parent has closed.
 *
 * OWNERSHIP. Arguments stay the caller's; nothing of them is kept. Results are
 * copied into memory of the caller. Texts returned by pointer are constants.
 * Structs with a `size` member may grow in later versions: set it to sizeof of
 * the struct, zero the rest, and an older program keeps working.
 *
 * UNITS. Times are milliseconds since 1970-01-01 UTC, durations milliseconds,
 * money millionths (2.55 is 2550000), sizes bytes. Texts are UTF-8. */
#ifndef SOTTO_SOTTO_H
#define SOTTO_SOTTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SOTTO_API __attribute__((visibility("default")))
#else
#define SOTTO_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SOTTO_VERSION "0.1.0"
/* The version of the library that runs, as above. */
SOTTO_API const char *sotto_version(void);

/* ---- status ---- */

enum sotto_status {
    SOTTO_OK = 0,
    SOTTO_EINVAL = 1,    /* an argument is wrong: mend the program */
    SOTTO_ENOMEM = 2,    /* no memory */
    SOTTO_EIO = 3,       /* a file, socket or disk failed */
    SOTTO_EFULL = 4,     /* ring, spool or disk is full */
    SOTTO_EDENIED = 5,   /* consent or policy forbids it */
    SOTTO_ENOTFOUND = 6, /* no such thing */
    SOTTO_EEXIST = 7,    /* it is there already */
    SOTTO_ELOCKED = 8,   /* the directory has another owner */
    SOTTO_EDECODE = 9,   /* a file is not what it claims to be */
    SOTTO_ETOOBIG = 10,  /* over a limit */
    SOTTO_ECRYPTO = 11,  /* a signature, key or code is wrong */
    SOTTO_EREFUSED = 12, /* the other side said no, for good */
    SOTTO_EAGAIN = 13,   /* not now; later */
    SOTTO_ETIMEOUT = 14, /* the deadline passed */
    SOTTO_ECLOSED = 15,  /* the handle is closing, or of another process */
    SOTTO_EVERSION = 16  /* made by a newer version */
};
/* A sentence ("there was no answer in time") and a name ("ETIMEOUT"), for any value;
 * never NULL. */
SOTTO_API const char *sotto_strerror(enum sotto_status status);
SOTTO_API const char *sotto_status_name(enum sotto_status status);

/* A sentence for a person: what failed, where, what to do. No personal data. */
struct sotto_why {
    char text[400];
};

/* ---- open and close ---- */

struct sotto; /* a handle */

struct sotto_options {
    size_t size;
    /* The data directory; made (0700) if missing, its parent must be there. */
    const char *dir;
    /* For the first open of a directory: what `sotto-aggregator enroll` printed
     * (its text, or a file that holds it), and what `sotto-policy bundle`
     * wrote, with its code. Later opens go by the directory and look at none of
     * these, so they may be given every time or left out. */
    const char *token; /* goes before token_file */
    const char *token_file;
    const char *bundle_file;
    const char *bundle_code;
};

/* Opens, or makes, the directory and starts the library's thread. Needs no
 * network: the handle takes events at once; enrolment and delivery happen in
 * the background whenever the aggregator can be reached. Waits for the disk
 * (the first open also derives a key from the code: 0.1 s and 64 MiB of memory
 * on a desktop, more time on a small device).
 *
 * why may be NULL. On failure *out is NULL and nothing runs.
 * SOTTO_EINVAL    options, agent.yaml
 * SOTTO_ENOTFOUND a first open without token or bundle, or no such file
 * SOTTO_ELOCKED   another handle or a sotto-agent owns the directory
 * SOTTO_ECRYPTO   the code is not the bundle's; a signature does not hold
 * SOTTO_EEXIST    the directory is half made, with another token
 * SOTTO_EDECODE   a file is damaged
 * SOTTO_EFULL     no room for the ring; SOTTO_EIO, SOTTO_ENOMEM */
SOTTO_API enum sotto_status sotto_open(struct sotto **out,
                                       const struct sotto_options *options,
                                       struct sotto_why *why);

/* Takes no more events, seals what was taken, waits until everything is
 * acknowledged or deadline_ms is over, and frees the handle in every case but
 * SOTTO_EINVAL and SOTTO_ECLOSED (a child of fork: the handle is leaked).
 * left_behind, if not NULL: events in ring and spool that the aggregator has
 * not acknowledged. They are kept, and sent after the next open.
 *
 * SOTTO_ETIMEOUT  something is left behind (with 0: the usual answer offline)
 * SOTTO_EFULL     the spool is full, so some of it is still in the ring */
SOTTO_API enum sotto_status sotto_close(struct sotto *s, uint32_t deadline_ms,
                                        uint64_t *left_behind);

/* ---- the person at the device ---- */

/* Who it is. Pseudonyms are made at once and the id is forgotten; it is not
 * normalized here but as the policy says. NULL or "": nobody any more (consents
 * stay; see sotto_session_end). Ids are used in events and lists only under the
 * consent their purpose asks for.
 *
 * SOTTO_EAGAIN    there is no policy yet; identify again later
 * SOTTO_EINVAL    the id is empty after normalization or over 512 bytes; the
 *                 one before is forgotten
 * SOTTO_ENOTFOUND the bundle lacks a key that the policy names; SOTTO_ENOMEM */
SOTTO_API enum sotto_status sotto_identify(struct sotto *s,
                                           const char *user_id);

/* What the person agreed to, by the policy's name of the purpose. In force when
 * the call returns. Until it is given, a purpose that asks for consent is
 * refused. Nothing is remembered over a close: say it after each open. To
 * withdraw the purpose of an identified person's pseudonym makes the library
 * forget that person's history and lists, and tells the aggregator to.
 *
 * SOTTO_ENOTFOUND the policy has no such purpose (kept for the next policy)
 * SOTTO_EINVAL    a name that is empty or over 64 bytes
 * SOTTO_EFULL     32 purposes are known; or: the withdrawal is in force, but
 *                 there is no room to tell the aggregator; call again later
 * SOTTO_ENOMEM */
SOTTO_API enum sotto_status sotto_consent(struct sotto *s, const char *purpose,
                                          bool granted);

/* A visit begins: the events that follow belong to a session of their own. A
 * session also ends by itself after the policy's timeout without events. */
SOTTO_API enum sotto_status sotto_session_begin(struct sotto *s);
/* The person leaves a shared device: id and consents are forgotten, which is no
 * withdrawal. A kiosk calls it at "done" and when it is idle. SOTTO_ENOMEM. */
SOTTO_API enum sotto_status sotto_session_end(struct sotto *s);

/* ---- events ---- */

enum sotto_value_type {
    SOTTO_TEXT = 1,
    SOTTO_INT = 2,
    SOTTO_MONEY = 3, /* millionths */
    SOTTO_REAL = 4,
    SOTTO_BOOL = 5
};

#define SOTTO_PROPERTIES_MAX 64 /* of one event */
#define SOTTO_KEY_MAX 100       /* bytes of a key */

struct sotto_property {
    /* "product_id" means the policy's path properties.product_id; a key that
     * begins with "context." is a path as it is. */
    const char *key;
    enum sotto_value_type type;
    const char *text; /* SOTTO_TEXT; NULL: not given */
    int64_t number;   /* SOTTO_INT, SOTTO_MONEY, SOTTO_BOOL (0 or 1) */
    double real;      /* SOTTO_REAL */
};

static inline struct sotto_property sotto_text(const char *key,
                                               const char *text)
{
    struct sotto_property p = {key, SOTTO_TEXT, text, 0, 0};
    return p;
}
static inline struct sotto_property sotto_int(const char *key, int64_t number)
{
    struct sotto_property p = {key, SOTTO_INT, NULL, number, 0};
    return p;
}
static inline struct sotto_property sotto_money(const char *key,
                                                int64_t millionths)
{
    struct sotto_property p = {key, SOTTO_MONEY, NULL, millionths, 0};
    return p;
}
static inline struct sotto_property sotto_real(const char *key, double real)
{
    struct sotto_property p = {key, SOTTO_REAL, NULL, 0, real};
    return p;
}
static inline struct sotto_property sotto_bool(const char *key, bool truth)
{
    struct sotto_property p = {key, SOTTO_BOOL, NULL, truth ? 1 : 0, 0};
    return p;
}

struct sotto_event {
    size_t size;
    const char *name; /* as in the policy: "Product Viewed" */
    int64_t time_ms;  /* 0: now */
    const struct sotto_property *properties;
    size_t property_count;
};

/* Takes one event: no lock, no allocation, no system call, no disk; about a
 * microsecond, and under 32 KiB of stack. Properties that the policy does not
 * list do not exist. An event that is not taken is counted by its reason (see
 * sotto_stats), so the answer may be ignored.
 *
 * SOTTO_EDENIED  the policy does not list the event or is not in force; consent
 *                for its purpose is absent; it is older than the retention
 * SOTTO_EINVAL   a required property is absent or does not fit, or the time is
 *                outside 1970 to 9999; also a call without an event, which is
 *                not counted
 * SOTTO_ETOOBIG  over SOTTO_PROPERTIES_MAX, SOTTO_KEY_MAX, or 4 KiB in all
 * SOTTO_EFULL    the ring is full
 * SOTTO_EAGAIN   there is no policy yet
 * SOTTO_ECLOSED  the handle is closing, or of another process */
SOTTO_API enum sotto_status sotto_track(struct sotto *s,
                                        const struct sotto_event *event);

/* The same, and waits until the event is in the spool, where a power cut does
 * not reach it: one disk commit, shared with everybody who waits. For what must
 * not be lost, an order. Further errors mean "accepted, not durable yet":
 * SOTTO_ETIMEOUT the deadline passed
 * SOTTO_EFULL    the deadline passed and the spool is full; *taken tells this
 *                from a full ring. taken may be NULL. */
SOTTO_API enum sotto_status sotto_track_sync(struct sotto *s,
                                             const struct sotto_event *event,
                                             uint32_t deadline_ms, bool *taken);

/* Waits until everything taken before is acknowledged by the aggregator.
 * SOTTO_ETIMEOUT: not yet; it is sealed on the disk, if the spool has room
 * (SOTTO_EFULL), and will be sent. */
SOTTO_API enum sotto_status sotto_flush(struct sotto *s, uint32_t deadline_ms);

/* ---- lists ---- */

enum sotto_slot {
    SOTTO_FOR_YOU = 1, /* of the person identified; for a stranger popular */
    SOTTO_POPULAR = 2  /* the same for everybody */
};

#define SOTTO_LABEL_MAX 64
struct sotto_item {
    char item[SOTTO_LABEL_MAX + 1];    /* as in ROLE item: a product id */
    char name[SOTTO_LABEL_MAX + 1];    /* for people; may be empty */
    float score;                       /* comparable within one list */
    char because[SOTTO_LABEL_MAX + 1]; /* the item it goes with, or "" */
    char reason[192]; /* for people: "because … was bought or viewed" */
};

struct sotto_list {
    size_t size;
    size_t count;                      /* items filled in */
    bool personal;                     /* made from this person's history */
    char model[SOTTO_LABEL_MAX + 1];   /* version, to report exposure with */
    char segment[SOTTO_LABEL_MAX + 1]; /* of the person, or "" */
};

/* The best n items for a slot, best first, from what the aggregator published
 * last and what happened at this device since. Needs no network. n: 1 to 200.
 * list tells about the answer; its size must be set.
 *
 * SOTTO_ENOTFOUND no list has arrived yet (count is 0); SOTTO_ENOMEM */
SOTTO_API enum sotto_status sotto_lists(struct sotto *s, enum sotto_slot slot,
                                        struct sotto_item *items, size_t n,
                                        struct sotto_list *list);

/* ---- how it goes ---- */

/* Why events were dropped. Numbers never change; new ones go to the end. */
enum sotto_drop {
    SOTTO_DROP_NO_POLICY = 1,
    SOTTO_DROP_EXPIRED = 2,
    SOTTO_DROP_UNKNOWN_EVENT = 3,
    SOTTO_DROP_NO_CONSENT = 4,
    SOTTO_DROP_TOO_OLD = 5,
    SOTTO_DROP_BAD_TIME = 6,
    SOTTO_DROP_MISSING_FIELD = 7,
    SOTTO_DROP_TOO_BIG = 8,
    SOTTO_DROP_RING_FULL = 9,
    SOTTO_DROP_CLOSED = 10
};
#define SOTTO_DROPS_MAX 24
/* "no_consent" and a sentence; never NULL. */
SOTTO_API const char *sotto_drop_name(enum sotto_drop reason);
SOTTO_API const char *sotto_drop_text(enum sotto_drop reason);

enum sotto_link {
    SOTTO_LINK_ENROLLING = 0, /* the aggregator has not answered yet */
    SOTTO_LINK_READY = 1,     /* enrolled */
    SOTTO_LINK_REFUSED = 2    /* it refused this device for good */
};

/* Counts of events since the directory was made, over all opens:
 *     produced = accepted + dropped
 *     accepted = in_ring + spooled + acknowledged + given_up + refused
 * where a power cut takes what was in the ring out of all of them. */
struct sotto_counts {
    size_t size;
    uint64_t produced;
    uint64_t accepted;
    uint64_t dropped;                     /* sum over the reasons */
    uint64_t dropped_by[SOTTO_DROPS_MAX]; /* index: enum sotto_drop */
    uint64_t in_ring;                     /* taken, not in the spool yet */
    uint64_t spooled;                     /* in the spool, not acknowledged */
    uint64_t acknowledged;                /* committed by the aggregator */
    uint64_t given_up;       /* older than spool_age: gone, and reported so */
    uint64_t refused;        /* by the aggregator, for good */
    uint64_t fields_emptied; /* values given that did not fit the policy */
    uint64_t spool_bytes;
    uint64_t policy_version; /* 0: none */
    uint64_t documents;      /* number of the newest applied */
    enum sotto_link link;
    bool connected; /* at this moment */
};

/* Asks the library's thread and waits for it; it may be in a disk commit. */
SOTTO_API enum sotto_status sotto_stats(struct sotto *s,
                                        struct sotto_counts *out);

#ifdef __cplusplus
}
#endif

#endif
