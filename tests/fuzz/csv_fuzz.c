/* Any bytes as a file: plain, gzip or xz; as CSV; through a map. What comes
 * out has to lie within the limits. */
#include "agent/intake_map.h"

#include "fuzz.h"

static const char yaml[] =
    "time: {column: b, format: unix}\n"
    "fields: {userId: a, n: {column: b, as: money, absolute: true}}\n"
    "rows:\n"
    "  - when: [\"b > 5\", \"a not starts x\"]\n"
    "    event: {column: a}\n"
    "  - refuse: rest\n";

static void check_row(const struct csv_row *row, const struct intake_map *map,
                      const struct map_binding *binding)
{
    struct raw_field fields[RAW_FIELDS_MAX];
    struct raw_event raw;
    size_t sum = 0;

    expect(row->raw.size <= INTAKE_ROW_MAX);
    if (row->wrong)
        return;
    expect(row->column_count <= CSV_COLUMNS_MAX);
    for (size_t i = 0; i < row->column_count; i++)
        sum += row->columns[i].size;
    expect(sum <= row->raw.size);
    if (binding && !intake_map_row(map, binding, row, &raw, fields))
        expect(raw.field_count <= 2 && raw.name.size > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct intake_source *source = NULL;
    struct intake_map *map = NULL;
    struct csv *csv = NULL;
    const struct csv_row *row;
    struct map_binding binding;
    struct why why;
    bool bound;

    expect(!intake_map_load_text(&map, "m", span_text(yaml), &why));
    if (!intake_source_open_bytes(&source, "f", span_of(data, size), &why) &&
        !csv_open(&csv, source, ',', &why)) {
        uint64_t line = 1;

        bound = !intake_map_bind(&binding, map, csv_header(csv), "f", &why);
        while (!csv_next(&row, csv, &why) && row) {
            expect(row->line > line || row->line == 1);
            line = row->line;
            check_row(row, map, bound ? &binding : NULL);
        }
    }
    csv_close(csv);
    intake_source_close(source);
    intake_map_free(map);
    return 0;
}
