/* The import map: which columns of a CSV are what, and which rows are events.
 * YAML, for example packaging/conf/online-retail.map.yaml:
 *
 *   format: csv
 *   delimiter: ","
 *   time: {column: InvoiceDate}
 *   fields:                       # Segment path -> column
 *     userId: CustomerID
 *     properties.order_id: InvoiceNo
 *     properties.product_id: StockCode
 *     properties.name: Description
 *     properties.quantity: {column: Quantity, as: int, absolute: true}
 *     properties.price: {column: UnitPrice, as: money}
 *   consent: [personalise]        # purposes the controller has on record
 *   rows:                         # first that holds decides
 *     - when: ["InvoiceNo starts A"]
 *       refuse: adjustment
 *     - when: ["InvoiceNo starts C", "Quantity < 0"]
 *       event: Order Refunded
 *     - when: ["Quantity > 0", "UnitPrice > 0"]
 *       event: Order Completed
 *     ...
 *     - refuse: unmatched
 *
 * Conditions: COLUMN (> >= < <= = !=) NUMBER-or-TEXT, COLUMN starts TEXT,
 * COLUMN is empty, COLUMN not empty, COLUMN not starts TEXT. Numbers compare
 * exactly, as decimals of at most six places; beside a number a cell that is
 * none makes the condition false, whatever it asks. An empty cell makes no
 * field, and one that is not what `as` says stays a text: the policy judges
 * it. `properties.currency: {value: GBP}` is the same for every row, and
 * `event: {column: NAME}` takes the event's name from the row. A row for which
 * no condition holds is refused as "unmatched". Times: {column: NAME, format:
 * iso | unix | unix_ms}. */
#ifndef SOTTO_AGENT_INTAKE_MAP_H
#define SOTTO_AGENT_INTAKE_MAP_H

#include "agent/intake_csv.h"
#include "policy/anonymize.h"

#define MAP_RULES_MAX 16
#define MAP_REFUSALS_MAX 12 /* different names: they share the cursor */
#define MAP_COLUMNS_MAX 256
#define MAP_UNMATCHED "unmatched"
#define MAP_BAD_ROW "bad_row"

struct intake_map; /* immutable after loading: any thread may read it */

/* SOTTO_EINVAL with file, line, column, key and the mend; SOTTO_ENOTFOUND,
 * SOTTO_ETOOBIG, SOTTO_ENOMEM. */
enum sotto_err intake_map_load(struct intake_map **out, const char *file,
                               struct why *why);
/* The same from a text named as if it were file. */
enum sotto_err intake_map_load_text(struct intake_map **out, const char *file,
                                    struct span text, struct why *why);
void intake_map_free(struct intake_map *m); /* accepts NULL */

char intake_map_delimiter(const struct intake_map *m);

/* The purposes that the map says are granted, by index of the policy.
 * SOTTO_EINVAL for one that the policy does not have. */
enum sotto_err intake_map_consent(uint32_t *purposes,
                                  const struct intake_map *m,
                                  const struct policy *p, struct why *why);

/* Where the columns that a map names stand in one file. */
struct map_binding {
    uint16_t at[MAP_COLUMNS_MAX];
};
/* Finds them by the header; file is named in errors. SOTTO_EINVAL for a column
 * that is missing or stands there twice. */
enum sotto_err intake_map_bind(struct map_binding *b,
                               const struct intake_map *m,
                               const struct csv_row *header, const char *file,
                               struct why *why);

/* Makes the event of a good row: NULL, or the name of the refusal. raw borrows
 * from fields, row and map. */
const char *intake_map_row(const struct intake_map *m,
                           const struct map_binding *b,
                           const struct csv_row *row, struct raw_event *raw,
                           struct raw_field fields[RAW_FIELDS_MAX]);

#endif
