/*
 * php-fpm and the command line in one program, as each alone would carry all of PHP with it: 30 MB twice.
 * Which of the two it is, its name says.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int php_cli_main(int argc, char **argv);
int php_fpm_main(int argc, char **argv);

#define HUGE_PAGE ((uintptr_t) 2 << 20)
#define FIRST ((uintptr_t) 64 << 10)

/*
 * PHP's start fills two megabytes of heap with its functions and classes: 500 page faults, or one where the kernel gives a
 * huge page to those who ask. The heap is made to begin just before such a page; what is left out below it is never touched.
 * Where there are no huge pages all is as before.
 */
static void start_heap_at_huge_page(void)
{
	uintptr_t top = (uintptr_t) sbrk(0);
	uintptr_t page = (top + FIRST + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	/* volatile: the compiler leaves out a malloc whose memory nobody uses */
	void *volatile first;

	if (sbrk((intptr_t) (page - FIRST - top)) == (void *) -1) {
		return;
	}
	/* the first of these ends glibc's own adjustment of all of them, so each gets a value that suits a server */
	mallopt(M_TOP_PAD, (int) (HUGE_PAGE + FIRST));
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 4 << 20);
	first = malloc(1);
	madvise((void *) page, HUGE_PAGE, MADV_HUGEPAGE);
	free(first);
	mallopt(M_TOP_PAD, 128 << 10);
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

	start_heap_at_huge_page();
	return strcmp(name, "php") == 0 ? php_cli_main(argc, argv) : php_fpm_main(argc, argv);
}
