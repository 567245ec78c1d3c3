/* The control socket of a data directory's owner, DIR/control.sock.
 *
 * A tool sends one JSON line {"verb": NAME, "args": {…}} and reads JSON lines:
 * {"progress": WHAT, "done": N, "total": M}…, then one {"exit": CODE,
 * "result": …, "error": TEXT}. With no daemon the tool takes the lock and runs
 * the same verb itself (control_run). Access is by the directory's mode; the
 * peer must be the owner's user or root. */
#ifndef SOTTO_LINK_CONTROL_H
#define SOTTO_LINK_CONTROL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <uv.h>

#define CONTROL_LINE_MAX (64 * 1024)          /* a request */
#define CONTROL_ANSWER_MAX (16 * 1024 * 1024) /* an answer */

struct control;
struct control_call; /* a verb being run */

struct control_verb {
    const char *name; /* NULL ends the table */
    void (*run)(void *owner, struct control_call *call);
    bool on_worker; /* runs on a worker thread and ends before returning;
                       otherwise on the loop, and may end later */
};

const json_t *control_args(const struct control_call *call);
/* Text of an argument, or NULL; whole number, or fallback. */
const char *control_text(const struct control_call *call, const char *name);
json_int_t control_int(const struct control_call *call, const char *name,
                       json_int_t fallback);
bool control_flag(const struct control_call *call, const char *name);
/* The user who asks: of the socket's peer, or of this process. Any thread. */
int64_t control_uid(const struct control_call *call);
/* Any thread that runs the verb. */
void control_progress(struct control_call *call, const char *what,
                      uint64_t done, uint64_t total);
/* The asker went away or the owner stops: end soon. Any thread. */
bool control_cancelled(const struct control_call *call);
/* Ends the call. result is taken over and may be NULL; error may be NULL. */
void control_end(struct control_call *call, enum sotto_exit code,
                 json_t *result, const char *error);

/* The daemon's side. */
enum sotto_err control_open(struct control **out, uv_loop_t *loop,
                            const char *dir, const struct control_verb *verbs,
                            void *owner, struct why *why);
/* Cancels calls, waits for workers; closed runs on the loop. */
void control_close(struct control *c, void (*closed)(void *owner), void *owner);

/* The tool's side. */
struct control_answer {
    enum sotto_exit code;
    json_t *result; /* owned; may be NULL */
    char error[512];
};
typedef void control_on_progress(const char *what, uint64_t done,
                                 uint64_t total);
void control_answer_fini(struct control_answer *a);

/* Asks the daemon of dir and waits. SOTTO_ENOTFOUND: none is running. args is
 * borrowed. */
enum sotto_err control_ask(const char *dir, const char *verb, json_t *args,
                           control_on_progress *on_progress,
                           struct control_answer *answer);
/* Whether a daemon of dir takes connections. */
bool control_alive(const char *dir);
/* Runs the verb here, turning the loop until it ended. SOTTO_ENOTFOUND: no
 * such verb. */
enum sotto_err control_run(uv_loop_t *loop, const struct control_verb *verbs,
                           void *owner, const char *verb, json_t *args,
                           control_on_progress *on_progress,
                           struct control_answer *answer);

#endif
