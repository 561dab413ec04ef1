/* Runs a program and makes chosen system calls on files below a directory fail.
 *
 *     inject --below DIR --log FILE --fault CALL:FIRST:COUNT:ACTION [--fault ...] -- PROGRAM ARGS
 *
 * CALL is a name of the table below, or `any`; `write@/live/` are the writes whose path has the
 * text `/live/` in it. The fault hits the calls FIRST, FIRST+1, ... FIRST+COUNT-1 of that name,
 * counted over all threads and child processes. ACTION is one of
 *
 * - EIO, ENOSPC, EMFILE, EINTR, EACCES: the caller gets this error, and nothing is done;
 * - `short`: a read or write does half of what was asked;
 * - `lie`: the caller gets 0, and nothing is done;
 * - `kill`: the process dies by SIGKILL before the call.
 *
 * FILE gets a line for each hit, and one with the number of calls at the end.
 *
 * Why a tracer, and no LD_PRELOAD: a part of the calls is made by rustix, which enters the kernel
 * without the C library. Why not strace: it can't select calls by a directory, it counts each
 * thread's calls apart, and it has no short writes. The seccomp filter stops the program only at
 * calls of the table, so the program runs at nearly its own speed.
 *
 * A call on a mapping has no path: `msync` is the only one, and each of them counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of this processor are not known here"
#endif

/* Where a call says what it is about. */
enum place { FD, PATH, AT_PATH, MAPPED, NOWHERE };

static const struct call {
    long number;
    const char *name;
    enum place place;
    int argument; /* the one that holds the fd or the path; for AT_PATH, the path comes next */
} calls[] = {
    {SYS_open, "open", PATH, 0},          {SYS_creat, "open", PATH, 0},
    {SYS_openat, "open", AT_PATH, 0},     {SYS_openat2, "open", AT_PATH, 0},
    {SYS_write, "write", FD, 0},          {SYS_pwrite64, "write", FD, 0},
    {SYS_writev, "write", FD, 0},         {SYS_pwritev, "write", FD, 0},
    {SYS_copy_file_range, "write", FD, 2},
    {SYS_fsync, "sync", FD, 0},           {SYS_fdatasync, "sync", FD, 0},
    {SYS_msync, "msync", NOWHERE, 0},
    {SYS_rename, "rename", PATH, 0},      {SYS_renameat, "rename", AT_PATH, 0},
    {SYS_renameat2, "rename", AT_PATH, 0},
    {SYS_link, "link", PATH, 0},          {SYS_linkat, "link", AT_PATH, 0},
    {SYS_unlink, "unlink", PATH, 0},      {SYS_unlinkat, "unlink", AT_PATH, 0},
    {SYS_rmdir, "unlink", PATH, 0},
    {SYS_ftruncate, "truncate", FD, 0},   {SYS_fallocate, "allocate", FD, 0},
    {SYS_mkdir, "mkdir", PATH, 0},        {SYS_mkdirat, "mkdir", AT_PATH, 0},
    {SYS_flock, "lock", FD, 0},           {SYS_fcntl, "lock", FD, 0},
    {SYS_read, "read", FD, 0},            {SYS_pread64, "read", FD, 0},
    {SYS_getdents64, "list", FD, 0},      {SYS_mmap, "map", MAPPED, 4},
    {SYS_statx, "stat", AT_PATH, 0},      {SYS_fstat, "stat", FD, 0},
    {SYS_statfs, "space", PATH, 0},       {SYS_fchmod, "chmod", FD, 0},
};
#define CALLS (sizeof calls / sizeof *calls)

static const struct { const char *name; int error; } errors[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EINTR", EINTR}, {"EACCES", EACCES},
};

struct fault {
    char call[16], within[32], action[16];
    long first, count, seen;
};

static struct fault faults[8];
static int fault_count;
static char below[PATH_MAX];
static FILE *hits;
static long total;
static pid_t root;

static void die(const char *what) {
    perror(what);
    exit(125);
}

/* Stops at the calls of the table; not at a write to standard output or error. */
static void filter_calls(void) {
    struct sock_filter code[8 + 2 * CALLS];
    size_t n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        long number = calls[i].number;
        if (number == SYS_write)
            continue;
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             offsetof(struct seccomp_data, args));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 2, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("seccomp");
}

static unsigned long long argument(const struct user_regs_struct *regs, int number) {
    const unsigned long long all[] = {regs->rdi, regs->rsi, regs->rdx,
                                      regs->r10, regs->r8,  regs->r9};
    return all[number];
}

static void path_of_fd(pid_t pid, int fd, char *path) {
    char link[64];
    if (fd == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%d/cwd", pid);
    else
        snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, fd);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    path[len < 0 ? 0 : len] = 0;
}

static void text_at(pid_t pid, unsigned long long address, char *text) {
    struct iovec here = {text, PATH_MAX - 1}, there = {(void *)address, PATH_MAX - 1};
    ssize_t len = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (len < 0) { /* the text may lie at the end of its page */
        here.iov_len = there.iov_len = 4096 - address % 4096;
        len = process_vm_readv(pid, &here, 1, &there, 1, 0);
    }
    text[len < 0 ? 0 : len] = 0;
}

