/* Preloaded into a program: kills it, as `kill -9` does, at the KILL_AT-th line that it makes safe in a
 * journal: before the line is safe, or KILL_AFTER_US microseconds later, in the midst of what the line
 * announces. Only the child of KILL_PARENT dies; its own children have the variables, too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name)
{
	const char *text = getenv(name);

	return text ? atol(text) : 0;
}

static int is_journal(int fd)
{
	char link[64], path[4096];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return 0;
	path[len] = 0;
	return strstr(path, "/journal.ndjson") != NULL;
}

static void kill_after(long microseconds)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec at = {.it_value = {microseconds / 1000000, microseconds % 1000000 * 1000}};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &at, NULL))
		abort();
}

int fdatasync(int fd)
{
	static long done;
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	int kept;

	if (getppid() != number("KILL_PARENT") || !is_journal(fd) ||
	    ++done != number("KILL_AT"))
		return next(fd);
	if (!number("KILL_AFTER_US"))
		kill(getpid(), SIGKILL);
	kept = next(fd);
	kill_after(number("KILL_AFTER_US"));
	return kept;
}
