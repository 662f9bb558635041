<p>I am {{ $name }}</p>
