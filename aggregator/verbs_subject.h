/* What the owner does for a subject's rights: access and erase. */
#ifndef SOTTO_AGGREGATOR_VERBS_SUBJECT_H
#define SOTTO_AGGREGATOR_VERBS_SUBJECT_H

#include "link/control.h"

struct aggregator;
struct erasing; /* a call of the verb erase, until it is answered */

/* A pseudonym of 16 or 32 hex digits; a shorter one is filled with zeros. */
bool subject_parse(const char *text, uint8_t subject[16]);

/* One page: {"subject", "events": […], "next": where to go on, if there is
 * more}; the first one also says state, profile, interactions and lists. On a
 * worker. */
void verb_access(void *owner, struct control_call *call);
/* Answered when the work is done, with a signed receipt a subject. */
void verb_erase(void *owner, struct control_call *call);
void verb_receipt(void *owner, struct control_call *call);

/* The folding thread's part of a call, then the loop's. The latter also ends a
 * call that was not begun. */
void erasing_run(struct aggregator *a, struct erasing *e);
void erasing_end(struct aggregator *a, struct erasing *e);

#endif
