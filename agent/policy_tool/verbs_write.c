/* What the tool writes for the officer to go on from: a starting policy, a
 * record. */
#include "agent/policy_tool/verbs.h"

#include "agent/policy_tool/init.h"
#include "agent/policy_tool/record.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define TEXT_BYTES_MAX (1024 * 1024)

static bool json;
static const char *out_file, *tenant = "my-shop";

#define OUT_OPTION                                                             \
    {                                                                          \
        "out", 'o', OPTION_TEXT, &out_file, "FILE",                            \
            "write it here, not to standard output; nothing is overwritten",   \
            0, 0, false                                                        \
    }
#define JSON_OPTION                                                            \
    {                                                                          \
        "json", 0, OPTION_FLAG, &json, NULL, "print JSON", 0, 0, false         \
    }
#define OPTIONS_END                                                            \
    {                                                                          \
        NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false                    \
    }

struct option_row init_options[] = {OUT_OPTION,
                                    {"name", 'n', OPTION_TEXT, &tenant, "NAME",
                                     "the tenant's name", 0, 0, false},
                                    JSON_OPTION,
                                    OPTIONS_END};

struct option_row record_options[] = {OUT_OPTION, JSON_OPTION, OPTIONS_END};

/* To the file, which must be new, or to standard output. */
static enum sotto_err text_write(const struct buf *text, struct why *why)
{
    FILE *to = out_file ? fopen(out_file, "wx") : stdout;
    bool failed;

    if (!to && errno == EEXIST)
        return why_say(why, SOTTO_EEXIST,
                       "%s: exists and is not overwritten; choose another "
                       "name",
                       out_file);
    if (!to)
        return why_say(why, SOTTO_EIO, "%s: cannot be made", out_file);
    failed = fwrite(text->data, 1, text->size, to) != text->size;
    failed |= (out_file ? fclose(to) : fflush(to)) != 0;
    if (!failed)
        return SOTTO_OK;
    return why_say(why, SOTTO_EIO, "%s: cannot be written",
                   out_file ? out_file : "standard output");
}

static int text_end(struct buf *text, const char *what, enum sotto_err err,
                    struct why *why)
{
    int code = EXIT_GOOD;

    if (!err && json && !out_file)
        code = verb_json(
            json_pack("{s:s%}", what, (const char *)text->data, text->size),
            EXIT_GOOD);
    else if (!err)
        err = text_write(text, why);
    if (err)
        code = verb_fail(err, why);
    else if (out_file && json)
        code = verb_json(json_pack("{s:s}", "file", out_file), EXIT_GOOD);
    else if (out_file)
        printf("%s\n", out_file);
    buf_fini(text);
    return code;
}

int init_run(int argc, const char *const *argv)
{
    const char *near = cli_nearest(argv[0], init_kinds);
    struct buf text;
    struct why why;
    enum sotto_err err;

    (void)argc;
    buf_init(&text, TEXT_BYTES_MAX);
    err = init_write(&text, argv[0], tenant, clock_wall_ms(&clock_system));
    if (err == SOTTO_ENOTFOUND)
        why_say(&why, err, "%s: there is a site, an app and a kiosk%s%s%s",
                argv[0], near ? "; did you mean `" : "", near ? near : "",
                near ? "`?" : "");
    else if (err == SOTTO_EINVAL)
        why_say(&why, err,
                "--name: use letters, digits, `_`, `-` and `.`, at most 64");
    else if (err)
        why_say(&why, err, "%s", err_text(err));
    return text_end(&text, "policy", err, &why);
}

int record_run(int argc, const char *const *argv)
{
    struct compiled *c = NULL;
    struct buf text;
    struct why why;
    enum sotto_err err = verb_compiled(&c, argv[0], &why);

    (void)argc;
    buf_init(&text, TEXT_BYTES_MAX);
    if (!err) {
        err = record_write(&text, c);
        if (err)
            why_say(&why, err, "%s: its record: %s", argv[0], err_text(err));
    }
    compiled_free(c);
    return text_end(&text, "record", err, &why);
}
