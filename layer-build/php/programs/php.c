/*
 * The command line: runs the program beside it, php-fpm, under its own name and with its own path, which becomes PHP_BINARY.
 * A link instead would make PHP_BINARY php-fpm, and what an application starts with it would be another php-fpm.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char self[4096], program[4096 + sizeof "-fpm"];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

	if (length < 0) {
		/* no /proc: as it was called */
		snprintf(self, sizeof self, "%s", argc > 0 ? argv[0] : "");
	}
	snprintf(program, sizeof program, "%s-fpm", self);
	argv[0] = self;
	execv(program, argv);
	fprintf(stderr, "php: %s: %s\n", program, strerror(errno));
	return 127;
}
