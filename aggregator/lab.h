/* `sotto-aggregator lab recommend`: fits models to files and measures them.
 *
 * Nothing of a data directory is touched. The files' own names are written
 * back to the ranked and scored lists, so these belong to who brought them. */
#ifndef AGGREGATOR_LAB_H
#define AGGREGATOR_LAB_H

#include "base/cli.h"

/* The row for the program's table of verbs. */
extern const struct verb_row lab_recommend_verb;

/* Runs the verb on the options that cli has parsed; returns the exit code. */
int lab_recommend(int argc, const char *const *argv);

#endif
