/* The verbs of the tool that read the audit log: they need no daemon and go
 * to none, for the log is a file that others than its owner must be able to
 * check. With a directory, the log and the public key are its own (the key
 * comes from the store, which no one can write without the store key); with
 * --file they are named, so that a copy can be checked anywhere. */
#ifndef SOTTO_AGGREGATOR_AUDIT_TOOL_H
#define SOTTO_AGGREGATOR_AUDIT_TOOL_H

#include <stdbool.h>

/* What the command line says; members but program and dir may be NULL. */
struct audit_ask {
    const char *program;
    const char *dir;  /* the aggregator's directory */
    const char *file; /* a log somewhere else */
    const char *key;  /* the public key in hex, or a file of it */
    const char *head; /* file of a head that was kept elsewhere */
    bool json;
};

/* Each prints and returns the exit code: 0; 2 for what cannot be read; 3 for a
 * log that is damaged, cut or forked, with what happened, and where. */
int audit_tool_list(const struct audit_ask *ask);
int audit_tool_verify(const struct audit_ask *ask);
int audit_tool_head(const struct audit_ask *ask);
/* That entry number (text, from 1) is in the log. */
int audit_tool_prove(const struct audit_ask *ask, const char *number);
/* That the log goes on from ask->head. */
int audit_tool_consistency(const struct audit_ask *ask);

#endif
