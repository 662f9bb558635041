<?php
return new class {
    public function handle(array $event): array
    {
        return array_map(
            fn (array $record) => 's3://' . $record['s3']['bucket']['name'] . '/' . urldecode($record['s3']['object']['key']),
            $event['Records']
        );
    }
};
