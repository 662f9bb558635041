<?php
return fn (array $event) => array_map(fn (array $record) => "{$record['Sns']['Subject']}: {$record['Sns']['Message']}", $event['Records']);
