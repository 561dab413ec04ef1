<?php
// Verifies the requests in the directories that are named, and prints true or false for each.
require __DIR__ . '/verify.php';

foreach (array_slice($argv, 1) as $directory) {
    $parts = array_map(fn($name) => file_get_contents("$directory/$name"), ['secret', 'id', 'timestamp', 'signature', 'body']);
    echo verify(...$parts) ? 'true' : 'false', "\n";
}
