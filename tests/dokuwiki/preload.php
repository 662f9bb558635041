<?php
// DokuWiki's own hook: it reads this before anything else of it.

// Settings and users are deployed with the code, outside of the folder that is served.
define('DOKU_CONF', dirname(__DIR__, 2) . '/conf/');

// Without this DokuWiki asks for E_STRICT, and PHP 8.4 complains of it at each request.
define('DOKU_E_LEVEL', E_ALL & ~E_NOTICE & ~E_DEPRECATED);

// DokuWiki wants its folders to be there. On Lambda only /tmp can be written, and each sandbox has its own, which ends with it.
define('WIKI_DATA', getenv('WIKI_DATA') ?: '/tmp/dokuwiki');
foreach (['pages', 'attic', 'media', 'media_attic', 'media_meta', 'meta', 'cache', 'index', 'locks', 'tmp', 'log'] as $folder) {
    is_dir(WIKI_DATA . "/$folder") || mkdir(WIKI_DATA . "/$folder", 0o700, true);
}
