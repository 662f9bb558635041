<?php
return fn (array $event) => count($event);
