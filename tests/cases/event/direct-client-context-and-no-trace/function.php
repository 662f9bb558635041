<?php
return fn (array $event, $context) => [$event['a'], $context->getTraceId(), $context->getClientContext(), $context->getTenantId()];
