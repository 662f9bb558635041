Hello World! You've reached <?php print($_SERVER['REQUEST_URI']); ?>
