//! The media type of a file by its name.

/// What the list of the crate lacks, or has otherwise than browsers want it.
const OWN: [(&str, &str); 7] = [
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("cjs", "text/javascript"),
    ("mjs", "text/javascript"),
    // RFC 8081
    ("otf", "font/otf"),
    ("ttf", "font/ttf"),
    ("woff", "font/woff"),
];

/// As in `Content-Type`. Text is taken for UTF-8, as everything is today that has an editor.
pub fn of(name: &str) -> String {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let own = OWN
        .iter()
        .find(|(known, _)| extension.eq_ignore_ascii_case(known))
        .map(|(_, media_type)| *media_type);
    let guessed = mime_guess::from_ext(extension).first_raw();
    let media_type = own.or(guessed).unwrap_or("application/octet-stream");
    let is_text = media_type.starts_with("text/");
    match is_text {
        true => format!("{media_type}; charset=utf-8"),
        false => media_type.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_is_made_of() {
        for (name, media_type) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.htm", "text/html; charset=utf-8"),
            ("style.CSS", "text/css; charset=utf-8"),
            ("app.min.js", "text/javascript; charset=utf-8"),
            ("module.mjs", "text/javascript; charset=utf-8"),
            ("common.cjs", "text/javascript; charset=utf-8"),
            ("robots.txt", "text/plain; charset=utf-8"),
            ("data.csv", "text/csv; charset=utf-8"),
            ("data.json", "application/json"),
            ("app.js.map", "application/json"),
            ("site.webmanifest", "application/manifest+json"),
            ("sitemap.xml", "text/xml; charset=utf-8"),
            ("logo.svg", "image/svg+xml"),
            ("photo.jpeg", "image/jpeg"),
            ("photo.JPG", "image/jpeg"),
            ("photo.png", "image/png"),
            ("photo.gif", "image/gif"),
            ("photo.webp", "image/webp"),
            ("photo.avif", "image/avif"),
            ("favicon.ico", "image/x-icon"),
            ("font.woff", "font/woff"),
            ("font.woff2", "font/woff2"),
            ("font.ttf", "font/ttf"),
            ("font.otf", "font/otf"),
            ("paper.pdf", "application/pdf"),
            ("film.mp4", "video/mp4"),
            ("film.webm", "video/webm"),
            ("sound.mp3", "audio/mpeg"),
            ("program.wasm", "application/wasm"),
            ("archive.zip", "application/zip"),
            ("archive.gz", "application/gzip"),
            ("unknown.qqq", "application/octet-stream"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(of(name), media_type, "{name}");
        }
    }
}
