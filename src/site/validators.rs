//! What tells one version of a file from another: its entity tag, and its time where that is known (RFC 9110 8.8).

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::body::{PIECE, fill};
use super::folder::Found;
use crate::http::accept_encoding::Coding;
use crate::http::conditional::Validators;

/// A file up to this size has an entity tag of its contents: reading them twice is little beside encoding and sending them.
const HASHED: u64 = 8 << 20;

/// The times that tools write in the place of real ones, so that the same files make the same archive: 0, and the beginning
/// of zip's calendar in any zone.
const LAST_MADE_UP_TIME: Duration = Duration::from_secs(315_532_800 + 2 * 86_400);

/// The tag is made of the contents, since their time says nothing in a deployed package: many tools set all times to the same
/// one. Of a large file it is made of its time where that is known.
pub(super) fn validators(
    source: &File,
    found: &Found,
    coding: Option<Coding>,
) -> io::Result<Validators> {
    let len = found.metadata.len();
    let last_modified = known_time(found.metadata.modified()?, SystemTime::now());
    let state = match last_modified {
        _ if len <= HASHED => Some(hash(source)?),
        Some(modified) => modified
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|time| time.as_secs()),
        None => None,
    };
    let coding = coding.map_or("", |coding| coding.suffix());
    Ok(Validators {
        etag: state.map(|state| format!("\"{state:016x}-{len:x}{coding}\"")),
        last_modified,
    })
}

/// In whole seconds; `None` for a time that a tool has made up, and for one that is to come (RFC 9110 8.8.2.1).
fn known_time(modified: SystemTime, now: SystemTime) -> Option<SystemTime> {
    let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
    let is_known = since_epoch > LAST_MADE_UP_TIME && modified <= now;
    is_known.then(|| UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs()))
}

/// The same in every sandbox: the hasher of the standard library has fixed keys.
fn hash(source: &File) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    loop {
        // in whole pieces, since a hasher may tell one long write from two short ones
        let len = fill(source, offset, &mut piece)?;
        hasher.write(&piece[..len]);
        offset += len as u64;
        if len < PIECE {
            return Ok(hasher.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_say_something() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(1_700_000_000);
        for (seconds, is_known) in [
            (0, false),
            (1, false),
            // 1980-01-01 in Greenwich, and in the zones around it
            (315_532_800, false),
            (315_532_800 - 14 * 3600, false),
            (315_532_800 + 12 * 3600, false),
            (784_111_777, true),
            (1_700_000_000, true),
            (1_700_000_001, false),
            // what Terraform sets
            (2_493_072_000, false),
        ] {
            let expected = is_known.then(|| at(seconds));
            assert_eq!(known_time(at(seconds), now), expected, "{seconds}");
        }
        let precise = at(784_111_777) + Duration::from_millis(999);
        assert_eq!(known_time(precise, now), Some(at(784_111_777)));
        assert_eq!(known_time(UNIX_EPOCH - Duration::from_secs(1), now), None);
    }
}
