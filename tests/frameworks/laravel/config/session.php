<?php
return ['driver' => 'cookie', 'lifetime' => 120, 'expire_on_close' => false, 'encrypt' => false, 'cookie' => 'shop_session', 'path' => '/', 'domain' => null, 'secure' => null, 'http_only' => true, 'same_site' => 'lax', 'lottery' => [0, 1], 'files' => storage_path('framework/sessions'), 'connection' => null, 'store' => null, 'partitioned' => false];
