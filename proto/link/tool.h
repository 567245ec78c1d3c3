/* What the two programs with a daemon share: a verb runs in the daemon of the
 * directory, or here under its lock; and the daemon's life around its loop. */
#ifndef SOTTO_LINK_TOOL_H
#define SOTTO_LINK_TOOL_H

#include "link/control.h"

struct tool {
    const char *program; /* for messages */
    const char *dir;
    bool as_json;
    const struct control_verb *verbs;
    /* The owner of a directory: with its link, or for one verb here. Returns
     * ready to run verbs. */
    enum sotto_err (*open)(void **owner, uv_loop_t *loop, const char *dir,
                           bool link, struct why *why);
    void (*stop)(void *owner, void (*stopped)(void *), void *context);
    const char *(*greeting)(void *owner); /* for the log, once it runs */
};

/* Prints text, or the error's own, and returns its exit code. */
int tool_complain(const struct tool *t, enum sotto_err err, const char *text);
/* Opens the owner on a loop of its own, runs until SIGTERM or SIGINT, stops in
 * order; returns the exit code. */
int tool_daemon(const struct tool *t);
/* Runs verb there or here, prints its result as JSON or through print, and its
 * error. Takes over args. Returns the exit code. */
int tool_verb(const struct tool *t, const char *verb, json_t *args,
              void (*print)(const json_t *result));
/* Runs verb again and again, for answers too large for one: page gets each
 * result, and says whether it wants another, for which it changes args. One
 * owner for all of them where no daemon runs. Takes over args. */
int tool_pages(const struct tool *t, const char *verb, json_t *args,
               bool (*page)(const json_t *result, json_t *args));
/* Stops owner and turns loop until it is gone. */
void tool_stop(const struct tool *t, void *owner, uv_loop_t *loop);

/* Members of a result, with "" and 0 for what is missing. */
const char *text_at(const json_t *object, const char *name);
long long int_at(const json_t *object, const char *name);
double real_at(const json_t *object, const char *name);
bool true_at(const json_t *object, const char *name);

#endif
