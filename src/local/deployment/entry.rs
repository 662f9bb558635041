//! What a package may contain: names and links that stay inside, and nothing that is two things at once.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// Where Lambda unpacks the layers.
pub(crate) const OPT: &str = "/opt";

/// Where Lambda unpacks the function.
pub(crate) const TASK_ROOT: &str = "/var/task";

/// Where a link that is absolute may lead.
const PLACES: [&str; 2] = [OPT, TASK_ROOT];

/// One file, folder or link of a package.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Relative, of normal components alone.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Folder,
    File,
    /// With its target.
    Link(PathBuf),
}

/// What is in a package.
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    /// Unzipped, as the package itself says it, in bytes.
    pub(crate) size: u64,
}

/// Why an entry is refused; reads after its name.
#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    Absolute,
    Outward,
    BadName,
    LinkOut(PathBuf),
    BelowNoFolder(PathBuf),
    Twofold,
    Special,
    TooLargeALink,
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute => f.write_str("is an absolute path"),
            Self::Outward => f.write_str("leads out of the package (..)"),
            Self::BadName => f.write_str("is no name that a file can have"),
            Self::LinkOut(target) => {
                write!(
                    f,
                    "is a link to {target:?}, which is outside of the package"
                )
            }
            Self::BelowNoFolder(other) => write!(f, "lies below {other:?}, which is no folder"),
            Self::Twofold => f.write_str("is there twice, as different things"),
            Self::Special => f.write_str("is neither a file, a folder nor a link"),
            Self::TooLargeALink => f.write_str("is a link with a target that no path can be"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

/// The path that a name stands for: empty for the package's own folder, which some archives list.
pub(crate) fn path(name: &[u8]) -> Result<PathBuf, Fault> {
    if name.is_empty() || name.contains(&0) {
        return Err(Fault::BadName);
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) if part.len() > 255 => return Err(Fault::BadName),
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(Fault::Outward),
            Component::RootDir | Component::Prefix(_) => return Err(Fault::Absolute),
        }
    }
    Ok(path)
}

/// The target of the link at `path`. `..` may stand at its beginning alone: after a name it would mean the parent of
/// wherever that leads.
pub(crate) fn target(path: &Path, target: &[u8]) -> Result<PathBuf, Fault> {
    if target.is_empty() || target.contains(&0) {
        return Err(Fault::TooLargeALink);
    }
    let target = Path::new(OsStr::from_bytes(target));
    let out = || Fault::LinkOut(target.to_owned());
    if let Ok(rest) = target.strip_prefix("/") {
        let is_inside = PLACES.iter().any(|place| target.starts_with(place));
        let is_plain = rest
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        return if is_inside && is_plain {
            Ok(target.to_owned())
        } else {
            Err(out())
        };
    }
    let mut depth = path.components().count().saturating_sub(1);
    let mut is_down = false;
    for component in target.components() {
        match component {
            Component::ParentDir if is_down || depth == 0 => return Err(out()),
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => is_down = true,
            _ => {}
        }
    }
    Ok(target.to_owned())
}

/// Looks at all entries of one package together: below a file or a link there is nothing, so that what is written never
/// goes through a link.
pub(crate) fn together<'a>(
    entries: impl IntoIterator<Item = &'a Entry> + Clone,
) -> Result<(), (PathBuf, Fault)> {
    let mut kinds: BTreeMap<&Path, &Kind> = BTreeMap::new();
    for entry in entries.clone() {
        let before = kinds.insert(&entry.path, &entry.kind);
        if before.is_some_and(|before| *before != entry.kind) {
            return Err((entry.path.clone(), Fault::Twofold));
        }
    }
    for entry in entries {
        for above in entry.path.ancestors().skip(1) {
            match kinds.get(above) {
                None | Some(Kind::Folder) => {}
                Some(_) => {
                    return Err((entry.path.clone(), Fault::BelowNoFolder(above.to_owned())));
                }
            }
        }
    }
    Ok(())
}

