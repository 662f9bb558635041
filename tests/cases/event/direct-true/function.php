<?php
return fn (bool $event) => !$event;
