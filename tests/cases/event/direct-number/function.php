<?php
return fn (float $event) => $event / 2;
