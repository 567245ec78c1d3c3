/* The command line of access and erase. */
#ifndef SOTTO_AGGREGATOR_SUBJECT_TOOL_H
#define SOTTO_AGGREGATOR_SUBJECT_TOOL_H

#include "link/tool.h"

/* Prints what is held while it comes, page by page. Exit 1: nothing is. */
int subject_access(struct tool *t, const char *subject);
/* Erases subjects, or shows the receipt of an id that is not NULL. */
int subject_erase(struct tool *t, const char *receipt, int count,
                  const char *const *subjects);

#endif
