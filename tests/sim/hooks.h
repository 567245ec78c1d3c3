/* What hooks.c stands around, and the breaks it can make. */
#ifndef SOTTO_SIM_HOOKS_H
#define SOTTO_SIM_HOOKS_H

/* The linker sends calls of name to __wrap_name; __real_name is the product's.
 * The names are the linker's, hence reserved ones. */
#define WRAPPED(type, name, parameters)                                        \
    type __real_##name parameters;                                             \
    type __wrap_##name parameters

struct sim_break {
    const char *name, *text;
    const char *faults; /* under which it shows */
};
extern const struct sim_break breaks[]; /* ends with a NULL name */

#endif
