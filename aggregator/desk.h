/* The privacy officer's verbs of the tool: what they ask, and how they print
 * it. */
#ifndef AGGREGATOR_DESK_H
#define AGGREGATOR_DESK_H

#include "aggregator/release.h"
#include "aggregator/risk.h"
#include "link/tool.h"

struct desk_risk {
    const char *csv; /* NULL: the store */
    bool no_header;
    const char *qi, *sensitive; /* NULL: all the others; none */
    int64_t k, points, sample, seed;
};
#define DESK_RISK_DEFAULT                                                      \
    {                                                                          \
        .k = 5, .points = 4, .sample = 2000, .seed = 1                         \
    }

/* Returns the exit code. With csv nothing of a directory is touched. */
int desk_risk(const struct tool *tool, const struct desk_risk *asked);

struct desk_release {
    const char *by, *rho;
    const char *request;  /* NULL: a name is made */
    int64_t min_k, cells; /* cells 0: as many as fit the cells */
};
#define DESK_RELEASE_DEFAULT                                                   \
    {                                                                          \
        .rho = "0.01", .min_k = 20                                             \
    }

int desk_release_count(const struct tool *tool,
                       const struct desk_release *asked);
int desk_ledger(const struct tool *tool);

#endif
