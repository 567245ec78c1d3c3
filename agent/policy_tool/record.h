/* The record of processing activities (GDPR, article 30(1)) and a draft impact
 * assessment (article 35), in Markdown, as far as a policy tells. What it does
 * not tell is marked "To fill in", never guessed. */
#ifndef SOTTO_POLICY_TOOL_RECORD_H
#define SOTTO_POLICY_TOOL_RECORD_H

#include "agent/policy_tool/compile.h"

/* The words of a line that somebody must complete. */
#define RECORD_TO_FILL_IN "**To fill in**"

/* Appends the text. SOTTO_ENOMEM, SOTTO_ETOOBIG. */
enum sotto_err record_write(struct buf *out, const struct compiled *c);

#endif
