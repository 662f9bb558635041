<?php
return fn (string $event) => strtoupper($event);
