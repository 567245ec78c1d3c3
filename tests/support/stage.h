/* A stage for whole programs in one thread: libuv's timers, wake-ups and
 * workers, NNG's link and the clocks, replaced by a queue and a time that only
 * passes when there is nothing else to do. So a minute of waiting takes no
 * time, and the same program makes the same calls each time it runs.
 *
 * A program that uses it is linked with stage.c and with the linker's --wrap
 * for each function in SOTTO_STAGE (tests/CMakeLists.txt). The link is one
 * requester and one replier; what is said while nobody listens is lost, and its
 * asker hears of it after the timeout. Signatures are keyed hashes. One thread;
 * one state for the program, as the functions are. */
#ifndef SOTTO_SUPPORT_STAGE_H
#define SOTTO_SUPPORT_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

/* What the programs take for their loop. */
uv_loop_t *stage_loop(void);
/* Sets the clocks; nothing may be open. */
void stage_begin(int64_t wall_ms);
/* Whether what the programs log is printed; not at first. */
void stage_aloud(bool aloud);
/* One thing: what is due, or else the next in time. false: there is nothing,
 * and never will be. */
bool stage_step(void);
/* Steps until done says so; false: not within ms. */
bool stage_until(bool (*done)(void *context), void *context, int64_t ms);

#endif