/// The mode that a file or folder has for Lambda's user, who is not its owner, and here is: what everybody may do,
/// writing aside, counts for the owner too.
pub(crate) fn readable_mode(mode: u32) -> u32 {
    (mode & 0o5) * 0o111
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for (name, expected) in [
            ("bootstrap", "bootstrap"),
            ("./bin//php", "bin/php"),
            ("lib/", "lib"),
            ("a..b/..c", "a..b/..c"),
            ("./", ""),
            ("C:\\x", "C:\\x"),
        ] {
            assert_eq!(
                path(name.as_bytes()).unwrap(),
                Path::new(expected),
                "{name}"
            );
        }
        for (name, fault) in [
            ("../x", Fault::Outward),
            ("a/../x", Fault::Outward),
            ("a/..", Fault::Outward),
            ("..", Fault::Outward),
            ("/etc/passwd", Fault::Absolute),
            ("//x", Fault::Absolute),
            ("", Fault::BadName),
            ("a\0b", Fault::BadName),
        ] {
            assert_eq!(path(name.as_bytes()), Err(fault), "{name}");
        }
        assert_eq!(path(&[b'x'; 256]), Err(Fault::BadName));
        assert_eq!(path(&[b'x'; 255]).unwrap().as_os_str().len(), 255);
    }

    #[test]
    fn links_stay_inside() {
        for (at, to) in [
            ("lib/libx.so", "libx.so.1"),
            ("lib/x/libx.so", "../libx.so.1"),
            ("lib/x", ".."),
            ("lib64", "lib"),
            ("lib64", "./lib/"),
            ("bin/php", "/opt/php/bin/php"),
            ("vendor", "/var/task/src"),
            ("opt", "/opt"),
        ] {
            assert_eq!(target(Path::new(at), to.as_bytes()).unwrap(), Path::new(to));
        }
        for (at, to) in [
            ("x", ".."),
            ("x", "../x"),
            ("lib/x", "../../etc"),
            // Where y leads to another folder this is outside.
            ("lib/x", "y/../z"),
            ("x", "/etc"),
            ("x", "/"),
            ("x", "/optional"),
            ("x", "/opt/../etc"),
            ("x", "/var/task/.."),
        ] {
            assert_eq!(
                target(Path::new(at), to.as_bytes()),
                Err(Fault::LinkOut(to.into())),
                "{at} -> {to}"
            );
        }
        assert!(target(Path::new("x"), b"").is_err());
        assert!(target(Path::new("x"), b"a\0").is_err());
    }

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = path.into();
        Entry {
            path,
            kind,
            mode: 0o644,
        }
    }

    #[test]
    fn nothing_goes_through_a_link_or_a_file() {
        let link = || entry("a", Kind::Link("b".into()));
        for (entries, fault) in [
            (
                vec![link(), entry("a/x", Kind::File)],
                Fault::BelowNoFolder("a".into()),
            ),
            // In the other order, too.
            (
                vec![entry("a/b/x", Kind::File), link()],
                Fault::BelowNoFolder("a".into()),
            ),
            (
                vec![entry("a", Kind::File), entry("a/x", Kind::Folder)],
                Fault::BelowNoFolder("a".into()),
            ),
            (vec![link(), entry("a", Kind::Folder)], Fault::Twofold),
            (
                vec![link(), entry("a", Kind::Link("c".into()))],
                Fault::Twofold,
            ),
        ] {
            assert_eq!(together(&entries).unwrap_err().1, fault, "{entries:?}");
        }
        let fine = [
            entry("b", Kind::Folder),
            entry("b", Kind::Folder),
            entry("b/x", Kind::File),
            link(),
        ];
        assert_eq!(together(&fine), Ok(()));
    }

    #[test]
    fn modes_are_those_of_everybody() {
        for (given, expected) in [
            (0o755, 0o555),
            (0o644, 0o444),
            (0o777, 0o555),
            (0o700, 0),
            (0o640, 0),
            (0o4755, 0o555),
            (0o711, 0o111),
        ] {
            assert_eq!(readable_mode(given), expected, "{given:o}");
        }
    }
}
