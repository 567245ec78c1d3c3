/* What every program of ours does at its start, before it reads a key or what
 * a person said: no core dumps, no debugger of the same user; and what daemons
 * do besides. */
#ifndef SOTTO_BASE_DAEMON_H
#define SOTTO_BASE_DAEMON_H

/* PR_SET_DUMPABLE 0 and core limits 0, the hard one too: this process and its
 * children leave no core, and /proc/PID is root's. The process is private after
 * it, or it ends: what follows may not run without. */
void process_private(void);
/* process_private, descriptor limit up to the hard one, SIGPIPE ignored. */
void daemon_harden(void);
/* sd_notify(3)'s protocol: "READY=1", "STOPPING=1", "STATUS=…"; nothing
 * without NOTIFY_SOCKET. */
void daemon_notify(const char *state);

#endif
