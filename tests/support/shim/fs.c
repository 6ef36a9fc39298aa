/* A file system that fails when it is told to: LD_PRELOADed into a process whose store is tried.
 *
 * It is about files of the store alone: those whose name ends in "-wal" (called `wal` below) or in ".db" (`db`).
 *
 *   TIDEGATE_FS_CONTROL=PATH      a file that is read before each call: one fault a line, `CALL ERRNO [FILE]`, where
 *                                 CALL is sync (fsync, fdatasync), write, truncate, read or open (to write or make it),
 *                                 ERRNO is EIO, ENOSPC, EROFS or EDQUOT, and FILE is wal or db; both without it.
 *                                 No file, or an empty one: no fault.
 *   TIDEGATE_FS_FAIL_SYNC=N[:M]   syncs N+1 to N+M fail with EIO (every one behind N without M).
 *   TIDEGATE_FS_KILL=WHEN:FILE:N  SIGKILL to the process itself, `before` or `after` the N-th sync of FILE
 *                                 (wal, db or any).
 *
 * A sync that is made to fail is not made at all; what was written stays in the page cache, as on Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum file { OTHER, WAL, DB };

static int ends(const char *name, const char *end) {
    size_t n = strlen(name), e = strlen(end);
    return n >= e && strcmp(name + n - e, end) == 0;
}

static enum file named(const char *name) {
    return ends(name, "-wal") ? WAL : ends(name, ".db") ? DB : OTHER;
}

static enum file behind(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name - 1);
    if (length <= 0) return OTHER;
    name[length] = 0;
    return named(name);
}

static int number(const char *errno_name) {
    if (!strcmp(errno_name, "ENOSPC")) return ENOSPC;
    if (!strcmp(errno_name, "EROFS")) return EROFS;
    if (!strcmp(errno_name, "EDQUOT")) return EDQUOT;
    return EIO;
}

static int is_file(const char *word, enum file file) {
    return !*word || !strcmp(word, "any") || (file == WAL ? !strcmp(word, "wal") : !strcmp(word, "db"));
}

/* The errno that the control file wants of this call; 0 for none. */
static int wanted(const char *call, enum file file) {
    const char *path = getenv("TIDEGATE_FS_CONTROL");
    if (!path || file == OTHER) return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    char text[1024];
    ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length <= 0) return 0;
    text[length] = 0;
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char what[32] = "", how[32] = "", which[32] = "";
        if (sscanf(line, "%31s %31s %31s", what, how, which) >= 2 && !strcmp(what, call) && is_file(which, file))
            return number(how);
    }
    return 0;
}

static int fails(const char *call, int fd) {
    if (!getenv("TIDEGATE_FS_CONTROL")) return 0;
    int error = wanted(call, behind(fd));
    if (error) errno = error;
    return error;
}

static void die_if(const char *when, enum file file, int syncs, int of_file) {
    const char *plan = getenv("TIDEGATE_FS_KILL");
    char at[16] = "", which[16] = "";
    int nth = 0;
    if (!plan || sscanf(plan, "%15[^:]:%15[^:]:%d", at, which, &nth) != 3) return;
    if (strcmp(at, when) || !is_file(which, file)) return;
    if (nth == (strcmp(which, "any") ? of_file : syncs)) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        for (;;) pause();
    }
}

static int sync_by(long call, int fd) {
    static int all, of[3];
    enum file file = behind(fd);
    if (file == OTHER) return syscall(call, fd);
    int nth = __atomic_add_fetch(&all, 1, __ATOMIC_SEQ_CST);
    int of_file = __atomic_add_fetch(&of[file], 1, __ATOMIC_SEQ_CST);
    die_if("before", file, nth, of_file);
    int error = wanted("sync", file);
    const char *plan = getenv("TIDEGATE_FS_FAIL_SYNC");
    if (plan) {
        int good = 0, bad = 0;
        int given = sscanf(plan, "%d:%d", &good, &bad);
        if (given >= 1 && nth > good && (given < 2 || nth <= good + bad)) error = EIO;
    }
    if (error) {
        errno = error;
        return -1;
    }
    int done = syscall(call, fd);
    die_if("after", file, nth, of_file);
    return done;
}

int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }

ssize_t write(int fd, const void *from, size_t size) {
    return fails("write", fd) ? -1 : syscall(SYS_write, fd, from, size);
}
ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    return fails("write", fd) ? -1 : syscall(SYS_pwrite64, fd, from, size, at);
}
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    return fails("write", fd) ? -1 : syscall(SYS_pwrite64, fd, from, size, at);
}
ssize_t read(int fd, void *to, size_t size) {
    return fails("read", fd) ? -1 : syscall(SYS_read, fd, to, size);
}
ssize_t pread(int fd, void *to, size_t size, off_t at) {
    return fails("read", fd) ? -1 : syscall(SYS_pread64, fd, to, size, at);
}
ssize_t pread64(int fd, void *to, size_t size, off64_t at) {
    return fails("read", fd) ? -1 : syscall(SYS_pread64, fd, to, size, at);
}
int ftruncate(int fd, off_t size) {
    return fails("truncate", fd) ? -1 : syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) {
    return fails("truncate", fd) ? -1 : syscall(SYS_ftruncate, fd, size);
}

static int open_by(int folder, const char *path, int flags, mode_t mode) {
    if (flags & (O_WRONLY | O_RDWR | O_CREAT)) {
        int error = wanted("open", named(path));
        if (error) {
            errno = error;
            return -1;
        }
    }
    return syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, int);                                                                                      \
        va_end(rest);                                                                                                  \
    }
int open(const char *path, int flags, ...) { MODE(flags) return open_by(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_by(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_by(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_by(folder, path, flags, mode); }
