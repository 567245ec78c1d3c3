/* The agent's settings: DIR/agent.yaml, one row a key (settings.c). A missing
 * file means the defaults. */
#ifndef SOTTO_AGENT_SETTINGS_H
#define SOTTO_AGENT_SETTINGS_H

#include "base/buf.h"

struct settings {
    char aggregator[128]; /* "" : the token's address */
    int64_t batch_events; /* a batch closes at so many events, … */
    int64_t batch_bytes;  /* … or so many bytes of rows, … */
    int64_t batch_age_ms; /* … or this age of its first event */
    char ring_dir[200];   /* memory-backed */
    int64_t ring_bytes;
    int64_t spool_bytes;  /* of batches not yet acknowledged */
    int64_t spool_age_ms; /* older batches become void */
    int64_t replay_ms;    /* acknowledged batches kept for a restored
                             aggregator */
};

/* Defaults, then the file. SOTTO_EINVAL with file, line, key and mend. */
enum sotto_err settings_load(struct settings *s, const char *dir,
                             struct why *why);
/* Prints the settings in effect with their help lines, as YAML. */
void settings_print(const struct settings *s);

#endif
