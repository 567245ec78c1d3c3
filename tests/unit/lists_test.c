/* The documents of an agent: what is answered from them, and what must survive
 * a restart, a rollback and a damaged file. */
#include "../support/lists_world.h"

#include <sqlite3.h>

static void nothing_is_not_found(void **state)
{
    assert_answer(*state, anna, "ENOTFOUND");
    assert_answer(*state, NULL, "ENOTFOUND");
}

static void answers_the_own_list_else_the_popular_one(void **state)
{
    struct world *w = *state;

    send_popular(w, "p q");
    send_own(w, anna, "x y z", 1, 1);
    assert_answer(w, anna, "x y z");
    assert_true(w->answer.personal);
    assert_string_equal(w->answer.segment, "regulars");
    assert_string_equal(w->answer.model, "m1");
    assert_int_equal(w->answer.items[0].reason, REASON_SEGMENT);
    assert_answer(w, ben, "p q");
    assert_false(w->answer.personal);
    assert_answer(w, NULL, "p q");
    assert_string_equal(ask(w, anna, 2, NOW), "x y");
    assert_string_equal(ask(w, anna, 0, NOW), "EINVAL");
    assert_string_equal(ask(w, anna, UINT32_MAX, NOW), "x y z");
}

static void expired_list_falls_back_to_segment_then_popular(void **state)
{
    struct world *w = *state;
    struct list l;

    send_own(w, anna, "x y", 1, 1);
    assert_string_equal(ask(w, anna, 9, NOW + 999), "x y");
    assert_string_equal(ask(w, anna, 9, NOW + 1000), "ENOTFOUND");
    send_popular(w, "p q");
    assert_string_equal(ask(w, anna, 9, NOW + 1000), "p q");
    assert_false(w->answer.personal);
    list_make(&l, "s t", REASON_SEGMENT);
    send_list(w, DOCUMENT_SEGMENT, TEXT("regulars"), &l, NOW + 2000);
    assert_string_equal(ask(w, anna, 9, NOW + 1000), "s t");
    assert_string_equal(ask(w, anna, 9, NOW + 2000), "p q");
    assert_string_equal(ask(w, ben, 9, NOW), "p q");
}

static void reopening_keeps_everything_but_recents(void **state)
{
    struct world *w = *state;
    struct model m = small_model("m7");
    struct lists_stats stats;

    send_popular(w, "p");
    send_own(w, anna, "x i03", 1, 1);
    send_model(w, &m);
    lists_seen(w->lists, anna, TEXT("i00"), false, 1, 2);
    assert_answer(w, anna, "x i03 i01 i02");
    world_reopen(w);
    assert_int_equal(lists_applied(w->lists), w->number);
    assert_answer(w, anna, "x i03");
    lists_stats(w->lists, &stats);
    assert_int_equal(stats.applied, w->number);
    assert_int_equal(stats.personal, 1);
    assert_int_equal(stats.segments, 0);
    assert_int_equal(stats.rows, m.items);
    assert_string_equal(stats.model, "m7");
}

static void rollback_and_a_crash_undo_half_a_transaction(void **state)
{
    struct world *w = *state;
    struct list l;

    send_popular(w, "p");
    send_own(w, anna, "x", 1, 1);
    lists_seen(w->lists, anna, TEXT("i00"), true, 1, 2);
    for (int crash = 0; crash < 2; crash++) {
        uint64_t applied = lists_applied(w->lists);

        list_make(&l, "new", REASON_POPULAR);
        l.stream = 1;
        l.sequence = 5;
        begin(w);
        encode(w, &l);
        assert_int_equal(apply(w, DOCUMENT_LIST, span_of(anna, 16), WHEN_NONE),
                         SOTTO_OK);
        buf_clear(&w->body);
        assert_int_equal(
            apply(w, DOCUMENT_FORGET, span_of(anna, 16), WHEN_NONE), SOTTO_OK);
        assert_answer(w, anna, "x"); /* not before the end */
        if (crash)
            world_reopen(w);
        else
            lists_rollback(w->lists);
        assert_answer(w, anna, "x");
        assert_int_equal(lists_applied(w->lists), applied);
    }
}

static void rollback_keeps_recents(void **state)
{
    struct world *w = *state;

    send_popular(w, "p q");
    lists_seen(w->lists, anna, TEXT("p"), true, 1, 2);
    begin(w);
    buf_clear(&w->body);
    assert_int_equal(apply(w, DOCUMENT_FORGET, span_of(anna, 16), WHEN_NONE),
                     SOTTO_OK);
    lists_rollback(w->lists);
    assert_answer(w, anna, "q");
    send_empty(w, DOCUMENT_FORGET, span_of(anna, 16));
    assert_answer(w, anna, "p q");
}

