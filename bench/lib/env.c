/* SPDX-License-Identifier: MIT */
/*
 * Reads the environment block from /proc, /sys and uname(2). The commit comes from git itself, run
 * in the directory of the program, because that is where a build directory lies inside its tree;
 * MBR_COMMIT in the environment overrides it for builds elsewhere.
 */
#include "bench/lib/env.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#if defined(__clang__)
#define COMPILER __VERSION__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OPTIMISED ", with sanitizer"
#elif defined(__OPTIMIZE__)
#define OPTIMISED ", optimised"
#else
#define OPTIMISED ", not optimised"
#endif

static void strip_line(char *text)
{
    text[strcspn(text, "\n")] = '\0';
}

/* The first line of a file, or "". */
static void read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");

    line[0] = '\0';
    if (file == NULL) {
        return;
    }
    if (fgets(line, (int)size, file) == NULL) {
        line[0] = '\0';
    }
    strip_line(line);
    (void)fclose(file);
}

/* Files such as "always [never] force" mark the value in use with brackets. */
static void keep_bracketed(char *text)
{
    char *open = strchr(text, '[');
    char *close = open == NULL ? NULL : strchr(open, ']');

    if (close != NULL) {
        size_t length = (size_t)(close - open - 1);

        memmove(text, open + 1, length);
        text[length] = '\0';
    }
}

static void read_cpuinfo(struct bench_env *env)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t size = 0;

    if (file == NULL) {
        return;
    }
    while (getline(&line, &size, file) > 0) {
        char *value = strstr(line, ": ");

        strip_line(line);
        if (value == NULL) {
            continue;
        }
        if (strncmp(line, "model name", 10) == 0 && env->cpu_model[0] == '\0') {
            snprintf(env->cpu_model, sizeof(env->cpu_model), "%s", value + 2);
        } else if (strncmp(line, "flags", 5) == 0) {
            env->hypervisor = strstr(value, " hypervisor") != NULL;
            env->tsc_steady = strstr(value, " constant_tsc") && strstr(value, " nonstop_tsc");
            break;
        }
    }
    free(line);
    (void)fclose(file);
}

/* Which of the costly mitigations are on: those that tax system calls and context switches. */
static void read_mitigations(struct bench_env *env)
{
    static const char *const names[] = {"meltdown", "spectre_v1", "spectre_v2",
                                        "retbleed", "mds",        "tsx_async_abort"};
    size_t used = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        char line[256];
        char word[24];

        snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s", names[i]);
        read_line(path, line, sizeof(line));
        snprintf(word, sizeof(word), "%.*s", (int)strcspn(line, ":;,"), line);
        if (word[0] != '\0' && used < sizeof(env->mitigations)) {
            used += (size_t)snprintf(env->mitigations + used, sizeof(env->mitigations) - used,
                                     "%s%s=%s", used == 0 ? "" : ", ", names[i], word);
        }
    }
}

/* Runs `git -C dir describe` and takes its first line. No shell: the path may hold anything. */
static void describe_commit(char *dir, char *line, size_t size)
{
    char git[] = "git", in[] = "-C", describe[] = "describe";
    char always[] = "--always", dirty[] = "--dirty";
    char *argv[] = {git, in, dir, describe, always, dirty, NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    pid_t pid;
    ssize_t got = 0;

    if (pipe2(fds, O_CLOEXEC) != 0) {
        return;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, git, &actions, NULL, argv, environ) == 0) {
        (void)close(fds[1]);
        fds[1] = -1;
        got = read(fds[0], line, size - 1);
        (void)waitpid(pid, NULL, 0);
    }
    posix_spawn_file_actions_destroy(&actions);
    line[got > 0 ? got : 0] = '\0';
    strip_line(line);
    (void)close(fds[0]);
    if (fds[1] >= 0) {
        (void)close(fds[1]);
    }
}

static void read_commit(struct bench_env *env)
{
    const char *given = getenv("MBR_COMMIT");
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (given != NULL) {
        snprintf(env->commit, sizeof(env->commit), "%s", given);
        return;
    }
    if (length <= 0) {
        return;
    }
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
        describe_commit(path, env->commit, sizeof(env->commit));
    }
}

void bench_env_read(struct bench_env *env)
{
    struct utsname name;
    cpu_set_t allowed;
    time_t now = time(NULL);
    struct tm tm;

    *env = (struct bench_env){.load = {-1, -1, -1}, .cpus_allowed = -1};
    if (gmtime_r(&now, &tm) != NULL) {
        (void)strftime(env->when, sizeof(env->when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    if (uname(&name) == 0) {
        snprintf(env->kernel, sizeof(env->kernel), "%.20s %.50s %.20s", name.sysname, name.release,
                 name.machine);
    }
    read_cpuinfo(env);
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", env->governor,
              sizeof(env->governor));
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", env->clocksource,
              sizeof(env->clocksource));
    read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", env->shmem_huge,
              sizeof(env->shmem_huge));
    keep_bracketed(env->shmem_huge);
    read_mitigations(env);
    read_commit(env);
    snprintf(env->compiler, sizeof(env->compiler), "%s", COMPILER OPTIMISED);
    (void)getloadavg(env->load, 3);
    env->cpus_online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        env->cpus_allowed = CPU_COUNT(&allowed);
    }
}

json_t *bench_env_json(const struct bench_env *env)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[f,f,f], s:i, s:i, s:b, s:b}", "time",
        env->when, "kernel", env->kernel, "cpu_model", env->cpu_model, "governor", env->governor,
        "clocksource", env->clocksource, "compiler", env->compiler, "commit", env->commit,
        "mitigations", env->mitigations, "shmem_huge_pages", env->shmem_huge, "load", env->load[0],
        env->load[1], env->load[2], "cpus_online", env->cpus_online, "cpus_allowed",
        env->cpus_allowed, "hypervisor", env->hypervisor, "tsc_steady", env->tsc_steady);
}

void bench_env_print(const struct bench_env *env, FILE *out)
{
    fprintf(out, "%s, %d of %d CPUs, %s%s\n", env->cpu_model[0] ? env->cpu_model : "unknown CPU",
            env->cpus_allowed, env->cpus_online, env->kernel,
            env->hypervisor ? ", in a virtual machine" : "");
    fprintf(out, "load %.2f, governor %s, clock %s, %s, commit %s\n", env->load[0],
            env->governor[0] ? env->governor : "none",
            env->clocksource[0] ? env->clocksource : "unknown", env->compiler,
            env->commit[0] ? env->commit : "unknown");
    fprintf(out, "mitigations: %s\n", env->mitigations[0] ? env->mitigations : "unknown");
}
