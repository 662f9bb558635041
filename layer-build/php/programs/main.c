/*
 * php-fpm and the command line in one program, as each alone would carry all of PHP with it: 30 MB twice.
 * Which of the two it is, its name says.
 */
#include <string.h>

int php_cli_main(int argc, char **argv);
int php_fpm_main(int argc, char **argv);

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

	return strcmp(name, "php") == 0 ? php_cli_main(argc, argv) : php_fpm_main(argc, argv);
}
