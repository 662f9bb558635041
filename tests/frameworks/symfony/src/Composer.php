<?php
// Debian's packages come without Composer, whose list of packages Symfony asks for those that are there for development alone.
namespace Composer;

final class InstalledVersions
{
    public static function isInstalled(string $package, bool $includeDevRequirements = true): bool
    {
        return false;
    }

    public static function getRootPackage(): array
    {
        return ['name' => 'app'];
    }
}
