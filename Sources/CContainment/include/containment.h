#pragma once
#include <sys/types.h>

// Runs a command under a supervisor of its own: a process that adopts what the command's processes leave behind
// (PR_SET_CHILD_SUBREAPER), also what left their session, and kills all of it once the command has ended. The supervisor's
// exit status is the command's, or 128 and the number of the signal that ended it.
//
// C, since between fork and exec only async-signal-safe calls are allowed, which no Swift code promises.
struct lgw_containment {
    const char *file;        // looked for in PATH, where it has no slash
    char *const *arguments;  // both end with NULL
    char *const *environment;
    int input, output, errors;  // the command's 0, 1, 2; no other descriptor is open in it
    int has_user;               // then the command runs with these ids alone
    uid_t user;
    gid_t group;
    const gid_t *groups;
    size_t group_count;
    int grace_ms;  // between SIGTERM and SIGKILL
};

// Returns the supervisor's process id, once the command runs; -1 and errno where it can't. `control` is then a descriptor,
// closed on exec: a byte written to it ends the command (SIGTERM, then SIGKILL to all of it), and its end kills all at once,
// so nothing outlives a caller that was killed.
pid_t lgw_start_contained(const struct lgw_containment *containment, int *control);

// waitid(2) with WNOWAIT: returns when the child has ended, and leaves it to be reaped, so that its id stays its own.
void lgw_wait_for_end(pid_t child);

// No core is written of this process, and no other process of the same user may read its memory or its environment
// (PR_SET_DUMPABLE, RLIMIT_CORE). What it executes can be read again, and writes no core either.
void lgw_hide_process(void);
