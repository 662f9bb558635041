# Included behind PHP's own Makefile, whose variables it uses: php-fpm with the command line in it, and what starts that one.
include Makefile

programs: programs/php programs/php-fpm

# each half with its own main() and its own names; what both are made of stays outside
programs/cli.o: $(PHP_CLI_OBJS)
	$(LD) -r -o $@ $(PHP_CLI_OBJS:.lo=.o)
	objcopy --redefine-sym main=php_cli_main $@

programs/fpm.o: $(PHP_FPM_OBJS)
	$(LD) -r -o $@ $(PHP_FPM_OBJS:.lo=.o)
	objcopy --redefine-sym main=php_fpm_main $@
	# and fcgi_log, which takes the place of a weak one outside
	objcopy --keep-global-symbol=php_fpm_main --keep-global-symbol=fcgi_log $@

programs/main.o: programs/main.c
	$(CC) $(CFLAGS_CLEAN) -c -o $@ $<

programs/php: programs/php.c
	$(CC) $(CFLAGS_CLEAN) $(EXTRA_LDFLAGS_PROGRAM) -o $@ $<

PARTS = programs/main.o programs/cli.o programs/fpm.o
OBJECTS = $(PHP_GLOBAL_OBJS) $(PHP_BINARY_OBJS) $(PHP_FASTCGI_OBJS)
programs/php-fpm: $(PARTS) $(OBJECTS)
	$(CC) -rdynamic $(CFLAGS_CLEAN) $(EXTRA_LDFLAGS_PROGRAM) $(LDFLAGS) $(OBJECTS:.lo=.o) $(PARTS) \
	    $(EXTRA_LIBS) $(FPM_EXTRA_LIBS) $(ZEND_EXTRA_LIBS) -o $@
