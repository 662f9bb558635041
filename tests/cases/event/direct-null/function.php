<?php
return fn (mixed $event) => ['was null' => $event === null];
