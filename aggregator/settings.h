/* The aggregator's settings: DIR/aggregator.yaml, one row a key (settings.c).
 */
#ifndef SOTTO_AGGREGATOR_SETTINGS_H
#define SOTTO_AGGREGATOR_SETTINGS_H

#include "base/buf.h"

struct settings {
    char listen[128];     /* tcp://HOST:PORT */
    char announce[128];   /* what tokens say; "": listen */
    char store_key[400];  /* file, outside the directory */
    char audit_log[400];  /* file, outside the directory */
    char erased[400];     /* file likewise: who is suppressed */
    int64_t agents_max;   /* connections that may wait in a poll */
    int64_t intake_bytes; /* of batches on their way to the log */
    char release_rho[24]; /* the budget of released counts, a decimal */
    int64_t release_rho_millionths;
    int64_t release_delta; /* one in so many */
};

/* Defaults, then the file. SOTTO_EINVAL with file, line, key and mend. */
enum sotto_err aggregator_settings_load(struct settings *s, const char *dir,
                                        struct why *why);
void aggregator_settings_print(const struct settings *s);

#endif
