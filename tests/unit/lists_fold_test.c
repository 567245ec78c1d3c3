/* Folding in what happened since the list was made: examples, and a second,
 * slow way to each answer on random models. */
#include "../support/lists_world.h"

static void folds_in_what_happened_since(void **state)
{
    struct world *w = *state;
    struct model m = small_model("m1");
    const struct answer_item *item;

    send_model(w, &m);
    send_own(w, anna, "i05 i02", 7, 3); /* 9, 8 */
    lists_seen(w->lists, anna, TEXT("i00"), false, 7, 4);
    assert_answer(w, anna, "i05 i02 i01");
    assert_true(w->answer.items[1].score == 8.5f);
    item = &w->answer.items[2];
    assert_true(item->score == 1.0f);
    assert_int_equal(item->reason, REASON_BECAUSE);
    assert_string_equal(item->because, "i00");
    assert_string_equal(item->because_name, "Name 0");
    assert_string_equal(item->name, "Name 1");
    assert_int_equal(w->answer.items[1].reason, REASON_SEGMENT);
    lists_seen(w->lists, anna, TEXT("i01"), true, 7, 5);
    assert_answer(w, anna, "i05 i02 i03"); /* i01 is bought */
    assert_true(w->answer.items[1].score == 8.25f);
    assert_answer(w, ben, "ENOTFOUND");
}

static void a_stranger_gets_what_goes_with_the_visit_then_popular(void **state)
{
    struct world *w = *state;
    struct model m = small_model("m1");

    send_model(w, &m);
    lists_seen(w->lists, ben, TEXT("i00"), false, 1, 1);
    assert_answer(w, ben, "i01 i02");
    assert_string_equal(w->answer.model, "m1");
    send_popular(w, "p i02 i00 q");
    assert_answer(w, ben, "i01 i02 p i00 q");
    assert_true(w->answer.personal);
    assert_true(w->answer.items[2].score == 0.0f);
    lists_seen(w->lists, ben, TEXT("q"), true, 1, 1);
    lists_seen(w->lists, ben, TEXT("i00"), true, 1, 1);
    assert_answer(w, ben, "i01 i02 p");
    lists_seen(w->lists, NULL, TEXT("i01"), false, 1, 1);
    assert_answer(w, NULL, "p i02 i00 q");
}

static void the_history_of_a_list_is_not_shown(void **state)
{
    struct world *w = *state;
    struct model m = small_model("m1");
    struct list l;

    list_make(&l, "i04 i05 i05 i03", REASON_POPULAR);
    l.history[l.history_count++] = TEXT("i01");
    l.history[l.history_count++] = TEXT("i04");
    send_list(w, DOCUMENT_LIST, span_of(anna, 16), &l, WHEN_NONE);
    assert_answer(w, anna, "i05 i03");
    send_model(w, &m);
    lists_seen(w->lists, anna, TEXT("i00"), false, 7, 4);
    assert_answer(w, anna, "i05 i03 i02");
}

static void a_list_that_knows_them_removes_recents(void **state)
{
    struct world *w = *state;

    send_popular(w, "p q r s");
    lists_seen(w->lists, anna, TEXT("p"), true, 7, 4);
    lists_seen(w->lists, anna, TEXT("q"), true, 7, 5);
    lists_seen(w->lists, anna, TEXT("r"), true, 8, 9);
    assert_answer(w, anna, "s");
    send_own(w, anna, "p q r s", 7, 4);
    assert_answer(w, anna, "p r s"); /* q is newer */
    lists_seen(w->lists, anna, TEXT("r"), true, 8, 1);
    assert_answer(w, anna, "p s"); /* after the list: newer */
    send_own(w, anna, "p q r s", 7, 5);
    assert_answer(w, anna, "p q r s");
    lists_seen(w->lists, anna, TEXT("s"), true, 7, 5);
    assert_answer(w, anna, "p q r s"); /* the list says it knows that */
    assert_int_equal(lists_forget(w->lists, anna), SOTTO_OK);
    lists_seen(w->lists, anna, TEXT("p"), true, 7, 4);
    send_own(w, anna, "p q r s", 7, 4);
    send_empty(w, DOCUMENT_LIST, span_of(anna, 16));
    assert_answer(w, anna, "p q r s"); /* p is gone, not hidden */
}

