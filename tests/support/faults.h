/* Fails the nth allocation, write, flush or open of the whole program.
 *
 * A program that uses it is linked with faults.c and with the linker's --wrap
 * for each function in SOTTO_FAULTS (tests/CMakeLists.txt), so the calls of our
 * own objects pass through here under every sanitizer; SQLite's pass through
 * its own memory methods and a VFS that lies over the system's. What the other
 * libraries allocate inside themselves stays as it is, but for those whose
 * memory our code asks for by name (zstd, libsodium).
 *
 *   allocation  malloc and its kin, SQLite's memory, mmap, sodium_malloc, zstd
 *   write       write, pwrite, ftruncate, fallocate, rename; SQLite's writes,
 *               truncations and deletions
 *   flush       fsync, fdatasync; SQLite's syncs
 *   open        open and its kin, mkdir; SQLite's opens
 *
 * One thread. The state is one for the program, as the functions are. */
#ifndef SOTTO_SUPPORT_FAULTS_H
#define SOTTO_SUPPORT_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_ALLOCATION,
    FAULT_WRITE,
    FAULT_FLUSH,
    FAULT_OPEN,
    FAULT_KINDS
};

/* Before SQLite's first use. */
void faults_install(void);
/* The nth call of kind from now on fails (from 1; 0: none), and with on_and_on
 * every one after it; the others are counted only. */
void faults_arm(enum fault_kind kind, uint64_t nth, bool on_and_on);
/* Nothing fails and nothing is counted. */
void faults_off(void);
/* Calls since faults_arm. */
uint64_t faults_count(enum fault_kind kind);

#endif
