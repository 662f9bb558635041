<?php
return fn (array $event) => "{$event['detail']['instance-id']} is {$event['detail']['state']}";
