<?php
$conf['title'] = 'A wiki on Lambda';
$conf['savedir'] = WIKI_DATA;
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['disableactions'] = 'register';
$conf['license'] = '';
// addresses such as /doku.php/start: the page is PATH_INFO
$conf['userewrite'] = 2;
$conf['useslash'] = 1;
// names of pages keep their letters
$conf['deaccent'] = 0;
// it would ask the web for messages and for new versions
$conf['updatecheck'] = 0;
