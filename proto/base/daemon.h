/* What every daemon does at its start: no core dumps, no debugger attach, a
 * high limit of descriptors; and tells systemd how it is. */
#ifndef SOTTO_BASE_DAEMON_H
#define SOTTO_BASE_DAEMON_H

/* PR_SET_DUMPABLE 0, core limit 0, descriptor limit up to the hard one;
 * SIGPIPE ignored. */
void daemon_harden(void);
/* sd_notify(3)'s protocol: "READY=1", "STOPPING=1", "STATUS=…"; nothing
 * without NOTIFY_SOCKET. */
void daemon_notify(const char *state);

#endif
