<?php
require __DIR__ . '/../lib/layout.php';

$message = trim($_POST['message'] ?? '');
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $message !== '') {
    // In the place of a mail or a row of a database: it is in the function's log.
    error_log('A message: ' . json_encode($message, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES));
    // To itself, so that a reload does not send it twice.
    header('Location: ' . $_SERVER['SCRIPT_NAME'] . '?thanks', true, 303);
    exit;
}

page('Contact', isset($_GET['thanks']) ? '<p>Thank you, we have read it already.</p>' : <<<HTML
    <form method="post">
    <label for="message">What would you like to tell us?</label>
    <textarea id="message" name="message" rows="5" required></textarea>
    <button>Send</button>
    </form>
    HTML);
