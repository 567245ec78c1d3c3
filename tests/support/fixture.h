/* What an agent or an application needs to begin, made in a directory of its
 * own: an aggregator's keys, an officer's, a small shop policy, a token file, a
 * bundle with its code, and settings that keep the ring there too.
 *
 * Includes nothing of ours, so a test of the public interface can use it. Every
 * function ends the test program on failure. */
#ifndef SOTTO_TESTS_FIXTURE_H
#define SOTTO_TESTS_FIXTURE_H

#include <stddef.h>

struct keys;           /* wire/keys.h */
struct minisign_sk;    /* policy/minisign.h */
struct policy;         /* policy/policy.h */
struct pseudonym_keys; /* policy/anonymize.h */

struct fixture {
    char dir[160];
    int dir_made;          /* by fixture_make */
    char home[200];        /* dir/home, with an agent.yaml; not enrolled */
    char token_file[200];  /* dir/token */
    char bundle_file[200]; /* dir/bundle */
    char code_file[200];   /* dir/code */
    char code[32];         /* of the bundle */
    struct keys *aggregator;
    struct minisign_sk *officer;
    struct policy *policy;
    struct pseudonym_keys *pseudonyms;
};

/* Purposes of the policy: "measure" asks for no consent; "personalise" (the
 * visitor's pseudonym) and "campaign" do. Events: "Product Viewed", "Product
 * Added", "Order Completed" for measure, item required; "Banner Clicked" for
 * campaign. Paths as in packaging/conf/shop.policy.yaml. */

/* address: of the token; nothing has to listen there. dir NULL: a new one in
 * TMPDIR or /tmp; else an existing one, which fixture_free keeps. settings:
 * more lines of agent.yaml, or NULL. */
void fixture_make(struct fixture *f, const char *dir, const char *address,
                  const char *settings);
/* Another home in the same directory, path into out. */
void fixture_home(const struct fixture *f, const char *name,
                  const char *settings, char *out, size_t out_size);
/* Gives an enrolled home that nobody has open a list of items "<prefix>-1" …
 * "<prefix>-<count>", as if the aggregator had sent it: of user, or the popular
 * one for NULL. */
void fixture_list(const struct fixture *f, const char *home, const char *user,
                  const char *prefix, unsigned count);
/* Removes the directory if fixture_make made it. */
void fixture_free(struct fixture *f);

/* rm -r */
void fixture_remove(const char *dir);

#endif
