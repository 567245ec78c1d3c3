/* Any file as an audit log, and any text as a head. What is taken as good has
 * one form: each of its lines is the same when written again, and its last
 * root is that of the entries. */
#include "fuzz.h"

#include "aggregator/audit_log.h"

static void as_log(struct span bytes)
{
    struct audit_fault fault;
    struct audit_log l;
    struct why why;
    enum sotto_err err;

    expect(audit_log_parse(&l, bytes) == SOTTO_OK);
    err = audit_log_check(&l, NULL, true, &fault, &why);
    expect(err == SOTTO_OK || err == SOTTO_ECRYPTO);
    expect((err == SOTTO_OK) == (fault.entry == 0));
    for (uint64_t n = 1; n <= l.count; n++) {
        struct span line = audit_log_line(&l, n);
        struct audit_record r;
        struct buf again;

        buf_init(&again, AUDIT_LINE_MAX);
        expect(audit_line_read(&r, line) == SOTTO_OK);
        expect(audit_line_write(&again, &r) == SOTTO_OK);
        expect(span_equal(span_of(again.data, again.size - 1), line));
        buf_fini(&again);
    }
    if (l.count > 0)
        expect(audit_log_follows(&l, &l.head, &fault, &why) == SOTTO_OK);
    audit_log_fini(&l);
}

static void as_head(struct span bytes)
{
    uint8_t pk[PK_SIZE], same[PK_SIZE];
    struct audit_head head, again;
    json_error_t error;
    json_t *json = json_loadb((const char *)bytes.data, bytes.size, 0, &error);
    json_t *second;

    if (audit_head_read(&head, pk, json) == SOTTO_OK) {
        second = audit_head_json(&head, pk);
        expect(audit_head_read(&again, same, second) == SOTTO_OK);
        expect(again.size == head.size && again.time_ms == head.time_ms);
        expect(memcmp(pk, same, PK_SIZE) == 0);
        json_decref(second);
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_log(span_of(data, size));
    as_head(span_of(data, size));
    return 0;
}
