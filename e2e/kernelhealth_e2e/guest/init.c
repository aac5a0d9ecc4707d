/*
 * Waits for ever, buries orphans, and ends on SIGTERM or SIGINT.  Process 1 of
 * a test node, and of every pod's sandbox there.
 *
 * The signals are blocked and fetched: a signal that is not blocked and has no
 * handler is dropped for process 1 of a PID namespace (pid_namespaces(7)).
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void)
{
	sigset_t awaited;
	int number;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, SIGINT);
	sigaddset(&awaited, SIGTERM);
	sigprocmask(SIG_BLOCK, &awaited, NULL);
	for (;;) {
		if (sigwait(&awaited, &number) != 0)
			continue;
		if (number != SIGCHLD)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
