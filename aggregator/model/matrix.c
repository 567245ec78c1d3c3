/* Two counting sorts, first by column and then by row, leave each row sorted
 * and equal cells side by side in the order given: linear, stable, no
 * comparison. */
#include "aggregator/model/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/model/effort.h"

static enum sotto_err matrix_alloc(struct matrix *m, uint32_t rows,
                                   uint32_t columns, uint64_t count)
{
    *m = (struct matrix){.rows = rows, .columns = columns};
    m->starts = effort_alloc((uint64_t)rows + 1, sizeof *m->starts);
    m->indexes = effort_alloc(count, sizeof *m->indexes);
    m->values = effort_alloc(count, sizeof *m->values);
    if (m->starts && m->indexes && m->values)
        return SOTTO_OK;
    matrix_fini(m);
    return SOTTO_ENOMEM;
}

/* Turns counts at [n + 1] into starts at [n]. */
static void starts_from_counts(uint64_t *starts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        starts[i + 1] += starts[i];
}

/* After a fill each start has moved to its successor's place: shift back. */
static void starts_rewind(uint64_t *starts, uint32_t count)
{
    memmove(starts + 1, starts, count * sizeof *starts);
    starts[0] = 0;
}

/* The positions of the triples, ordered by column, stable. */
static enum sotto_err order_by_column(uint32_t **out, uint32_t columns,
                                      const struct triple *triples,
                                      uint64_t count)
{
    uint64_t *starts = effort_alloc((uint64_t)columns + 1, sizeof *starts);
    uint32_t *order = effort_alloc(count, sizeof *order);

    if (!starts || !order) {
        free(starts);
        free(order);
        return SOTTO_ENOMEM;
    }
    for (uint64_t i = 0; i < count; i++)
        starts[(uint64_t)triples[i].column + 1]++;
    starts_from_counts(starts, columns);
    for (uint64_t i = 0; i < count; i++)
        order[starts[triples[i].column]++] = (uint32_t)i;
    free(starts);
    *out = order;
    return SOTTO_OK;
}

static void cell_merge(struct matrix *m, uint64_t into, uint64_t from,
                       enum matrix_merge merge)
{
    if (merge == MATRIX_SUM)
        m->values[into] += m->values[from];
    else if (m->values[from] > m->values[into])
        m->values[into] = m->values[from];
    if (m->days[from] > m->days[into])
        m->days[into] = m->days[from];
}

/* Equal cells are neighbours: folds each run into its first entry. */
static void merge_repeats(struct matrix *m, enum matrix_merge merge)
{
    uint64_t kept = 0, at = 0;

    for (uint32_t r = 0; r < m->rows; r++) {
        uint64_t first = kept, end = m->starts[r + 1];

        for (; at < end; at++) {
            if (kept > first && m->indexes[kept - 1] == m->indexes[at]) {
                cell_merge(m, kept - 1, at, merge);
                continue;
            }
            m->indexes[kept] = m->indexes[at];
            m->values[kept] = m->values[at];
            m->days[kept] = m->days[at];
            kept++;
        }
        m->starts[r + 1] = kept;
    }
}

enum sotto_err matrix_build(struct matrix *out, uint32_t rows, uint32_t columns,
                            const struct triple *triples, uint64_t count,
                            enum matrix_merge merge)
{
    uint32_t *order = NULL;
    enum sotto_err err;

    *out = (struct matrix){0};
    if (count > UINT32_MAX)
        return SOTTO_ETOOBIG;
    for (uint64_t i = 0; i < count; i++) {
        if (triples[i].row >= rows || triples[i].column >= columns)
            return SOTTO_EINVAL;
    }
    err = order_by_column(&order, columns, triples, count);
    if (err)
        return err;
    err = matrix_alloc(out, rows, columns, count);
    if (err)
        goto done;
    out->days = effort_alloc(count, sizeof *out->days);
    if (!out->days) {
        matrix_fini(out);
        err = SOTTO_ENOMEM;
        goto done;
    }
    for (uint64_t i = 0; i < count; i++)
        out->starts[(uint64_t)triples[i].row + 1]++;
    starts_from_counts(out->starts, rows);
    for (uint64_t i = 0; i < count; i++) {
        const struct triple *t = &triples[order[i]];
        uint64_t at = out->starts[t->row]++;

        out->indexes[at] = t->column;
        out->values[at] = t->value;
        out->days[at] = t->day;
    }
    starts_rewind(out->starts, rows);
    merge_repeats(out, merge);
done:
    free(order);
    return err;
}

enum sotto_err matrix_transpose(struct matrix *out, const struct matrix *m)
{
    uint64_t count = matrix_count(m);
    enum sotto_err err = matrix_alloc(out, m->columns, m->rows, count);

    if (err)
        return err;
    for (uint64_t i = 0; i < count; i++)
        out->starts[(uint64_t)m->indexes[i] + 1]++;
    starts_from_counts(out->starts, out->rows);
    for (uint32_t r = 0; r < m->rows; r++) {
        for (uint64_t i = m->starts[r]; i < m->starts[r + 1]; i++) {
            uint64_t at = out->starts[m->indexes[i]]++;

            out->indexes[at] = r;
            out->values[at] = m->values[i];
        }
    }
    starts_rewind(out->starts, out->rows);
    return SOTTO_OK;
}

void matrix_fini(struct matrix *m)
{
    free(m->starts);
    free(m->indexes);
    free(m->values);
    free(m->days);
    *m = (struct matrix){0};
}
