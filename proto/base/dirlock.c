/* flock on DIR/lock. The file stays when the lock goes: removing it would let
 * two processes hold locks on two files of the same name. The kernel releases
 * the lock of a process that died. */
#include "base/dirlock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sotto_err open_directory(int *dir_fd, const char *dir, bool create,
                                     struct why *why)
{
    if (create && mkdir(dir, 0700) && errno != EEXIST)
        return why_say(why, errno == ENOENT ? SOTTO_ENOTFOUND : SOTTO_EIO,
                       "%s: cannot make the data directory: %s", dir,
                       strerror(errno));
    *dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd >= 0)
        return SOTTO_OK;
    if (errno == ENOENT)
        return why_say(why, SOTTO_ENOTFOUND,
                       "%s: there is no such data directory; check the path",
                       dir);
    return why_say(why, SOTTO_EIO, "%s: cannot open the data directory: %s",
                   dir, strerror(errno));
}

enum sotto_err dirlock_take(struct dirlock *l, const char *dir, bool create,
                            struct why *why)
{
    enum sotto_err err;
    int dir_fd = -1;
    int fd;

    l->fd = -1;
    err = open_directory(&dir_fd, dir, create, why);
    if (err)
        return err;
    fd =
        openat(dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        err = why_say(why, SOTTO_EIO, "%s/lock: cannot open it: %s", dir,
                      strerror(errno));
    close(dir_fd);
    if (err)
        return err;
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        err = errno == EWOULDBLOCK
                  ? why_say(why, SOTTO_ELOCKED,
                            "%s: another process owns this data directory; "
                            "stop it first (fuser %s/lock names it)",
                            dir, dir)
                  : why_say(why, SOTTO_EIO, "%s/lock: cannot lock it: %s", dir,
                            strerror(errno));
        close(fd);
        return err;
    }
    l->fd = fd;
    return SOTTO_OK;
}

void dirlock_release(struct dirlock *l)
{
    if (l->fd >= 0) {
        flock(l->fd, LOCK_UN); /* also of a child that inherited it */
        close(l->fd);
    }
    l->fd = -1;
}