static void a_model_is_used_once_all_its_shards_are_there(void **state)
{
    struct world *w = *state;
    struct model a = small_model("m1"), b = small_model("m2"), c = a;

    c.version = "m3";
    b.items = 5;
    send_shard(w, &a, 1);
    assert_int_equal(rows_now(w), 0);
    send_shard(w, &a, 0);
    assert_int_equal(rows_now(w), 6);
    send_shard(w, &b, 0);
    assert_int_equal(rows_now(w), 6); /* the old one, until the new is whole */
    send_shard(w, &b, 1);
    assert_int_equal(rows_now(w), 5);
    send_shard(w, &c, 1);
    send_shard(w, &a, 0); /* fits c in everything but its version */
    assert_int_equal(rows_now(w), 5);
    world_reopen(w);
    assert_int_equal(rows_now(w), 0);
}

/* What a shard of two rows claims. */
struct odd_shard {
    uint32_t shard, shards, first, total;
    const char *a, *b;
    float scale;
};

static enum sotto_err send_odd(struct world *w, struct odd_shard odd)
{
    struct rows_shard head = {.model = TEXT("odd"),
                              .shards = odd.shards,
                              .items_total = odd.total,
                              .first = odd.first,
                              .count = 2};
    struct rows_row rows[2] = {{.item = TEXT(odd.a), .scale = odd.scale},
                               {.item = TEXT(odd.b), .scale = odd.scale}};
    uint8_t key[4] = {(uint8_t)odd.shard, 0, 0, 0};
    enum sotto_err err;

    buf_clear(&w->body);
    assert_int_equal(rows_begin(&w->body, &head), SOTTO_OK);
    assert_int_equal(rows_add(&w->body, &rows[0]), SOTTO_OK);
    assert_int_equal(rows_add(&w->body, &rows[1]), SOTTO_OK);
    begin(w);
    err = apply(w, DOCUMENT_ROWS, span_of(key, sizeof key), WHEN_NONE);
    end(w);
    return err;
}

static void a_model_with_holes_or_an_item_twice_is_not_used(void **state)
{
    static const struct odd_shard odd[] = {
        {0, 1, 0, 2, "a", "a", 1}, /* twice */
        {0, 1, 1, 3, "a", "b", 1}, /* the first row is missing */
        {0, 1, 0, 3, "a", "b", 1}, /* the last */
        {0, 2, 0, 4, "a", "b", 1}, /* begins well … */
        {1, 2, 0, 4, "c", "d", 1}, /* … but numbers its rows again */
    };
    struct world *w = *state;

    log_set_level(LOG_ERROR);
    assert_int_equal(send_odd(w, (struct odd_shard){0, 1, 0, 2, "a", "b", 1}),
                     SOTTO_OK);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_int_equal(send_odd(w, odd[i]), SOTTO_OK);
        assert_int_equal(rows_now(w), 2); /* still the first */
    }
    assert_int_equal(
        send_odd(w, (struct odd_shard){0, 1, 0, 2, "a", "b", 1e30f}),
        SOTTO_EDECODE);
    world_reopen(w);
    assert_int_equal(rows_now(w), 0);
}

static void an_answer_holds_no_more_than_its_room(void **state)
{
    static char names[LIST_ITEMS_MAX][8];
    struct world *w = *state;
    struct model m = small_model("m1");
    struct list l = {.model = TEXT("m1"), .count = LIST_ITEMS_MAX};

    for (uint32_t i = 0; i < LIST_ITEMS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "n%03u", i % 1000);
        l.items[i].item = TEXT(names[i]);
        l.items[i].reason = REASON_POPULAR;
    }
    send_model(w, &m);
    send_list(w, DOCUMENT_LIST, span_of(anna, 16), &l, WHEN_NONE);
    lists_seen(w->lists, anna, TEXT("i00"), false, 1, 1);
    (void)ask(w, anna, UINT32_MAX, NOW);
    assert_int_equal(w->answer.count, LIST_ITEMS_MAX);
    assert_string_equal(w->answer.items[0].item, "i01");
    assert_string_equal(w->answer.items[2].item, "n000");
}

static void long_items_are_left_out_and_names_cut_at_a_character(void **state)
{
    struct world *w = *state;
    char item[ANSWER_TEXT_MAX + 2], name[ANSWER_TEXT_MAX + 4], long_item[300];
    struct list l;

    memset(item, 'x', sizeof item);
    memset(name, 'n', sizeof name);
    memcpy(name + ANSWER_TEXT_MAX - 1, "\xc3\xa9", 3);
    list_make(&l, "a b", REASON_POPULAR);
    l.items[0].item = span_of(item, ANSWER_TEXT_MAX + 1);
    l.items[1].name = TEXT(name);
    send_list(w, DOCUMENT_POPULAR, span_of(NULL, 0), &l, WHEN_NONE);
    assert_answer(w, NULL, "b");
    assert_int_equal(strlen(w->answer.items[0].name), ANSWER_TEXT_MAX - 1);
    memset(long_item, 'b', sizeof long_item); /* 257 % 256 is "b" */
    lists_seen(w->lists, anna, span_of(long_item, 257), true, 1, 1);
    lists_seen(w->lists, anna, span_of(item, ANSWER_TEXT_MAX + 1), true, 1, 1);
    lists_seen(w->lists, anna, span_of(NULL, 0), true, 1, 1);
    assert_answer(w, anna, "b");
    l.items[0].item = span_of(item, ANSWER_TEXT_MAX);
    send_list(w, DOCUMENT_POPULAR, span_of(NULL, 0), &l, WHEN_NONE);
    assert_int_equal(strlen(ask(w, NULL, 1, NOW)), ANSWER_TEXT_MAX);
}