/* The file that a call is about. */
static void path_of(pid_t pid, const struct call *call, const struct user_regs_struct *regs,
                    char *path) {
    int fd = call->place == PATH ? AT_FDCWD : (int)argument(regs, call->argument);
    path[0] = 0;
    if (call->place == PATH || call->place == AT_PATH) {
        text_at(pid, argument(regs, call->argument + (call->place == AT_PATH)), path);
        if (path[0] == '/')
            return;
        char name[PATH_MAX];
        strcpy(name, path);
        path_of_fd(pid, fd, path);
        if (name[0] && strlen(path) + strlen(name) + 2 < PATH_MAX)
            strcat(strcat(path, "/"), name);
    } else if (call->place != NOWHERE) {
        path_of_fd(pid, fd, path);
    }
}

static const struct call *call_of(const struct user_regs_struct *regs) {
    for (size_t i = 0; i < CALLS; i++) {
        if (calls[i].number == (long)regs->orig_rax) {
            long lock = (long)regs->rsi;
            int other_fcntl = calls[i].number == SYS_fcntl && lock != F_SETLK && lock != F_SETLKW
                              && lock != F_OFD_SETLK && lock != F_OFD_SETLKW;
            return other_fcntl ? NULL : &calls[i];
        }
    }
    return NULL;
}

/* Does the fault to the call; 0 if it can't be done to it. */
static int hit(pid_t pid, const struct fault *fault, struct user_regs_struct *regs) {
    if (!strcmp(fault->action, "kill")) {
        kill(root, SIGKILL);
        return 1;
    }
    if (!strcmp(fault->action, "short")) {
        long number = regs->orig_rax;
        int whole = number == SYS_write || number == SYS_pwrite64 || number == SYS_read
                    || number == SYS_pread64;
        if (!whole || regs->rdx < 2)
            return 0;
        regs->rdx /= 2;
    } else {
        int error = 0; /* and that is a lie */
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
            if (!strcmp(fault->action, errors[i].name))
                error = errors[i].error;
        regs->orig_rax = -1;
        regs->rax = -error;
    }
    return ptrace(PTRACE_SETREGS, pid, 0, regs) == 0;
}

static void look_at_call(pid_t pid) {
    struct user_regs_struct regs;
    char path[2 * PATH_MAX];
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs))
        return;
    const struct call *call = call_of(&regs);
    if (!call)
        return;
    path_of(pid, call, &regs, path);
    if (call->place != NOWHERE && strncmp(path, below, strlen(below)))
        return;
    total++;
    int done = 0;
    for (struct fault *fault = faults; fault < faults + fault_count; fault++) {
        if (strcmp(fault->call, "any") && strcmp(fault->call, call->name))
            continue;
        if (!strstr(path, fault->within))
            continue;
        fault->seen++;
        if (!done && fault->seen >= fault->first && fault->seen < fault->first + fault->count) {
            done = hit(pid, fault, &regs);
            if (done)
                fprintf(hits, "hit %ld %s %s %s\n", total, call->name, fault->action, path);
        }
    }
    fflush(hits);
}

static void parse(int argc, char **argv, char ***program) {
    int i = 1;
    for (; i + 1 < argc && strcmp(argv[i], "--"); i += 2) {
        if (!strcmp(argv[i], "--below")) {
            snprintf(below, sizeof below, "%s", argv[i + 1]);
        } else if (!strcmp(argv[i], "--log")) {
            hits = fopen(argv[i + 1], "a");
        } else if (!strcmp(argv[i], "--fault") && fault_count < 8) {
            struct fault *fault = &faults[fault_count++];
            char *rest = strchr(argv[i + 1], ':');
            sscanf(argv[i + 1], "%15[^:@]@%31[^:]", fault->call, fault->within);
            if (!rest || sscanf(rest, ":%ld:%ld:%15s", &fault->first, &fault->count,
                                fault->action) != 3)
                die(argv[i + 1]);
        } else {
            die(argv[i]);
        }
    }
    if (i + 1 >= argc || !hits)
        die("usage: inject --below DIR --log FILE --fault CALL:FIRST:COUNT:ACTION -- PROGRAM");
    *program = argv + i + 1;
}

int main(int argc, char **argv) {
    char **program, go = 0;
    int gate[2], status, result = 0;
    parse(argc, argv, &program);
    if (pipe2(gate, O_CLOEXEC) || (root = fork()) < 0)
        die("fork");
    if (root == 0) {
        if (read(gate[0], &go, 1) != 1)
            exit(125);
        filter_calls();
        execvp(program[0], program);
        die(program[0]);
    }
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK
                   | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, root, 0, options) || write(gate[1], &go, 1) != 1)
        die("ptrace");
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (pid == root)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
            ptrace(PTRACE_LISTEN, pid, 0, 0);
            continue;
        }
        if (event == PTRACE_EVENT_SECCOMP)
            look_at_call(pid);
        ptrace(PTRACE_CONT, pid, 0, event ? 0 : signal);
    }
    fprintf(hits, "calls %ld\n", total);
    fclose(hits);
    return result;
}
