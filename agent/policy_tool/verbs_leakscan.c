/* leakscan: walks files and directories, and prints where something is that
 * must not be there; never what. */
#include "agent/policy_tool/verbs.h"

#include "agent/policy_tool/leakscan.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CANARY_FILE_MAX (1024 * 1024)

static bool json;
static const char *canary_file;
static struct cli_list kind_names;
static int64_t show = 100;

struct option_row leakscan_options[] = {
    {"canary-file", 'c', OPTION_TEXT, &canary_file, "FILE",
     "planted values, one a line, searched in every form", 0, 0, false},
    {"kind", 'k', OPTION_LIST, &kind_names, "KIND",
     "only these kinds; none: only canaries (default: all)", 0, 0, false},
    {"show", 'n', OPTION_COUNT, &show, "N", "findings listed of each file", 0,
     1000000, false},
    {"json", 0, OPTION_FLAG, &json, NULL, "print JSON", 0, 0, false},
    {NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false}};

struct walk {
    struct leakscan scan;
    const char *path; /* of the file that is scanned */
    uint64_t here;    /* findings in it */
    uint64_t findings, files, unreadable;
    json_t *list; /* NULL: printed as they come */
};

/* A path may hold anything but zero; a terminal should not see it all. */
static void path_print(const char *path)
{
    for (; *path; path++)
        putchar((unsigned char)*path < ' ' || *path == 0x7f ? '?' : *path);
}

static const char *form_of(const struct leak *leak)
{
    return leak->kind == DETECT_COUNT ? leak->form : "as text";
}

static void leak_print(void *context, const struct leak *leak)
{
    struct walk *w = context;
    bool canary = leak->kind == DETECT_COUNT;

    w->findings++;
    if (++w->here > (uint64_t)show)
        return;
    if (w->list) {
        json_t *file = json_string(w->path);
        json_t *item = json_pack("{s:o, s:I, s:s, s:s}", "file",
                                 file ? file : json_string("(not UTF-8)"),
                                 "offset", (json_int_t)leak->offset, "kind",
                                 canary ? "canary" : detect_name(leak->kind),
                                 "form", form_of(leak));

        if (item && canary)
            json_object_set_new(item, "canary",
                                json_integer((json_int_t)leak->canary));
        json_array_append_new(w->list, item);
        return;
    }
    path_print(w->path);
    printf(":%llu: ", (unsigned long long)leak->offset);
    if (canary)
        printf("canary %u, %s\n", leak->canary, leak->form);
    else
        printf("%s\n", detect_name(leak->kind));
}

static void unreadable(struct walk *w, const char *path, const char *reason)
{
    w->unreadable++;
    fprintf(stderr, "sotto-policy: %s: cannot be read: %s\n", path, reason);
}

static void file_scan(struct walk *w, const char *access, const char *path)
{
    int fd = open(access, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum sotto_err err;

    if (fd < 0) {
        unreadable(w, path, strerror(errno));
        return;
    }
    w->path = path;
    w->here = 0;
    w->files++;
    err = leakscan_fd(&w->scan, fd);
    close(fd);
    if (err)
        unreadable(w, path, err_text(err));
    if (w->here > (uint64_t)show && !w->list) {
        path_print(path);
        printf(": and %llu more\n",
               (unsigned long long)(w->here - (uint64_t)show));
    }
    cli_progress("leakscan", w->scan.bytes, 0);
}

/* All regular files below a path; links are not followed. What was named
 * itself is, and may be a pipe too. */
static void tree_scan(struct walk *w, const char *path)
{
    char *copy = strdup(path);
    char *paths[] = {copy, NULL};
    FTS *tree =
        copy ? fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL)
             : NULL;
    FTSENT *entry;

    if (!tree)
        unreadable(w, path, strerror(errno));
    while (tree && (entry = fts_read(tree))) {
        if (entry->fts_info == FTS_F ||
            (entry->fts_info == FTS_DEFAULT && entry->fts_level == 0))
            file_scan(w, entry->fts_accpath, entry->fts_path);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
                 entry->fts_info == FTS_NS)
            unreadable(w, entry->fts_path, strerror(entry->fts_errno));
    }
    if (tree)
        fts_close(tree);
    free(copy);
}

static enum sotto_err canaries_read(struct canaries **out, struct why *why)
{
    struct buf b;
    enum sotto_err err;
    size_t at = 0;

    buf_init(&b, CANARY_FILE_MAX);
    err = buf_read_file(&b, canary_file);
    if (err)
        why_say(why, err, "%s: cannot be read: %s", canary_file, err_text(err));
    else if ((err = canaries_make(out)) != SOTTO_OK)
        why_say(why, err, "no memory");
    while (!err && at < b.size) {
        const uint8_t *line = b.data + at;
        const uint8_t *end = memchr(line, '\n', b.size - at);
        size_t size = end ? (size_t)(end - line) : b.size - at;

        at += size + 1;
        if (size > 0 && line[size - 1] == '\r')
            size--;
        if (size > 0)
            err = canaries_add(*out, span_of(line, size), why);
    }
    buf_wipe(&b);
    return err;
}

static enum sotto_err kinds_read(uint32_t *kinds, struct why *why)
{
    *kinds = kind_names.count > 0 ? 0 : DETECT_ALL;
    for (int i = 0; i < kind_names.count; i++) {
        const char *name = kind_names.text[i];
        enum detect_kind kind = detect_of(span_text(name));

        if (kind < DETECT_COUNT)
            *kinds |= UINT32_C(1) << kind;
        else if (strcmp(name, "none") != 0)
            return why_say(why, SOTTO_EINVAL,
                           "--kind: `%s` is not one of email, phone, card, "
                           "iban, national_id, ip, credential, token, secret, "
                           "none",
                           name);
    }
    return SOTTO_OK;
}

static int walk_end(struct walk *w)
{
    int code = w->findings     ? EXIT_FINDINGS
               : w->unreadable ? EXIT_USAGE
                               : EXIT_GOOD;

    cli_progress_end();
    if (w->list)
        return verb_json(json_pack("{s:O, s:I, s:I, s:I, s:I}", "findings",
                                   w->list, "count", (json_int_t)w->findings,
                                   "files", (json_int_t)w->files, "bytes",
                                   (json_int_t)w->scan.bytes, "unreadable",
                                   (json_int_t)w->unreadable),
                         code);
    printf("%llu findings in %llu files, %llu bytes",
           (unsigned long long)w->findings, (unsigned long long)w->files,
           (unsigned long long)w->scan.bytes);
    if (w->unreadable)
        printf("; %llu could not be read", (unsigned long long)w->unreadable);
    putchar('\n');
    return code;
}

int leakscan_run(int argc, const char *const *argv)
{
    struct walk w = {.scan = {.found = leak_print}};
    struct canaries *canaries = NULL;
    struct why why;
    enum sotto_err err = kinds_read(&w.scan.kinds, &why);
    int code;

    if (!err && canary_file)
        err = canaries_read(&canaries, &why);
    if (err) {
        code = verb_fail(err, &why);
    } else {
        w.scan.context = &w;
        w.scan.canaries = canaries;
        w.list = json ? json_array() : NULL;
        for (int i = 0; i < argc; i++)
            tree_scan(&w, argv[i]);
        code = walk_end(&w);
        json_decref(w.list);
    }
    canaries_free(canaries);
    return code;
}