static void older_documents_are_skipped(void **state)
{
    struct world *w = *state;

    send_popular(w, "p");
    w->number = 0;
    send_popular(w, "old");
    assert_answer(w, NULL, "p");
    assert_int_equal(lists_applied(w->lists), 1);
}

static void tombstones_delete(void **state)
{
    struct world *w = *state;
    struct model m = small_model("m1");
    uint8_t key[4] = {1, 0, 0, 0};

    send_popular(w, "p");
    send_own(w, anna, "x", 1, 1);
    send_model(w, &m);
    send_empty(w, DOCUMENT_LIST, span_of(anna, 16));
    assert_answer(w, anna, "p");
    send_empty(w, DOCUMENT_POPULAR, span_of(NULL, 0));
    assert_answer(w, anna, "ENOTFOUND");
    assert_int_equal(rows_now(w), m.items);
    send_empty(w, DOCUMENT_ROWS, span_of(key, 4));
    assert_int_equal(rows_now(w), 0);
    world_reopen(w);
    assert_int_equal(rows_now(w), 0);
}

/* Whether the bytes stand in the file or beside it. */
static bool on_disk(const struct world *w, struct span bytes)
{
    static const char *const ends[] = {"", "-wal"};
    bool found = false;

    for (size_t i = 0; i < 2; i++) {
        char path[128];
        struct buf file;

        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        buf_init(&file, (size_t)64 << 20);
        (void)buf_read_file(&file, path);
        found = found || (file.size &&
                          memmem(file.data, file.size, bytes.data, bytes.size));
        buf_fini(&file);
    }
    return found;
}

static void forgetting_leaves_nothing_in_memory_or_on_disk(void **state)
{
    struct world *w = *state;

    send_popular(w, "p q");
    for (int by_document = 0; by_document < 2; by_document++) {
        send_own(w, anna, "secretitem", 1, 1);
        send_own(w, ben, "z", 1, 1);
        lists_seen(w->lists, anna, TEXT("p"), true, 1, 2);
        assert_answer(w, anna, "secretitem");
        assert_true(on_disk(w, TEXT("secretitem")));
        assert_true(on_disk(w, span_of(anna, 16)));
        if (by_document)
            send_empty(w, DOCUMENT_FORGET, span_of(anna, 16));
        else
            assert_int_equal(lists_forget(w->lists, anna), SOTTO_OK);
        assert_answer(w, anna, "p q");
        assert_false(on_disk(w, TEXT("secretitem")));
        assert_false(on_disk(w, span_of(anna, 16)));
        assert_answer(w, ben, "z");
        world_reopen(w);
        assert_answer(w, anna, "p q");
    }
}

/* Somebody reads: the file's log cannot be emptied. */
static sqlite3 *reader_of(struct world *w)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "BEGIN; SELECT * FROM document", NULL, NULL, NULL),
        SQLITE_OK);
    return db;
}

static void a_tombstone_is_applied_when_nothing_is_left_on_disk(void **state)
{
    struct world *w = *state;
    uint64_t before;
    sqlite3 *reader;

    send_own(w, anna, "secretitem", 1, 1);
    before = lists_applied(w->lists);
    reader = reader_of(w);
    begin(w);
    buf_clear(&w->body);
    assert_int_equal(apply(w, DOCUMENT_FORGET, span_of(anna, 16), WHEN_NONE),
                     SOTTO_OK);
    assert_int_equal(lists_end(w->lists, w->number), SOTTO_ELOCKED);
    assert_int_equal(lists_applied(w->lists), before);
    assert_true(on_disk(w, span_of(anna, 16)));
    sqlite3_close(reader);
    begin(w); /* it is sent again, and is known */
    end(w);
    assert_int_equal(lists_applied(w->lists), w->number);
    assert_false(on_disk(w, span_of(anna, 16)));
}

static void a_list_that_expired_is_forgotten_too(void **state)
{
    struct world *w = *state;
    struct list l;

    list_make(&l, "secretitem", REASON_POPULAR);
    encode(w, &l);
    send_bytes(w, DOCUMENT_LIST, span_of(anna, 16), NOW - DAY_MS);
    assert_true(on_disk(w, TEXT("secretitem")));
    send_empty(w, DOCUMENT_FORGET, span_of(anna, 16));
    assert_false(on_disk(w, TEXT("secretitem")));
    assert_false(on_disk(w, span_of(anna, 16)));
}