/* ---- the slow way ---- */

struct slow_item {
    char item[8];
    double score;
    bool candidate;
};

static int slow_order(const void *a, const void *b)
{
    const struct slow_item *x = a, *y = b;

    if (x->candidate != y->candidate)
        return x->candidate ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return strcmp(x->item, y->item);
}

struct trial {
    struct model model;
    struct list list; /* its texts are in names */
    char names[MODEL_ITEMS_MAX][8];
    uint32_t recents[RECENTS_ITEMS];
    bool bought[RECENTS_ITEMS];
    uint32_t recent_count;
};

static void trial_make(struct trial *t, uint64_t *random)
{
    memset(t, 0, sizeof *t);
    t->model.version = "m";
    t->model.items = 8 + (uint32_t)(random_next(random) % 56);
    t->model.shards = 1 + (uint32_t)(random_next(random) % 4);
    for (uint32_t i = 0; i < t->model.items; i++) {
        item_name(t->names[i], i);
        for (uint32_t j = 0; j < t->model.items; j++)
            if (random_next(random) % 3 == 0)
                t->model.weights[i][j] = (int8_t)(random_next(random) % 9 - 3);
    }
    t->list.model = TEXT("m");
    t->list.stream = 1;
    for (uint32_t i = 0; i < t->model.items; i++) {
        struct list_item item = {.item = TEXT(t->names[i]),
                                 .reason = REASON_SEGMENT};

        item.score = (float)(random_next(random) % 16) * 0.0625f;
        if (random_next(random) % 4 == 0)
            t->list.items[t->list.count++] = item;
        else if (random_next(random) % 8 == 0)
            t->list.history[t->list.history_count++] = item.item;
    }
    for (uint32_t i = 0; i < t->model.items; i++)
        if (random_next(random) % 6 == 0 && t->recent_count < RECENTS_ITEMS) {
            t->bought[t->recent_count] = random_next(random) % 3 == 0;
            t->recents[t->recent_count++] = i;
        }
}

static uint32_t trial_solve(const struct trial *t, bool own,
                            struct slow_item *slow)
{
    uint32_t n = t->model.items, candidates = 0;

    for (uint32_t j = 0; j < n; j++) {
        memset(&slow[j], 0, sizeof slow[j]);
        memcpy(slow[j].item, t->names[j], sizeof slow[j].item);
        for (uint32_t i = 0; own && i < t->list.count; i++)
            if (span_equal(t->list.items[i].item, TEXT(slow[j].item))) {
                slow[j].score = (double)t->list.items[i].score;
                slow[j].candidate = true;
            }
        for (uint32_t i = 0; i < t->recent_count; i++)
            slow[j].score +=
                t->model.weights[t->recents[i]][j] * (double)MODEL_SCALE;
        slow[j].candidate = slow[j].candidate || slow[j].score > 0;
        for (uint32_t i = 0; own && i < t->list.history_count; i++)
            if (span_equal(t->list.history[i], TEXT(slow[j].item)))
                slow[j].candidate = false;
        for (uint32_t i = 0; i < t->recent_count; i++)
            if (t->bought[i] && t->recents[i] == j)
                slow[j].candidate = false;
        candidates += slow[j].candidate;
    }
    qsort(slow, n, sizeof *slow, slow_order);
    return candidates;
}

/* An item is there because of the recent item with the largest share. */
static void check_reason(const struct trial *t, const struct answer_item *a,
                         bool own)
{
    uint32_t j = (uint32_t)strtoul(a->item + 1, NULL, 10), because;
    double largest = 0;

    for (uint32_t i = 0; own && i < t->list.count; i++)
        if (span_equal(t->list.items[i].item, TEXT(a->item)))
            largest = (double)t->list.items[i].score;
    for (uint32_t i = 0; i < t->recent_count; i++) {
        double share = t->model.weights[t->recents[i]][j] * (double)MODEL_SCALE;

        if (share > largest) {
            assert_int_equal(a->reason, REASON_BECAUSE);
            because = (uint32_t)strtoul(a->because + 1, NULL, 10);
            assert_true(t->model.weights[because][j] >=
                        t->model.weights[t->recents[i]][j]);
        }
    }
    if (a->reason != REASON_BECAUSE)
        assert_int_equal(a->reason, REASON_SEGMENT);
}

