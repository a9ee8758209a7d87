#define _GNU_SOURCE
#include "containment.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// How long what does not die is waited for (a process in the kernel's hands, or of another user).
enum { sweep_ms = 2000 };

static long long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// All but the first ones. glibc has close_range(2) from 2.34, the kernel from 5.9.
static void close_from(unsigned first) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
#endif
    struct rlimit limit;
    unsigned end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (unsigned)limit.rlim_cur : 65536;
    for (unsigned descriptor = first; descriptor < end; descriptor++) close((int)descriptor);
}

// SIGKILL to each child of this process: what was left behind by others is among them.
static void kill_children(void) {
    int list = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (list < 0) return;
    char text[4096];
    pid_t child = 0;
    ssize_t count;
    while ((count = read(list, text, sizeof text)) > 0) {
        for (ssize_t index = 0; index < count; index++) {
            if (text[index] >= '0' && text[index] <= '9') {
                child = child * 10 + (text[index] - '0');
            } else {
                if (child > 1) kill(child, SIGKILL);
                child = 0;
            }
        }
    }
    close(list);
}

// Each round kills what the one before has orphaned, until there is none.
static void sweep(void) {
    long long deadline = now_ms() + sweep_ms;
    for (;;) {
        pid_t ended;
        while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {}
        if (ended < 0 && errno == ECHILD) return;
        kill_children();
        if (now_ms() >= deadline) return;
        poll(NULL, 0, 1);
    }
}

static int exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The supervisor's life. `control` and `signals` are its descriptors.
static void supervise(pid_t command, int control, int signals, int grace_ms) {
    long long kill_at = -1;
    int is_over = 0, result = 128 + SIGKILL;
    while (!is_over) {
        struct pollfd polled[2] = {{.fd = signals, .events = POLLIN}, {.fd = control, .events = POLLIN}};
        long long rest = kill_at < 0 ? -1 : kill_at - now_ms();
        if (kill_at >= 0 && rest <= 0) break;
        // Without a descriptor for signals (none is left on the machine) the end is looked for.
        if (signals < 0 && (rest < 0 || rest > 100)) rest = 100;
        if (poll(polled, control < 0 ? 1 : 2, (int)rest) < 0 && errno != EINTR) break;
        if (polled[0].revents & POLLIN) {
            struct signalfd_siginfo ignored;
            while (read(signals, &ignored, sizeof ignored) > 0) {}
        }
        // The command's end is looked at before it is reaped: until then its group's number is its own.
        siginfo_t end = {0};
        if (waitid(P_PID, (id_t)command, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == command) {
            kill(-command, SIGKILL);
            int status = 0;
            while (waitpid(command, &status, 0) < 0 && errno == EINTR) {}
            result = exit_code(status);
            command = -1;
            is_over = 1;
        } else {
            // What was adopted and has ended.
            siginfo_t other = {0};
            while (waitid(P_ALL, 0, &other, WEXITED | WNOHANG | WNOWAIT) == 0 && other.si_pid > 0
                   && other.si_pid != command) {
                waitpid(other.si_pid, NULL, WNOHANG);
                other.si_pid = 0;
            }
        }
        if (!is_over && control >= 0 && polled[1].revents != 0) {
            char byte;
            ssize_t count = read(control, &byte, 1);
            if (count == 0) break;
            if (count == 1 && kill_at < 0) {
                kill(-command, SIGTERM);
                kill_at = now_ms() + grace_ms;
            }
        }
    }
    if (command > 0) {
        kill(-command, SIGKILL);
        int status = 0;
        if (waitpid(command, &status, 0) == command) result = exit_code(status);
    }
    sweep();
    _exit(result);
}

static void run_command(const struct lgw_containment *containment, int failures) {
    setsid();
    // Ours, away from the numbers that are the command's.
    int input = fcntl(containment->input, F_DUPFD, 10), output = fcntl(containment->output, F_DUPFD, 10);
    int errors = fcntl(containment->errors, F_DUPFD, 10);
    failures = fcntl(failures, F_DUPFD_CLOEXEC, 10);
    if (input < 0 || output < 0 || errors < 0 || failures < 0) _exit(127);
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) goto failed;
    if (dup3(failures, 3, O_CLOEXEC) < 0) goto failed;
    failures = 3;
    close_from(4);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (containment->has_user
        && (setgroups(containment->group_count, containment->groups) != 0
            || setresgid(containment->group, containment->group, containment->group) != 0
            || setresuid(containment->user, containment->user, containment->user) != 0))
        goto failed;
    // Should somebody kill the supervisor. After the ids, which reset it.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    execvpe(containment->file, containment->arguments, containment->environment);
failed:;
    int code = errno;
    ssize_t ignored = write(failures, &code, sizeof code);
    (void)ignored;
    _exit(127);
}

pid_t lgw_start_contained(const struct lgw_containment *containment, int *control) {
    int lifeline[2], failures[2];
    if (pipe2(lifeline, O_CLOEXEC) != 0) return -1;
    if (pipe2(failures, O_CLOEXEC) != 0) {
        int code = errno;
        close(lifeline[0]);
        close(lifeline[1]);
        errno = code;
        return -1;
    }
    // No handler of ours runs in the supervisor: its signals stay blocked.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t supervisor = fork();
    int code = errno;
    if (supervisor == 0) {
        setsid();
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        signal(SIGCHLD, SIG_DFL);
        pid_t command = fork();
        if (command == 0) run_command(containment, failures[1]);
        if (command < 0) {
            code = errno;
            ssize_t ignored = write(failures[1], &code, sizeof code);
            (void)ignored;
            _exit(127);
        }
        // Of the descriptors it keeps one, and so holds nobody's pipe.
        if (dup2(lifeline[0], 0) != 0) _exit(127);
        close_from(1);
        int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
        supervise(command, 0, signals, containment->grace_ms);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(lifeline[0]);
    close(failures[1]);
    if (supervisor > 0) {
        int failure = 0;
        ssize_t count;
        while ((count = read(failures[0], &failure, sizeof failure)) < 0 && errno == EINTR) {}
        if (count == sizeof failure) {
            while (waitpid(supervisor, NULL, 0) < 0 && errno == EINTR) {}
            supervisor = -1;
            code = failure;
        }
    }
    close(failures[0]);
    if (supervisor < 0) {
        close(lifeline[1]);
        errno = code;
        return -1;
    }
    *control = lifeline[1];
    return supervisor;
}

void lgw_wait_for_end(pid_t child) {
    siginfo_t end;
    while (waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
}

void lgw_hide_process(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
