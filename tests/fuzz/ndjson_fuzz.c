/* Any bytes as lines of Segment calls. */
#include "agent/intake_ndjson.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy policy;
    struct intake_source *source = NULL;
    struct ndjson *n = NULL;
    struct ndjson_row *row;
    struct why why;

    policy.purpose_count = 1;
    strcpy(policy.purposes[0].name, "p");
    if (!intake_source_open_bytes(&source, "f", span_of(data, size), &why) &&
        !ndjson_open(&n, source, &policy, &why)) {
        while (!ndjson_next(&row, n, &why) && row) {
            expect(row->line.size <= INTAKE_ROW_MAX);
            ndjson_parse(n, row);
            if (row->wrong)
                continue;
            expect(row->raw.name.size > 0);
            expect(row->raw.field_count <= RAW_FIELDS_MAX);
            expect((row->consent_granted & ~row->consent_known) == 0);
            for (size_t i = 0; i < row->raw.field_count; i++)
                expect(row->raw.fields[i].path.size - 1 < PATH_MAX_SIZE);
        }
    }
    ndjson_close(n);
    intake_source_close(source);
    return 0;
}