static void documents_that_are_not_what_they_say_are_refused(void **state)
{
    static const uint8_t junk[] = {0x93, 1, 2, 3};
    struct world *w = *state;
    struct list l;

    send_popular(w, "p");
    begin(w);
    for (uint32_t kind = DOCUMENT_LIST; kind <= DOCUMENT_ROWS; kind++) {
        struct span keys[] = {[DOCUMENT_LIST] = span_of(anna, 16),
                              [DOCUMENT_SEGMENT] = TEXT("s"),
                              [DOCUMENT_POPULAR] = span_of(NULL, 0),
                              [DOCUMENT_ROWS] = span_of("\0\0\0\0", 4)};

        buf_clear(&w->body);
        assert_int_equal(buf_append(&w->body, junk, sizeof junk), SOTTO_OK);
        assert_int_equal(apply(w, kind, keys[kind], WHEN_NONE), SOTTO_EDECODE);
    }
    list_make(&l, "x", REASON_POPULAR);
    encode(w, &l);
    assert_int_equal(apply(w, DOCUMENT_LIST, span_of(anna, 15), WHEN_NONE),
                     SOTTO_EDECODE);
    assert_int_equal(apply(w, DOCUMENT_POPULAR, TEXT("k"), WHEN_NONE),
                     SOTTO_EDECODE);
    assert_int_equal(apply(w, DOCUMENT_POLICY, TEXT("hash"), WHEN_NONE),
                     SOTTO_OK); /* not ours */
    end(w);
    assert_answer(w, anna, "p");
}

static void a_shard_beyond_its_model_is_refused(void **state)
{
    struct world *w = *state;
    struct rows_shard head = {.model = TEXT("m"), .shards = 2};

    begin(w);
    buf_clear(&w->body);
    assert_int_equal(rows_begin(&w->body, &head), SOTTO_OK);
    assert_int_equal(apply(w, DOCUMENT_ROWS, span_of("\2\0\0\0", 4), WHEN_NONE),
                     SOTTO_ETOOBIG); /* more shards than rows to fill them */
    head.items_total = 1;
    buf_clear(&w->body);
    assert_int_equal(rows_begin(&w->body, &head), SOTTO_OK);
    assert_int_equal(apply(w, DOCUMENT_ROWS, span_of("\2\0\0\0", 4), WHEN_NONE),
                     SOTTO_EDECODE);
    head.items_total = ITEM_ROWS_ITEMS_MAX + 1;
    buf_clear(&w->body);
    assert_int_equal(rows_begin(&w->body, &head), SOTTO_OK);
    assert_int_equal(apply(w, DOCUMENT_ROWS, span_of("\0\0\0\0", 4), WHEN_NONE),
                     SOTTO_ETOOBIG);
    end(w);
}

static void a_damaged_file_is_an_error_that_says_what_to_do(void **state)
{
    struct world *w = *state;
    struct lists *other = NULL;
    struct why why = {""};
    int fd;

    send_popular(w, "p");
    lists_close(w->lists);
    w->lists = NULL;
    fd = open(w->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "this is no database", 19, 0), 19);
    assert_int_equal(close(fd), 0);
    assert_int_equal(lists_open(&other, w->path, &why), SOTTO_EDECODE);
    assert_non_null(strstr(why.text, w->path));
    assert_non_null(strstr(why.text, "delete it"));
    assert_int_equal(lists_open(&other, "/nowhere/lists.db", &why),
                     SOTTO_ENOTFOUND);
    assert_null(other);
}

static void the_file_is_for_its_owner_only(void **state)
{
    const struct world *w = *state;
    struct stat st;

    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_not_found),
        TEST(answers_the_own_list_else_the_popular_one),
        TEST(expired_list_falls_back_to_segment_then_popular),
        TEST(reopening_keeps_everything_but_recents),
        TEST(rollback_and_a_crash_undo_half_a_transaction),
        TEST(rollback_keeps_recents),
        TEST(older_documents_are_skipped),
        TEST(tombstones_delete),
        TEST(forgetting_leaves_nothing_in_memory_or_on_disk),
        TEST(a_tombstone_is_applied_when_nothing_is_left_on_disk),
        TEST(a_list_that_expired_is_forgotten_too),
        TEST(documents_that_are_not_what_they_say_are_refused),
        TEST(a_shard_beyond_its_model_is_refused),
        TEST(a_damaged_file_is_an_error_that_says_what_to_do),
        TEST(the_file_is_for_its_owner_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
