<?php
return fn (stdClass $event) => $event;
