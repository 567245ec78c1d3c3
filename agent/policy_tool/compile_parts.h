/* Between compile.c (the head of a policy) and compile_event.c (its events);
 * nobody else includes this. */
#ifndef SOTTO_POLICY_TOOL_COMPILE_PARTS_H
#define SOTTO_POLICY_TOOL_COMPILE_PARTS_H

#include "agent/policy_tool/compile.h"

#define EACH_KEYS_MAX 24

struct compile {
    struct compiled *out; /* the policy in it is being filled */
    const struct signer_keys *signers;
    struct policy_id ids[POLICY_IDS_MAX]; /* distinct pseudonyms so far */
    int id_count;
    /* the field table with the names of roles, actions, types filled in */
    struct yaml_key field_keys[EACH_KEYS_MAX];
    const char *roles[ROLE_COUNT + 1];
    const char *actions[ACTION_COUNT + 1];
    const char *types[TYPE_COUNT + 1];
    const char *normalizations[NORMALIZE_COUNT + 1];
    const char *event_roles[EVENT_ROLE_COUNT + 1];
};

/* Copies a name: letters, digits, `_`, `-`, `.`, and spaces if they may. */
enum sotto_err compile_name(char out[NAME_MAX_SIZE + 1], struct span name,
                            bool spaces, struct yaml_node at, struct why *why);

/* The place of a node. */
struct place compile_place(struct yaml_node n);

/* The index of a purpose or key, or the error with the nearest name. */
enum sotto_err compile_purpose(uint8_t *index, const struct compile *c,
                               struct span name, struct yaml_node at,
                               struct why *why);
enum sotto_err compile_key(uint8_t *index, const struct compile *c,
                           struct span name, struct yaml_node at,
                           struct why *why);

enum sotto_err compile_events(struct compile *c, struct yaml_node events,
                              struct why *why);

#endif