static void answer_equals_the_slow_way_on_random_models(void **state)
{
    struct world *w = *state;
    uint64_t random = 12345;

    for (int round = 0; round < 60; round++) {
        struct slow_item slow[MODEL_ITEMS_MAX];
        uint32_t count = 1 + (uint32_t)(random_next(&random) % 40);
        struct trial t;

        trial_make(&t, &random);
        send_model(w, &t.model);
        send_empty(w, DOCUMENT_FORGET, span_of(ben, 16));
        send_list(w, DOCUMENT_LIST, span_of(anna, 16), &t.list, WHEN_NONE);
        for (uint32_t i = 0; i < t.recent_count; i++) {
            lists_seen(w->lists, anna, TEXT(t.names[t.recents[i]]), t.bought[i],
                       2, 1);
            lists_seen(w->lists, ben, TEXT(t.names[t.recents[i]]), t.bought[i],
                       2, 1);
        }
        for (int own = 0; t.recent_count && own < 2; own++) {
            uint32_t want = trial_solve(&t, own, slow);
            enum sotto_err err = lists_answer(w->lists, own ? anna : ben, count,
                                              NOW, &w->answer);

            assert_int_equal(err, own || want ? SOTTO_OK : SOTTO_ENOTFOUND);
            want = want < count ? want : count;
            assert_int_equal(w->answer.count, want);
            for (uint32_t i = 0; i < want; i++) {
                assert_string_equal(w->answer.items[i].item, slow[i].item);
                assert_true((double)w->answer.items[i].score == slow[i].score);
                check_reason(&t, &w->answer.items[i], own);
            }
        }
    }
}

/* ---- two threads ---- */

struct asking {
    struct world *w;
    atomic_bool stop;
    unsigned wrong, asked;
};

/* Each list is whole: its items all have one letter. */
static void *ask_on_thread(void *context)
{
    struct asking *a = context;
    struct answer *answer = calloc(1, sizeof *answer);

    while (answer && !atomic_load(&a->stop)) {
        struct lists_stats stats;

        if (lists_answer(a->w->lists, a->asked % 2 ? anna : ben, 20, NOW,
                         answer))
            a->wrong++;
        for (uint32_t i = 1; i < answer->count; i++)
            if (answer->items[i].item[0] != 'i' &&
                answer->items[0].item[0] != 'i' &&
                answer->items[i].item[0] != answer->items[0].item[0])
                a->wrong++;
        lists_stats(a->w->lists, &stats);
        a->asked++;
    }
    free(answer);
    return NULL;
}

static void answers_while_documents_are_applied(void **state)
{
    struct world *w = *state;
    struct asking asking = {.w = w};
    struct model m = small_model("m1");
    pthread_t thread;

    send_popular(w, "a0 a1 a2");
    assert_int_equal(pthread_create(&thread, NULL, ask_on_thread, &asking), 0);
    for (uint64_t i = 0; i < 60; i++) {
        send_popular(w, i % 2 ? "a0 a1 a2" : "b0 b1 b2");
        send_own(w, anna, i % 2 ? "c0 c1 c2" : "d0 d1", 1, i);
        lists_seen(w->lists, anna, TEXT("i00"), false, 1, i + 1);
        lists_seen(w->lists, ben, TEXT("i01"), i % 3 == 0, 1, i);
        m.version = i % 2 ? "m1" : "m2";
        send_model(w, &m);
        if (i % 10 == 9)
            assert_int_equal(lists_forget(w->lists, anna), SOTTO_OK);
    }
    atomic_store(&asking.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asking.wrong, 0);
    assert_true(asking.asked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(folds_in_what_happened_since),
        TEST(a_stranger_gets_what_goes_with_the_visit_then_popular),
        TEST(the_history_of_a_list_is_not_shown),
        TEST(a_list_that_knows_them_removes_recents),
        TEST(a_model_is_used_once_all_its_shards_are_there),
        TEST(a_model_with_holes_or_an_item_twice_is_not_used),
        TEST(an_answer_holds_no_more_than_its_room),
        TEST(long_items_are_left_out_and_names_cut_at_a_character),
        TEST(answer_equals_the_slow_way_on_random_models),
        TEST(answers_while_documents_are_applied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
